"""What a job waits for: first of all that its block becomes final, as nobody works for it before, and in the end that
the block which closed it does, as the outcome may be another one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chain.client import NodeClient, View
from chain.state import explain
from chain.state.explain import WaitingFor
from chain.state.objects import Job, ValidatorSet
from coordinator.documents import FINALITY, LATE_FINALITY

#: Milliseconds after a job opened or closed from which on it is said who has not voted. Finality takes two blocks.
LATE_MS = 5_000


def awaited(
    view: View[Job], validators: ValidatorSet, now: int, voted: Mapping[str, int] | None = None
) -> WaitingFor | None:
    """What the job waits for at `now`, milliseconds; None when its end is final. `voted` as `late_votes` gives it."""
    job, held_up = view.value, _held_up(view)
    if held_up is None:
        return explain(job, now, validators)
    height, since = held_up
    what, who = f"{FINALITY} of block {height}", "a quorum of validators"
    if voted is not None and _late(view, now):
        have = {member for member in validators.members if voted.get(member, -1) >= height}
        what = (
            f"{LATE_FINALITY}: {validators.weight_of(have)} of {validators.quorum()} votes for block {height} or a "
            f"later one, {validators.total} validators"
        )
        who = ", ".join(member for member in validators.members if member not in have) or who
    until = job.round_list[-1].deadline if job.is_open and job.round_list else None
    return {"what": what, "who": who, "since": since, "until": until}


def late_votes(node: NodeClient, views: Iterable[View[Job]], now: int) -> dict[str, int] | None:
    """How high each validator has voted, where one of the jobs has waited for finality for long; else None, unasked."""
    return node.voted() if any(_late(view, now) for view in views) else None


def _held_up(view: View[Job]) -> tuple[int, int] | None:
    """Height and time of the job's block that is not final: the one that opened it, of which neither tasks nor votes
    come before, or the one that closed it. None where it waits for no block."""
    job = view.value
    at = (job.height, job.opened) if job.seed is not None else None
    if job.closed is not None and job.closed_height is not None:
        at = (job.closed_height, job.closed)
    return at if at is not None and at[0] > view.final_height else None


def _late(view: View[Job], now: int) -> bool:
    held_up = _held_up(view)
    return held_up is not None and now - held_up[1] > LATE_MS
