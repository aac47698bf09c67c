"""A network of real processes, one member in each namespace; what it says of itself is watched all the time."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.client import NodeClient, NodeError
from chain.node.loading import load
from chain.params import CONSORTIUM, Genesis
from chain.schema import Address
from chain.store import Store
from chain.transactions import Signed, Transfer
from runtime.guard import Leash
from runtime.settings import DataFolder
from tests.fleet.members import Member, Process, payer, url, validator_of
from tests.fleet.namespaces import Switches

READY_WITHIN = 120.0
AGREE_WITHIN = 120.0
#: Seconds after which everybody is asked where they stand though nobody said anything new.
LOOK = 1.0
#: What no honest node has any reason to say of another, or of itself.
NEVER = ("peer discouraged", "the node stops", "could not be dealt with", "Traceback")


class Watch:
    """Follows every node: when it has something new, and which blocks it ever called final."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.finals: dict[int, dict[str, set[int]]] = {}
        """Height, block, and who called it final."""
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(each.number, each.control), daemon=True) for each in members
        ]
        for thread in self._threads:
            thread.start()

    def news(self, seconds: float) -> None:
        """Wait until somebody says something new, or for so long."""
        with self._changed:
            self._changed.wait(seconds)

    def close(self) -> None:
        """No more looks."""
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _follow(self, number: int, where: str) -> None:
        client = NodeClient(where, timeout=5)
        for _ in client.follow(self._stop, wait=5):
            try:
                chain = client.chain()
            except NodeError:
                continue  # it has gone since; when it is back there is a page
            with self._changed:
                final = chain["final"]
                self.finals.setdefault(final["height"], {}).setdefault(final["hash"], set()).add(number)
                self._changed.notify_all()


@dataclass(frozen=True)
class Acknowledged:
    """A transaction that a node has taken (202): it has to become final, on whatever side it was sent."""

    signed: Signed
    member: int


class Network:
    """`count` members, of which the first `validators` validate; :meth:`close` ends all and removes the namespaces."""

    def __init__(self, folder: Path, count: int = 7, validators: Collection[int] = range(7), seeds: int = 2) -> None:
        self.leash = Leash()
        self.switches = Switches(count)
        self.groups: list[list[int]] = [list(range(count))]
        self.acknowledged: list[Acknowledged] = []
        self._kept: set[tuple[str, int]] = set()
        data = [DataFolder(folder / f"member-{number}") for number in range(count)]
        addresses = sorted(Address(validator_of(data[number])) for number in validators)
        balances = sorted((payer(number).address, 1_000_000) for number in range(count))
        self.genesis = Genesis(
            CONSORTIUM.name, int(time.time() * 1000), tuple(addresses), tuple(balances), f"fleet {folder}"
        )
        path = folder / "genesis.json"
        path.write_text(self.genesis.to_json())
        self.members = [
            Member(
                number, data[number], self.switches, self.leash,
                # A ring with chords: each knows but a few at first, and whoever is left finds the others.
                tuple(url(self.switches, (number + step) % count) for step in (1, 3, 5)[:seeds]),
                number in validators, path,
            )
            for number in range(count)
        ]  # fmt: skip
        self.watch: Watch | None = None

    # ------------------------------------------------------------------ life

    def start(self) -> Network:
        """Start everybody, and wait until each knows each."""
        self.start_some(range(len(self.members)))
        self.watch = Watch(self.members)
        self.acquainted()
        return self

    def start_some(self, numbers: Iterable[int]) -> None:
        """Start what of these members does not run, and wait until the nodes answer."""
        started = [self.members[number] for number in numbers]
        for member in started:
            for process in member.processes:
                process.revive()
        for member in started:
            self.ready(member)

    def ready(self, member: Member) -> None:
        def answers() -> bool:
            assert member.node.up, member.node.tail()
            return member.client.ready()

        wait_for(answers, READY_WITHIN, member.node.tail)

    def acquainted(self, seconds: float = 60.0) -> None:
        """Wait until everybody is connected with everybody in its group."""
        for group in self.groups:
            for number in group:
                others = {self.members[other].url for other in group} - {self.members[number].url}
                client = self.members[number].client

                def knows(others: set[str] = others, client: NodeClient = client) -> bool:
                    return others <= {str(peer["url"]) for peer in client.peers()["peers"]}

                wait_for(knows, seconds, self.told, 0.1)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        try:
            for process in self.processes:
                if process.running is not None and process.up:
                    process.running.terminate()
            if self.watch is not None:
                self.watch.close()
            for process in self.processes:
                if process.running is not None:
                    with contextlib.suppress(Exception):
                        process.running.wait(5)
                    if process.up:
                        process.running.kill()
                        process.running.wait(5)
        finally:
            self.leash.close()
            self.switches.close()

    @contextlib.contextmanager
    def reached(self) -> Iterator[Network]:
        """This thread can talk to the nodes."""
        with self.switches.inside():
            yield self

    @property
    def processes(self) -> list[Process]:
        return [process for member in self.members for process in member.processes]

    # ------------------------------------------------------------------ what happens to it

    def part(self, *groups: Collection[int]) -> None:
        """Cut the network into these groups."""
        self.groups = [list(group) for group in groups]
        self.switches.part(groups)

    def heal(self) -> None:
        self.groups = [list(range(len(self.members)))]
        self.switches.heal()

    def pay(self, number: int) -> Signed:
        """A transfer that the member's node acknowledges.  Raises NodeError where it does not."""
        member = self.members[number]
        other = self.members[(number + 1) % len(self.members)]
        signed = member.client.prepare(Transfer(other.payer.address, 1), member.payer)
        member.client.submit(signed)
        self.acknowledged.append(Acknowledged(signed, number))
        return signed

    def spread(self, signed: Signed, group: Iterable[int], seconds: float = 40.0) -> None:
        """Wait until the transaction is in a block on each of these members' branches."""
        for number in group:
            try:
                self.members[number].client.wait_transaction(signed.id, "included", seconds)
            except NodeError as error:
                raise AssertionError(f"member {number}: {error}\n{self.told()}") from error

    # ------------------------------------------------------------------ what must hold

    def at(self, number: int) -> dict[str, Any]:
        """Where a member stands."""
        return self.members[number].client.chain()

    def settle(self, whose: Collection[int], seconds: float = AGREE_WITHIN) -> None:
        """Wait until these members have one head and all that they know of is final."""

        def settled() -> bool:
            said = [self.at(number) for number in whose]
            same = len({(each["head"], each["final"]["hash"]) for each in said}) == 1
            return same and all(each["settled"] for each in said)

        self.until(settled, seconds, self.told)

    def agree(self, seconds: float = AGREE_WITHIN) -> dict[str, Any]:
        """Wait until all have one head and everything that was acknowledged is final, then look at everything; where
        they stand."""
        everybody = range(len(self.members))
        begun = time.monotonic()
        self.settle(everybody, seconds)
        # They agree on what they have; something may wait that is still to come to who mines.
        self.until(
            lambda: not self.lost(everybody), seconds, lambda: f"not final: {self.lost(everybody)}\n{self.told()}"
        )
        self.settle(everybody, seconds - (time.monotonic() - begun))
        self.check()
        return self.at(0)

    def until(self, what: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
        """Wait until `what` is so, looking whenever a node has something new; fails after `seconds`, and says `why`."""
        assert self.watch is not None
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {why()}"
            self.watch.news(LOOK)

    def lost(self, whose: Iterable[int]) -> list[str]:
        """Acknowledged transactions that are not final on each of these members, and how they stand there."""
        found = []
        for each, number in itertools.product(self.acknowledged, whose):
            place = (each.signed.id, number)
            if place in self._kept:
                continue
            standing = self.members[number].client.transaction(each.signed.id)
            if standing is not None and standing["status"] == "final":
                self._kept.add(place)
            else:
                found.append(f"{each.signed.id} of {each.member} at {number}: {standing and standing['status']}")
        return found

    def check(self) -> None:
        """Nobody was ever final on another block, nobody accused anybody, and what lies on the disks is whole."""
        self.check_finals()
        for member in self.members:
            assert member.client.evidence() == []
            assert member.client.misconduct() == []
            for process in member.processes:
                text = process.log.read_text()
                assert not [line for line in text.splitlines() if any(word in line for word in NEVER)], process.tail()
        digests = {self._on_disk(member) for member in self.members}
        assert len(digests) == 1, digests

    def check_finals(self) -> None:
        """Every block that any node ever called final, in an answer or in its log, is on the final branch of all."""
        assert self.watch is not None
        finals = {height: dict(blocks) for height, blocks in self.watch.finals.items()}
        for member in self.members:
            for event in member.events("final"):
                blocks = finals.setdefault(int(event["of_height"]), {})
                blocks.setdefault(event["of_block"], set()).add(member.number)
        several = {height: blocks for height, blocks in finals.items() if len(blocks) > 1}
        assert not several, f"conflicting final blocks: {several}"
        client = self.members[0].client
        for height, blocks in finals.items():
            block = client.block(height)
            assert block is not None, height
            assert {block["hash"]} == set(blocks), (height, block["hash"], blocks)
            assert block["final"], height

    def _on_disk(self, member: Member) -> tuple[str, str]:
        """Head and state's digest as replaying the member's database gives them; the file is sound."""
        with contextlib.closing(sqlite3.connect(f"file:{member.database}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], member.database
        with contextlib.closing(Store(member.database)) as store:
            chain, _ = load(self.genesis, CONSORTIUM, store)
        return chain.head.id, chain.head.state.digest

    def told(self) -> str:
        """Where everybody stands, and the ends of the logs."""
        lines = [f"groups {self.groups}"]
        for member in self.members:
            lines.append(f"--- member {member.number}{'' if member.node.up else ': its node is down'}")
            with contextlib.suppress(NodeError):
                chain, peers = member.client.chain(), member.client.peers()
                lines.append(
                    f"height {chain['height']} head {chain['head'][:8]} justified {chain['justified']['height']} final "
                    f"{chain['final']['height']} settled {chain['settled']} pending {chain['pending']}"
                )
                lines.append("peers " + ", ".join(str(each["peer"]) for each in peers["peers"]))
                lines += [f"refuses {each}" for each in peers["discouraged"]]
        return "\n".join([*lines, *(process.tail(12) for process in self.processes)])


def wait_for(what: Callable[[], Any], seconds: float, why: Callable[[], str], look: float = 0.05) -> None:
    """Wait until `what` is true; fails after `seconds`, and says `why`."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s: {why()}"
        time.sleep(look)
