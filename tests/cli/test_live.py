"""A job as it is shown while it runs."""

from __future__ import annotations

import io
from typing import Any, cast

from rich.console import Console

from cli import live
from coordinator.documents import LATE_FINALITY, JobDocument, WaitingDocument

FIRST, SECOND = "0x" + "ab" * 20, "0x" + "cd" * 20


def waiting(what: str, who: str | None) -> WaitingDocument:
    return {"what": what, "who": who, "since": "2026-01-31T12:00:00.000Z", "until": None}


def document(awaited: WaitingDocument | None, **fields: Any) -> JobDocument:
    found = {
        "job": "bafyjob", "model": "iris", "state": "training", "seed": None, "partitions": [], "candidate": None,
        "votes": [], "closed": None, "final": False, "reason": None, "waiting_for": awaited, **fields,
    }  # fmt: skip
    return cast(JobDocument, found)


def shown(*documents: JobDocument) -> list[str]:
    out = io.StringIO()
    live.watch(documents, Console(file=out, width=200))
    return out.getvalue().splitlines()


def test_that_finality_is_late_is_said_once_for_each_number_of_votes() -> None:
    none, one = (f"{LATE_FINALITY}: {votes} of 3 votes for block 7 or a later one, 4 validators" for votes in (0, 1))
    lines = shown(
        document(waiting("finality of block 7", "a quorum of validators")),
        document(waiting(none, f"{FIRST}, {SECOND}")),
        document(waiting(none, f"{FIRST}, {SECOND}")),
        document(waiting(one, SECOND)),
        document(waiting("claim of partition 0", "any worker")),
    )
    assert lines == [
        f"waits for   {none}, not yet by 0xababababa…, 0xcdcdcdcdc…",
        f"waits for   {one}, not yet by 0xcdcdcdcdc…",
    ]


def test_what_is_awaited_names_everybody_by_a_short_address_and_leaves_out_what_is_not_known() -> None:
    assert live.awaited(waiting("the block with the job", None)) == "the block with the job"
    until: WaitingDocument = {**waiting("claim of partition 0", "any worker"), "until": "2026-01-31T12:05:00.000Z"}
    assert live.awaited(until) == "claim of partition 0, by any worker, until 2026-01-31T12:05:00.000Z"
