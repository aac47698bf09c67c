"""What happens in a job, as a newcomer would say it: one line for each thing, with the time since it was submitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rich.markup import escape

from coordinator.documents import JobDocument

#: What happened (a key that stays the same) and the words for it, in the order in which things happen.
Happened = list[tuple[str, str]]


def stamped(names: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> Callable[[JobDocument], Happened]:
    """`happened`, each line with the seconds since this was called; for `cli.live.watch`."""
    begun = clock()
    first_seen: dict[str, float] = {}

    def told(job: JobDocument) -> Happened:
        now = clock() - begun
        return [
            (key, f"  [dim]{first_seen.setdefault(key, now):5.2f} s[/]  {escape(text)}")
            for key, text in happened(job, names)
        ]

    return told


def happened(job: JobDocument, names: Mapping[str, str]) -> Happened:
    """Everything that has happened in a job so far. `names`: address to the name of its owner, as far as known."""
    out: Happened = []
    seed = job["seed"]
    if seed is not None:
        out.append(("seed", f"block {seed['height']} gives the seed that draws the partitions"))
    for partition in job["partitions"]:
        index, worker = partition["index"], names.get(partition["worker"] or "", partition["worker"])
        if worker is not None:
            out.append((f"claim {index} {worker}", f"{worker} claims partition {index}"))
        if partition["state"] == "done":
            out.append((f"update {index} {worker}", f"{worker} submits its model of partition {index}"))
        if partition["error"]:
            out.append((f"error {index} {partition['error']}", f"partition {index}: {partition['error']}"))
    if job["candidate"] is not None:
        out.append(("candidate", "the four models are combined into one, the candidate; the validators start"))
    for vote in job["votes"]:
        validator = names.get(vote["validator"], vote["validator"])
        verb = {"approve": "approves", "reject": "rejects"}.get(vote["decision"], "cannot tell")
        out.append((f"vote {validator} {vote['decision']}", f"{validator} {verb}"))
    if job["state"] == "adopted":
        out.append(("closed", f"adopted as version {job['version']}: a quorum of validators approved"))
    elif job["closed"] is not None:
        out.append(("closed", f"{job['state']}"))
    if job["closed"] is not None and job["final"]:
        out.append(("final", "final: no node will ever take that block back"))
    return out
