"""What must hold of every honest node at every moment, and what must hold at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chain.blockchain import Entry, genesis_entry
from chain.blocks import Block
from chain.misconduct import accuse, conflict, proof
from chain.params import Genesis, Params
from chain.schema import Address, Hash
from chain.state import ValidatorSet
from chain.state.supply import supply
from chain.transactions import ReportMisconduct, Signed, VoteCheckpoint

if TYPE_CHECKING:
    from tests.chain.simulation.members import Member


#: How wrong clocks are, at most.
MAX_SKEW_MS = 6_000


class Violation(AssertionError):  # noqa: N818 - what it is
    """Something that must never happen has happened."""


class Votes:
    """Checkpoint votes in blocks, and whom they convict."""

    def __init__(self) -> None:
        self._cast: dict[Address, dict[tuple[int, str, int, str], Signed]] = {}

    def note(self, block: Block) -> None:
        for signed in block.transactions:
            vote = signed.payload
            if isinstance(vote, VoteCheckpoint):
                key = (vote.source_height, vote.source, vote.target_height, vote.target)
                self._cast.setdefault(signed.sender, {}).setdefault(key, signed)

    def convicted(self, genesis: Hash, params: Params) -> dict[Address, ReportMisconduct]:
        """Who contradicts itself, each with a report that holds."""
        found = {}
        for sender, cast in self._cast.items():
            report = self._convict(sender, list(cast.values()))
            if report is not None:
                proof(report, genesis, params)
                found[sender] = report
        return found

    @staticmethod
    def _convict(sender: Address, cast: list[Signed]) -> ReportMisconduct | None:
        for index, one in enumerate(cast):
            for other in cast[index + 1 :]:
                if conflict(one.payload, other.payload) is None:
                    continue
                report = accuse(one, other)
                if report is None:
                    raise Violation(f"two votes of {sender} contradict each other, and make no report")
                return report
        return None


class Watch:
    """Sees what each honest node has, and remembers what was final where."""

    def __init__(self, genesis: Genesis, params: Params, lying: frozenset[Address], start: int) -> None:
        self.params, self.lying, self.start = params, lying, start
        first = genesis_entry(genesis, params)
        self.genesis_id: Hash = first.id
        self.supply = supply(first.state)
        self.genesis_members = first.state.validators.members
        self.finals: dict[int, Hash] = {0: first.id}
        self._final_of: dict[str, int] = {}
        self._seen: set[str] = set()
        self._heads: dict[str, str] = {}
        self.acknowledged: dict[str, Signed] = {}
        self.votes = Votes()
        """Those in any block that an honest node has made its head's."""
        self.slashed: dict[str, int] = {}
        """Who was slashed by the end, and what was burned of it."""
        self.sets: list[ValidatorSet] = []
        self.conflict: str | None = None
        """Two final blocks, where more than a third lie."""
        self.blocks = 0

    # ------------------------------------------------------------------ at every moment

    def look(self, member: Member) -> None:
        """After whatever a node did."""
        chain = member.node.chain
        head = chain.head
        if self._heads.get(member.name) == head.id:
            return
        self._heads[member.name] = head.id
        if head.id not in self._seen:
            self._branch(head, member)
        final = chain.final
        known = self._final_of.get(member.name, 0)
        if final.height < known:
            raise Violation(f"{member.name} was final at height {known} and is now at {final.height}")
        self._final_of[member.name] = final.height
        entry: Entry | None = final
        while entry is not None and entry.height > 0:
            found = self.finals.setdefault(entry.height, entry.id)
            if found != entry.id:
                self.two_final(f"{entry.id} is final at {member.name}, elsewhere {found}, at height {entry.height}")
                break
            if entry.height <= known:
                break
            entry = chain.entry(entry.parent)

    def halted(self, member: Member) -> None:
        """A node has stopped because two branches are final."""
        self.two_final(f"{member.name}: {member.halted}")

    def two_final(self, text: str) -> None:
        self.conflict = text
        if 3 * len(self.lying) <= len(self.genesis_members):
            raise Violation(f"two conflicting blocks are final: {text}")

    def _branch(self, entry: Entry | None, member: Member) -> None:
        """Blocks that are new: no coin made or lost, and the votes they hold."""
        while entry is not None and entry.id not in self._seen:
            self._seen.add(entry.id)
            self.blocks += 1
            found = supply(entry.state)
            if found != self.supply:
                raise Violation(f"block {entry.id} at height {entry.height} makes {self.supply} coins {found}")
            self.votes.note(member.whole(entry))
            for each in entry.state.voting_sets:
                if each not in self.sets:
                    self.sets.append(each)
            entry = member.node.chain.entry(entry.parent)

    def check_proofs(self) -> None:
        """No honest validator is convicted; after a conflict those who are weigh a third of one of the sets."""
        guilty = set(self.votes.convicted(self.genesis_id, self.params))
        if not guilty <= self.lying:
            raise Violation(f"the honest {sorted(guilty - self.lying)} contradict themselves")
        if self.conflict is not None and not any(3 * each.weight_of(guilty) >= each.total for each in self.sets):
            raise Violation(f"{self.conflict}; and only {sorted(guilty)} are proven to have lied")

    def check_caught(self, member: Member) -> None:
        """A node that has stopped has itself the proof against a third of one of the sets, and against nobody else."""
        reports = {report.validator: report for report in member.node.witness.reports}
        for report in reports.values():
            proof(report, self.genesis_id, self.params)
        caught = set(reports)
        if not caught <= self.lying or not any(3 * each.weight_of(caught) >= each.total for each in self.sets):
            raise Violation(f"{member.name} has stopped, and has proof against {sorted(caught)} only")

    # ------------------------------------------------------------------ at the end

    def check_end(self, members: Iterable[Member], now: int) -> None:
        """All agree, and all that was acknowledged is final everywhere."""
        alive = [member for member in members if member.up]
        heads = {member.name: (member.node.head.height, member.node.head.id[:8]) for member in alive}
        if len(set(heads.values())) != 1:
            raise Violation(f"no agreement: {heads}")
        for member in alive:
            state = member.node.head.state
            if supply(state) != self.supply:
                raise Violation(f"{member.name} has another supply")
            for signed in self.acknowledged.values():
                standing = member.node.standing(signed.id)
                if standing is not None and standing.status == "final":
                    continue
                if signed.body.expires <= now + MAX_SKEW_MS:
                    continue  # expired, by the clock of a node that was ahead
                raise Violation(
                    f"{member.name} has {signed.id}, which was acknowledged, as "
                    f"{'unknown' if standing is None else standing.status}"
                )
            self._check_slashed(member)

    def _check_slashed(self, member: Member) -> None:
        """Whoever a node can prove to have lied has been reported once, is out, and lost exactly what it had staked."""
        node = member.node
        state = node.head.state
        if node.witness.reports:
            raise Violation(f"{member.name} has caught {[each.validator for each in node.witness.reports]}: no reports")
        reported = [
            signed.payload.validator
            for entry in node.chain.branch(0)
            for signed in member.whole(entry).transactions
            if isinstance(signed.payload, ReportMisconduct)
        ]
        if sorted(reported) != sorted(state.slashed):
            raise Violation(f"{member.name} has reports of {reported}, and slashed are {sorted(state.slashed)}")
        if not set(reported) <= self.lying:
            raise Violation(f"the honest {sorted(set(reported) - self.lying)} are slashed")
        if state.burned != sum(each.burned for each in state.slashed.values()):
            raise Violation(f"{state.burned} coins are burned, by reports {dict(state.slashed)}")
        for who in state.slashed:
            if state.accounts[who].locked or who in state.admissions or state.validators.weight(Address(who)):
                raise Violation(f"{who} is slashed, and still a validator or with stake")
        self.slashed.update({who: each.burned for who, each in state.slashed.items()})
        kept = [Block.decode(each.data, self.params.max_block_bytes) for each in member.disk.blocks_above(0)]
        shown = Votes()
        for block in kept:
            shown.note(block)
        missed = shown.convicted(self.genesis_id, self.params).keys() - state.slashed.keys()
        if missed:
            raise Violation(f"{member.name} has blocks that convict {sorted(missed)}, who are not slashed")
