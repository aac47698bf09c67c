"""Votes as this node has seen them, on the chain and beside it, and the contradictions among them.  Pure.

A validator that votes for two branches sends each side of the network the vote it wants to see.  Each is valid where
it is, so no state shows the offence: it shows to a node that keeps the votes it was handed, also those it refused and
those in blocks of other branches.  The votes are kept in memory, within bounds, what is found on the disk as well
(:mod:`chain.node.remembering`); whoever has a key makes a report of it (``GET /evidence``), and the chain decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from chain.errors import InvalidSignature
from chain.misconduct import accuse
from chain.schema import Address, Hash
from chain.state import State
from chain.transactions import ReportMisconduct, Signed, VoteCheckpoint, VoteModel

#: Checkpoint votes kept of one validator; the one farthest from the head goes first, so that votes for heights that
#: are long past or never come do not push out those that matter.
CHECKPOINTS_KEPT: Final = 256
#: Votes on candidates kept of one validator, and their bytes.
VOTES_KEPT: Final = 64
VOTES_BYTES: Final = 2 * 1024 * 1024
#: Validators whose votes are kept, those that have left included: twice the largest set.
VALIDATORS_KEPT: Final = 42


class _Record:
    """One validator's votes."""

    def __init__(self) -> None:
        #: By source and target height; of two with the same heights the second is the same vote, or an offence.
        self.checkpoints: dict[tuple[int, int], Signed] = {}
        #: The first approval or rejection by what it is about.
        self.votes: OrderedDict[tuple[object, ...], Signed] = OrderedDict()
        self.size = 0


class Witness:
    """Belongs to the node's one thread; :attr:`reports` may be read by any."""

    def __init__(self, genesis: Hash, found: Iterable[ReportMisconduct] = ()) -> None:
        """``genesis``: id of the network's genesis block; ``found``: what was found before."""
        self._genesis = genesis
        self._records: OrderedDict[Address, _Record] = OrderedDict()
        self._found: dict[Address, ReportMisconduct] = {report.validator: report for report in found}
        self.reports: tuple[ReportMisconduct, ...] = tuple(self._found.values())
        """What was found, one for each validator, ready to be signed and sent by anybody."""

    def saw(self, signed: Signed, state: State) -> None:
        """Take note of a vote, whatever became of it.  ``state``: the head's, which says who is a validator."""
        payload, sender = signed.payload, signed.sender
        if not isinstance(payload, (VoteCheckpoint, VoteModel)) or signed.body.genesis != self._genesis:
            return
        if sender in self._found or sender in state.slashed or not self._watched(sender, state):
            return
        try:
            signed.verify()
        except InvalidSignature:
            return
        record = self._records.get(sender)
        if record is None:
            record = self._records[sender] = _Record()
            while len(self._records) > VALIDATORS_KEPT:
                self._records.popitem(last=False)
        if isinstance(payload, VoteCheckpoint):
            against = _checkpoint(record, signed, payload, state.height)
        else:
            against = _vote(record, signed, payload)
        report = None if against is None else accuse(against, signed)
        if report is not None:
            self._records.pop(sender, None)
            self._found[sender] = report
            self.reports = tuple(self._found.values())

    def settled(self, state: State) -> None:
        """Forget reports about those whom the final ``state`` has slashed."""
        done = [who for who in self._found if who in state.slashed]
        for who in done:
            del self._found[who]
        if done:
            self.reports = tuple(self._found.values())

    def _watched(self, sender: Address, state: State) -> bool:
        pending = state.pending_set
        return (
            sender in self._records
            or sender in state.admissions
            or state.validators.weight(sender) > 0
            or (pending is not None and pending.set.weight(sender) > 0)
        )


def _checkpoint(record: _Record, signed: Signed, vote: VoteCheckpoint, head: int) -> Signed | None:
    """Keep a checkpoint vote; an earlier one that it contradicts. ``head``: the head's height."""
    source, target = vote.source_height, vote.target_height
    if (source, target) in record.checkpoints:
        earlier = record.checkpoints[source, target]
        return None if earlier.payload == vote else earlier
    against = None
    for (other_source, other_target), other in record.checkpoints.items():
        if other_target == target:
            offence = True
        elif other_target > target:
            offence = other_source < source
        else:
            offence = source < other_source
        if offence:
            against = other
            break
    record.checkpoints[source, target] = signed
    if len(record.checkpoints) > CHECKPOINTS_KEPT:
        del record.checkpoints[max(record.checkpoints, key=lambda heights: abs(heights[1] - head))]
    return against


def _vote(record: _Record, signed: Signed, vote: VoteModel) -> Signed | None:
    """Keep an approval or a rejection; an earlier one that it contradicts."""
    if vote.decision == "unavailable":
        return None
    about = (vote.job, vote.attempt, vote.candidate, vote.compared, vote.record)
    earlier = record.votes.get(about)
    if earlier is not None:
        other = earlier.payload
        return earlier if isinstance(other, VoteModel) and other.decision != vote.decision else None
    record.votes[about] = signed
    record.size += len(signed.data)
    while len(record.votes) > VOTES_KEPT or (record.size > VOTES_BYTES and len(record.votes) > 1):
        record.size -= len(record.votes.popitem(last=False)[1].data)
    return None
