"""The validator as a service: votes on checkpoints at once; trains again and votes on models, attests versions and
reports misconduct beside that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.client import EventPage, NodeClient, NodeError
from chain.keys import Key
from chain.voting import VoteFile, VoteFileError
from chain.wallets import Wallets
from ipfs import open_store
from runtime import guard, numeric
from runtime.files import FILES, Files
from runtime.logs import get_logger
from validators.attester import Attester
from validators.ballots import Ballots
from validators.checkpoints import CheckpointVoter
from validators.contact import RETRY, Contact
from validators.models import ModelVoter
from validators.reporter import LOOK, Reporter

log = get_logger("validators.service")

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


def run(settings: ValidatorSettings, stop: threading.Event) -> int:
    """Vote until `stop`; the exit status: 1 where voting ended by itself, which a message in the log explains.

    Raises `chain.voting.VoteFileError` when the key votes elsewhere or its file is gone.
    """
    guard.watch_parent()
    numeric.pin()
    key = Wallets(settings.wallets).load(settings.wallet)
    client = NodeClient(settings.node)
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.cache.mkdir(parents=True, exist_ok=True)
    with _vote_file(settings, key) as votes:
        log.info("validator", name=settings.name, address=key.address, node=settings.node, store=settings.store)
        wake, attest, broken = threading.Event(), threading.Event(), threading.Event()
        contact = Contact()
        voter = CheckpointVoter(client, key, votes)
        attester = Attester(NodeClient(settings.node), key)
        reporter = Reporter(NodeClient(settings.node), key)

        def seen(page: EventPage) -> None:
            wake.set()
            if attester.notice(page):
                attest.set()

        # In threads, so that neither a long poll nor a training holds up the stop.
        threads = [
            _thread("judging", stop, broken, lambda: _judge(settings, key, contact, wake, stop)),
            _thread("attesting", stop, broken, lambda: _attest(attester, contact, attest, stop)),
            _thread("reporting", stop, broken, lambda: _report(reporter, contact, stop)),
            _thread("following", stop, broken, lambda: _follow(client, voter, contact, seen, stop)),
        ]
        stop.wait()
        wake.set()
        attest.set()
        threads[-1].join(FINISH)
        log.info("validator ends", name=settings.name)
    return 1 if broken.is_set() else 0


def _thread(
    name: str, stop: threading.Event, broken: threading.Event, work: Callable[[], None]
) -> threading.Thread:
    """Do `work` in a thread. If it ends before `stop`, whatever the reason, the process ends: a validator that sits
    there and does not vote is worse than one that is started again."""

    def run() -> None:
        try:
            work()
        except VoteFileError as error:  # an operator's to mend, and it says how
            if not stop.is_set():
                log.critical("validator ends", reason=str(error))
        except BaseException:
            if not stop.is_set():
                log.critical("validator ends: it could not go on", thread=name, exc_info=True)
        if not stop.is_set():
            broken.set()
            stop.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def _follow(
    client: NodeClient,
    voter: CheckpointVoter,
    contact: Contact,
    seen: Callable[[EventPage], None],
    stop: threading.Event,
) -> None:
    for page in client.follow(stop):
        seen(page)
        _consider(voter, contact, stop)


def _vote_file(settings: ValidatorSettings, key: Key, files: Files = FILES) -> VoteFile:
    """The key's vote file, made the first time: the marker beside the key tells a new key from a lost file. It is on
    the disk before the file is handed out, and so before the key's first vote: else a crash could lose both."""
    path = settings.folder / "checkpoints.json"
    marker = settings.wallets / f".{settings.wallet}.voted"
    new = not marker.exists() and not path.exists()
    made = VoteFile(path, key.address, create=new, files=files)
    try:
        marker.touch()
        files.sync(marker)
        files.sync(marker.parent)
    except BaseException:
        made.close()
        raise
    return made


def _consider(voter: CheckpointVoter, contact: Contact, stop: threading.Event) -> None:
    """Until the node has answered: no event would bring the vote back."""
    while not stop.is_set():
        try:
            voter.consider()
        except NodeError as error:
            contact.lost("checkpoint votes", error)
            stop.wait(RETRY)
        else:
            contact.works("checkpoint votes")
            return


def _attest(attester: Attester, contact: Contact, wake: threading.Event, stop: threading.Event) -> None:
    """Attest whenever something became final, and again after a while where a node refused or was away."""
    wait: float | None = 0.0
    while not stop.is_set():
        wake.wait(wait)
        wake.clear()
        if stop.is_set():
            return
        try:
            wait = attester.consider()
        except NodeError as error:
            wait = contact.lost("attestations", error)
        else:
            contact.works("attestations")


def _report(reporter: Reporter, contact: Contact, stop: threading.Event) -> None:
    """Report what the node has caught, soon after it has. As it asks all the time, it notices that the node is away
    also where nothing else would be asked for."""
    while not stop.wait(LOOK):
        try:
            reporter.consider()
        except NodeError as error:
            contact.lost("reports of misconduct", error)
        else:
            contact.works("reports of misconduct")


def _judge(
    settings: ValidatorSettings, key: Key, contact: Contact, wake: threading.Event, stop: threading.Event
) -> None:
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
    wait: float | None = 0.0
    while not stop.is_set():
        wake.wait(wait)
        wake.clear()
        if stop.is_set():
            return
        try:
            wait = voter.consider()
        except NodeError as error:
            wait = contact.lost("votes on models", error)
        else:
            contact.works("votes on models")
