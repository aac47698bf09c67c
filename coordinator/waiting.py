"""What a job waits for: first of all that its block becomes final, as nobody works for it before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chain.client import NodeClient, View
from chain.state import explain
from chain.state.explain import WaitingFor
from chain.state.objects import Job, ValidatorSet
from coordinator.documents import FINALITY, LATE_FINALITY

#: Milliseconds after a job's opening from which on it is said who has not voted. Finality takes two blocks.
LATE_MS = 5_000


def awaited(
    view: View[Job], validators: ValidatorSet, now: int, voted: Mapping[str, int] | None = None
) -> WaitingFor | None:
    """What the job waits for at `now`, milliseconds; None when it has ended. `voted` as `late_votes` gives it."""
    job = view.value
    if not _held_up(view):
        return explain(job, now, validators)
    what, who = f"{FINALITY} of block {job.height}", "a quorum of validators"
    if voted is not None and _late(view, now):
        have = {member for member in validators.members if voted.get(member, -1) >= job.height}
        what = (
            f"{LATE_FINALITY}: {validators.weight_of(have)} of {validators.quorum()} votes for block {job.height} or a "
            f"later one, {validators.total} validators"
        )
        who = ", ".join(member for member in validators.members if member not in have) or who
    until = job.round_list[-1].deadline if job.round_list else None
    return {"what": what, "who": who, "since": job.opened, "until": until}


def late_votes(node: NodeClient, views: Iterable[View[Job]], now: int) -> dict[str, int] | None:
    """How high each validator has voted, where one of the jobs has waited for finality for long; else None, unasked."""
    return node.voted() if any(_late(view, now) for view in views) else None


def _held_up(view: View[Job]) -> bool:
    """Whether the job's block is not final: neither tasks nor votes come of it before."""
    return view.value.is_open and view.value.seed is not None and view.value.height > view.final_height


def _late(view: View[Job], now: int) -> bool:
    return _held_up(view) and now - view.value.opened > LATE_MS
