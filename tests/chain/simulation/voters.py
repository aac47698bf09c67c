"""Honest validators: the validator's own code on a disk and a line to a node that are the simulation's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chain.answers import NodeError, NodeRefused, NodeUnavailable, View
from chain.errors import ChainError
from chain.keys import Key
from chain.node.core import Node
from chain.state import Finality
from chain.transactions import Payload, ReportMisconduct, VoteCheckpoint
from chain.voting import VoteFile, VoteFileError
from tests.chain.simulation.drive import STEPS, Drive
from tests.chain.simulation.members import Crash, Member
from tests.chain.simulation.watch import Violation
from tests.chain.simulation.world import World
from validators.checkpoints import CheckpointVoter
from validators.reporter import Reporter

#: Where a validator may die: at each step of writing its vote, and after sending it.
MOMENTS = (*STEPS, "sent")
PATH = Path("/validator/checkpoints.json")
#: Between two looks at what its node has caught, at most.
LOOK_MS = 400


class Line:
    """What a validator's process asks its node; as :class:`chain.client.NodeClient` answers."""

    def __init__(self, voter: Voter) -> None:
        self._voter = voter

    def _node(self) -> Node:
        if not self._voter.home.up:
            raise NodeUnavailable("nobody answers")
        return self._voter.home.node

    def finality(self) -> View[Finality]:
        node = self._node()
        head, value = node.head, node.head.state.finality
        if head.height > 1 and not self._voter.world.params.rules.justified_source:
            value = replace(value, justified_hash=head.parent, justified_height=head.height - 1)
        return View(value, head.height, head.id, node.chain.final.height, False)

    def genesis_hash(self) -> str:
        return str(self._node().chain.genesis_id)

    def evidence(self) -> list[ReportMisconduct]:
        node = self._node()
        return [report for report in node.witness.reports if report.validator not in node.head.state.slashed]

    def transaction(self, transaction: str) -> dict[str, Any] | None:
        standing = self._node().standing(transaction)
        return None if standing is None else {"status": standing.status}

    def send(self, payload: Payload, key: Key) -> str:
        self._node()
        voter, world = self._voter, self._voter.world
        signed = world.sign(key, payload)
        if isinstance(payload, VoteCheckpoint):
            what = f"votes {payload.source_height} to {payload.target_height} {payload.target[:8]}"
        else:
            what = f"sends {signed.body.kind}"
        world.note(key.address[:8], f"{what} at {voter.home.name}")
        answer = world.hand_in(voter.home, signed)
        if isinstance(payload, VoteCheckpoint):
            voter.sent()
        if answer is None:
            raise NodeUnavailable("it died of it")
        if isinstance(answer, ChainError):
            raise NodeRefused(409, {"code": answer.code, "detail": str(answer)})
        return signed.id


class SendsFirst(CheckpointVoter):
    """A rule switched off: it sends, then writes."""

    def _cast(self, vote: VoteCheckpoint) -> None:
        self._send(vote)
        self._votes.record(vote)


@dataclass
class Voter:
    """A validator's machine: a process that may die at any step of voting, and a disk that outlives it."""

    world: World
    key: Key
    home: Member
    casts: type[CheckpointVoter] = CheckpointVoter
    up: bool = True
    dies: str | None = None
    """The moment at which it dies next."""
    waits: bool = False
    drive: Drive = field(init=False)

    def __post_init__(self) -> None:
        self.drive = Drive(self.world.rng)
        VoteFile(PATH, self.key.address, create=True, files=self.drive).close()
        self.start()

    def start(self) -> None:
        """The process begins with what is on the disk."""
        line: Any = Line(self)
        try:
            self.votes = VoteFile(PATH, self.key.address, rules=self.world.params.rules, files=self.drive)
        except VoteFileError as lost:
            raise Violation(f"the validator {self.key.address} has lost its votes: {lost}") from lost
        self.voter, self.reporter = self.casts(line, self.key, self.votes), Reporter(line, self.key)
        self.up, self.dies = True, None

    def hear(self, member: Member) -> None:
        """Its node has a new head."""
        if member is self.home and self.up and not self.waits:
            self.waits = True
            self.world.after(self.world.rng.randrange(1, 8), self.consider)

    def look(self) -> None:
        """Every now and then it asks what its node has caught."""
        if self.up:
            try:
                self.reporter.consider()
            except NodeError as error:
                self.world.note(self.key.address[:8], f"cannot report: {error}")
        self.world.after(self.world.rng.randrange(LOOK_MS // 2, LOOK_MS), self.look)

    def consider(self) -> None:
        self.waits = False
        if not self.up:
            return
        try:
            self.vote()
        except Crash:
            self.up = False
            self.world.note(self.key.address[:8], "the validator dies")
            self.world.after(self.world.rng.randrange(20, 800), self.back)

    def back(self) -> None:
        self.revive(power=self.world.rng.random() < 0.5)
        self.consider()

    def revive(self, power: bool) -> None:
        """Start again; ``power``: the machine was off."""
        self.world.note(self.key.address[:8], f"the validator is back{' from a power cut' if power else ''}")
        self.drive.restart(power)
        self.start()

    def vote(self) -> None:
        """Vote on its node's head where it may.  Raises Crash where it dies of it."""
        sets = self.home.node.head.state.voting_sets if self.home.up else ()
        if not any(each.weight(self.key.address) for each in sets):
            return
        self.drive.dies = self.dies if self.dies in STEPS else None
        try:
            self.voter.consider()
        except NodeError as error:
            self.world.note(self.key.address[:8], f"cannot vote: {error}")

    def sent(self) -> None:
        """A vote has left the machine."""
        if self.dies == "sent":
            raise Crash("sent")
