"""What a job waits for, and what it waited for in vain, in words and without looking at any clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from chain.state.objects import Failure, Job, Partition, Round, ValidatorSet, Vote


class WaitingFor(TypedDict):
    """What is awaited, from whom, since when and until when (milliseconds)."""

    what: str
    who: str
    since: int
    until: int | None


def explain(job: Job, now: int, validators: ValidatorSet) -> WaitingFor | None:
    """What the job waits for at block time ``now``; None when it has ended.

    ``until`` is when the chain stops waiting by itself; only the seed, which needs no more than a next
    block, has none.
    """
    if not job.is_open:
        return None
    if not job.round_list:
        return {"what": "seed from the next block", "who": "miner", "since": job.opened, "until": None}
    last = job.round_list[-1]
    if job.vote_deadline is not None:
        return {
            "what": _votes_wanted(job, validators),
            "who": ", ".join(absent(job, validators)) or "nobody: all have voted",
            "since": job.vote_deadline - job.vote_ms,
            "until": job.vote_deadline,
        }
    if last.closed is not None:
        return {
            "what": f"aggregate of round {last.index}",
            "who": ", ".join(sorted({update.worker for update in last.updates} - {*job.barred}))
            or "nobody: all are barred",
            "since": last.closed,
            "until": last.deadline,
        }
    return _updates_wanted(last, now)


def _updates_wanted(last: Round, now: int) -> WaitingFor:
    missing = [partition for partition in last.partitions if partition.update is None]
    leases = [partition.lease for partition in missing if partition.lease is not None]
    held = [lease for lease in leases if lease.until > now]
    if not held:
        what, who = "claim", "any worker"
    else:
        missing = [partition for partition in missing if partition.lease in held]
        what, who = "update", ", ".join(sorted({lease.worker for lease in held}))
    until = min((lease.until for lease in held), default=last.deadline)
    return {
        "what": f"{what} of {_numbered('partition', missing)}",
        "who": who,
        "since": min((lease.since for lease in held), default=last.opened),
        "until": min(until, last.deadline),
    }


def _numbered(word: str, partitions: list[Partition]) -> str:
    numbers = ", ".join(str(partition.index) for partition in partitions)
    return f"{word} {numbers}" if len(partitions) == 1 else f"{word}s {numbers}"


def cast(job: Job) -> tuple[Vote, ...]:
    """The votes that count now: those on the present candidate."""
    return tuple(vote for vote in job.votes if job.candidate is not None and vote.attempt == job.attempt)


def absent(job: Job, validators: ValidatorSet) -> tuple[str, ...]:
    """The validators that have not voted on the present candidate, or found something unavailable."""
    present = {vote.validator for vote in cast(job) if vote.decision != "unavailable"}
    return tuple(member for member in validators.members if member not in present)


def _votes_wanted(job: Job, validators: ValidatorSet) -> str:
    approvals = validators.weight_of({vote.validator for vote in cast(job) if vote.decision == "approve"})
    rejections = validators.weight_of({vote.validator for vote in cast(job) if vote.decision == "reject"})
    return (
        f"votes on the candidate: {approvals} of {validators.quorum()} approvals, {rejections} rejections, "
        f"{validators.total} validators"
    )


def missed_round(job: Job) -> str:
    """Why a round's deadline ended the job: what is missing, who had it, who last failed and how."""
    last = job.round_list[-1]
    if last.closed is not None:
        reason = f"round {last.index} had no aggregate by its deadline{_last_failure(last.failures)}"
        return f"{reason}; its updates are kept"
    missing = [partition for partition in last.partitions if partition.update is None]
    details = (
        f"partition {partition.index}: {_holder(partition)}{_last_failure(partition.failures)}"
        for partition in missing
    )
    return (
        f"round {last.index} had {len(last.updates)} of {job.partitions} updates by its deadline, "
        f"{job.minimum_updates} needed; {'; '.join(details)}"
    )


def _holder(partition: Partition) -> str:
    return "nobody holds it" if partition.lease is None else f"claimed by {partition.lease.worker}"


def _last_failure(failures: tuple[Failure, ...]) -> str:
    return f", last failure: {describe(failures[-1])}" if failures else ""


def describe(failure: Failure) -> str:
    """A failure in one line: who, code, message, the content it is about and who was asked for it."""
    about = _content(failure.cids, failure.asked)
    return f"{failure.worker} {failure.code}: {failure.message}{about}"


def _content(cids: Iterable[str], asked: str) -> str:
    named = ", ".join(cids)
    if not named and not asked:
        return ""
    return f" (content {named or 'unnamed'}{f', asked {asked}' if asked else ''})"


def missed_vote(job: Job, validators: ValidatorSet) -> str:
    """Why the vote's deadline ended the job: who voted how, who did not, and what was unavailable to whom."""
    parts = [f"no quorum of {validators.quorum()} of {validators.total} by the vote's deadline"]
    for vote in cast(job):
        content = _content(vote.missing, vote.asked) if vote.decision == "unavailable" else ""
        parts.append(f"{vote.validator} {vote.decision}: {vote.reason}{content}")
    voted = {vote.validator for vote in cast(job)}
    silent = [member for member in validators.members if member not in voted]
    if silent:
        parts.append(f"no vote from {', '.join(silent)}")
    return "; ".join(parts)
