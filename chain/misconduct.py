"""Two votes that one key may not both have signed: making a report of them, and what a report proves.  Pure.

Checkpoint votes contradict each other by :func:`conflict`; votes on a model when one approves what the other rejects:
the same candidate of the same attempt and record, compared with the same version.  (After another version went into
service the same validator may well judge otherwise, and `unavailable` contradicts nothing.)
"""

from __future__ import annotations

from chain.errors import InvalidField, InvalidSignature
from chain.params import Params
from chain.payloads import ReportMisconduct, SignedCheckpoint, SignedVote
from chain.schema import Hash
from chain.transactions import Signed, body_of
from chain.vote_payloads import VoteCheckpoint, VoteModel


def conflict(one: VoteCheckpoint, other: VoteCheckpoint) -> str | None:
    """Why two votes of one validator cannot both be honest, None where they can (or are the same vote).

    Two sources of one height are no offence: with a third of the weight lying both may be justified, each on its
    branch, and an honest validator may come from one to the other.
    """
    if one == other:
        return None
    lower, higher = sorted((one, other), key=lambda vote: (vote.target_height, vote.source_height))
    if lower.target_height == higher.target_height:
        return (
            f"two votes with targets at height {lower.target_height}: {lower.source} to {lower.target} and "
            f"{higher.source} to {higher.target}"
        )
    if higher.source_height < lower.source_height:
        return (
            f"the vote from {lower.source_height} to {lower.target_height} lies inside the one from "
            f"{higher.source_height} to {higher.target_height}"
        )
    return None


def contradiction(one: VoteModel, other: VoteModel) -> str | None:
    """Why two votes on candidates cannot both be honest, None where they can."""
    if {one.decision, other.decision} != {"approve", "reject"}:
        return None
    if any(
        getattr(one, name) != getattr(other, name) for name in ("job", "attempt", "candidate", "compared", "record")
    ):
        return None
    return f"both approved and rejected {one.candidate}, the candidate of job {one.job} in attempt {one.attempt}"


def accuse(first: Signed, second: Signed) -> ReportMisconduct | None:
    """The report of two signed votes; None where they are no contradiction of one sender."""
    one, other = first.payload, second.payload
    if first.sender != second.sender or first.body.genesis != second.body.genesis:
        return None
    pair = (first, second)
    if isinstance(one, VoteCheckpoint) and isinstance(other, VoteCheckpoint):
        if conflict(one, other) is None:
            return None
        checkpoints = tuple(
            SignedCheckpoint(each.body.salt, each.body.expires, each.payload, each.signature)  # type: ignore[arg-type]
            for each in pair
        )
        return ReportMisconduct(first.sender, checkpoints, ())
    if isinstance(one, VoteModel) and isinstance(other, VoteModel):
        if contradiction(one, other) is None:
            return None
        votes = tuple(
            SignedVote(each.body.salt, each.body.expires, each.payload, each.signature)  # type: ignore[arg-type]
            for each in pair
        )
        return ReportMisconduct(first.sender, (), votes)
    return None


def proof(report: ReportMisconduct, genesis: Hash, params: Params) -> str:
    """What a report proves of ``report.validator``, in words.  Raises ``InvalidField`` when it proves nothing.

    ``genesis``: id of the network's genesis block, which both votes must have been signed for.
    """
    report.check(params)
    signed: tuple[SignedCheckpoint | SignedVote, ...] = report.checkpoints or report.votes
    if report.checkpoints:
        where, reason = "checkpoints", conflict(report.checkpoints[0].vote, report.checkpoints[1].vote)
    else:
        where, reason = "votes", contradiction(report.votes[0].vote, report.votes[1].vote)
    if reason is None:
        raise InvalidField("two votes that contradict each other", "two that go together", where)
    for index, each in enumerate(signed):
        body = body_of(each.vote, report.validator, genesis, each.salt, each.expires)
        try:
            Signed(body, each.signature).verify()
        except InvalidSignature as error:
            raise InvalidField(f"a vote signed by {report.validator}", str(error), f"{where}[{index}]") from error
    return reason
