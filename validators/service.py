"""The validator as a service: votes on checkpoints at once, trains again and votes on models beside that."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from chain.client import NodeClient, NodeError
from chain.keys import Key
from chain.voting import VoteFile
from chain.wallets import Wallets
from ipfs import open_store
from runtime import guard, numeric
from runtime.logs import get_logger
from validators.ballots import Ballots
from validators.checkpoints import CheckpointVoter
from validators.models import ModelVoter

log = get_logger("validators.service")

#: Seconds after which what failed (a node or store that was away) is tried again without a new event.
RETRY = 2.0
#: Seconds that a vote which is being cast when the service stops may take.
FINISH = 0.5


@dataclass(frozen=True)
class ValidatorSettings:
    """`node` and `store` say where these are; `wallets` and `wallet` name the key; `folder` keeps the votes cast,
    without which the key must not vote again; `cache` is a folder that only this validator writes."""

    name: str
    node: str
    store: str
    wallets: Path
    wallet: str
    folder: Path
    cache: Path


def run(settings: ValidatorSettings, stop: threading.Event) -> None:
    """Vote until `stop`. Raises `chain.voting.VoteFileError` when the key votes elsewhere or its file is gone."""
    guard.watch_parent()
    numeric.pin()
    key = Wallets(settings.wallets).load(settings.wallet)
    client = NodeClient(settings.node)
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.cache.mkdir(parents=True, exist_ok=True)
    with _vote_file(settings, key) as votes:
        log.info("validator", name=settings.name, address=key.address, node=settings.node, store=settings.store)
        wake = threading.Event()
        judging = threading.Thread(target=_judge, args=(settings, key, wake, stop), name="judging", daemon=True)
        judging.start()
        voter = CheckpointVoter(client, key, votes)
        # In a thread, so that a long poll does not hold up the stop.
        following = threading.Thread(target=_follow, args=(client, voter, wake, stop), name="following", daemon=True)
        following.start()
        stop.wait()
        wake.set()
        following.join(FINISH)


def _follow(client: NodeClient, voter: CheckpointVoter, wake: threading.Event, stop: threading.Event) -> None:
    try:
        for _ in client.follow(stop):
            wake.set()
            _consider(voter, stop)
    finally:
        stop.set()  # without it this validator would sit there and not vote: better to end, and be started again


def _vote_file(settings: ValidatorSettings, key: Key) -> VoteFile:
    """The key's vote file, made the first time: the marker beside the key tells a new key from a lost file."""
    path = settings.folder / "checkpoints.json"
    marker = settings.wallets / f".{settings.wallet}.voted"
    if not marker.exists() and not path.exists():
        made = VoteFile(path, key.address, create=True)
        marker.touch()
        return made
    marker.touch()
    return VoteFile(path, key.address)


def _consider(voter: CheckpointVoter, stop: threading.Event) -> None:
    try:
        voter.consider()
    except NodeError as error:
        log.warning("no checkpoint vote", error=str(error))
        stop.wait(RETRY / 10)


def _judge(settings: ValidatorSettings, key: Key, wake: threading.Event, stop: threading.Event) -> None:
    """Look at the open jobs whenever something happened, and again after a while where something was missing."""
    import learning.session  # noqa: F401 - the first job should not wait for it

    from learning.environment import environment_id

    numeric.check()
    client = NodeClient(settings.node)
    voter = ModelVoter(
        client,
        key,
        open_store(settings.store),
        settings.cache,
        environment_id(),
        Ballots(settings.folder / "ballots"),
    )
    again = True
    while not stop.is_set():
        wake.wait(RETRY if again else None)
        wake.clear()
        if stop.is_set():
            return
        try:
            again = voter.consider()
        except NodeError as error:
            log.warning("no model vote", error=str(error))
            again = True
