"""Whether validators live: shown by what becomes final, on networks without coins too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from chain.client import NodeClient, NodeError
from chain.finality import next_vote
from chain.keys import Key
from chain.node import running
from chain.params import Genesis
from chain.schema import Hash
from chain.transactions import Transfer, VoteCheckpoint
from chain.wallets import generate
from coordinator.follower import Follower
from coordinator.ledger import Ledger
from coordinator.outbox import Outbox
from coordinator.readiness import Readiness

VALIDATORS = [Key(bytes([number]) * 32) for number in range(1, 5)]
RICH = Key(bytes([9]) * 32)
SECONDS = 30


@dataclass
class Chain:
    """A node, and four validators that vote on its heads while `voting` is set."""

    node: NodeClient
    folder: Path
    voting: threading.Event
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, run: Callable[[], object]) -> None:
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def vote(self) -> None:
        last: dict[str, VoteCheckpoint] = {}
        while not self.stop.is_set():
            if not self.voting.wait(0.1):
                continue
            with suppress(NodeError):
                view = self.node.finality()
                for key in VALIDATORS:
                    chosen = next_vote(view.value, Hash(view.head), view.height, last.get(key.address))
                    if chosen is not None:
                        last[key.address] = chosen
                        self.node.send(chosen, key)
                self.node.events(self.node.events().next, wait=0.1)

    def coordinator(self) -> Callable[[], str | None]:
        """One that starts now, with a wallet that owns nothing; why its validators are not ready, None if they are."""
        follower, node = Follower(NodeClient(self.node.url)), NodeClient(self.node.url)
        ledger = Ledger(node, generate(), Outbox(self.folder / f"outbox-{len(self.threads)}.sqlite"))
        parts: Any = SimpleNamespace(ready=True, failure=None, reason=None, has=lambda cid: True)
        readiness = Readiness(node, parts, None, ledger, follower, parts, parts)
        self.start(lambda: follower.run(self.stop))
        self.start(lambda: readiness.run(self.stop))
        return lambda: readiness.document()["parts"]["validators"]["reason"]


def wait_for(reason: Callable[[], str | None], wanted: Callable[[str | None], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not wanted(reason()):
        assert time.monotonic() < deadline, reason()
        time.sleep(0.05)


@pytest.fixture
def chain_of(tmp_path: Path) -> Iterator[Callable[[str], Chain]]:
    started: list[Chain] = []

    def start(preset: str) -> Chain:
        owned = () if preset == "consortium" else ((RICH.address, 5_000),)
        members = tuple(sorted(key.address for key in VALIDATORS))
        genesis = Genesis(preset, int(time.time() * 1000), members, owned, "readiness")
        ports, found = Queue[int](), Chain(NodeClient("http://127.0.0.1:1"), tmp_path, threading.Event())
        started.append(found)
        miner = VALIDATORS[0].address
        found.start(lambda: running.run(tmp_path, "127.0.0.1", 0, genesis, miner, found.stop, ports.put))
        found.node = NodeClient(f"http://127.0.0.1:{ports.get(timeout=SECONDS)}")
        found.start(found.vote)
        return found

    yield start
    for chain in started:
        chain.stop.set()
        for thread in chain.threads:
            thread.join(SECONDS)
        assert not [thread for thread in chain.threads if thread.is_alive()]


def test_a_fresh_network_without_coins_is_ready_once_a_quorum_votes_and_not_before(
    chain_of: Callable[[str], Chain],
) -> None:
    chain = chain_of("consortium")
    reason = chain.coordinator()
    deadline = time.monotonic() + SECONDS
    while not chain.node.chain()["height"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "a quorum of validators has to vote" in str(reason())
    chain.voting.set()
    wait_for(reason, lambda found: found is None)
    assert not chain.node.account(VALIDATORS[0].address).balance


def test_a_wallet_that_may_not_send_learns_it_from_what_others_do(chain_of: Callable[[str], Chain]) -> None:
    chain = chain_of("development")
    chain.voting.set()
    reason = chain.coordinator()
    wait_for(reason, lambda found: "may not send" in str(found))
    assert "owns at least 1000" in str(reason())
    chain.node.send(Transfer(RICH.address, 0), RICH)
    wait_for(reason, lambda found: found is None)
    deadline = time.monotonic() + SECONDS
    while not chain.node.chain()["settled"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # One that starts on the settled chain has nothing but its past to go by.
    wait_for(chain.coordinator(), lambda found: found is None)
