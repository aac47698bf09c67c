"""A job while it runs: one line for each thing that happened, and what it waits for at the bottom of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cli.output import short
from coordinator.documents import LATE_FINALITY, JobDocument, PartitionDocument, WaitingDocument


def watch(
    documents: Iterable[JobDocument],
    console: Console,
    told: Callable[[JobDocument], list[tuple[str, str]]] | None = None,
) -> JobDocument:
    """Show a job's documents as they come; returns the last. Without a terminal only the lines are printed.

    `told` says what has happened so far, in other words than `lines` does."""
    last: JobDocument | None = None
    seen: set[str] = set()
    with console.status("waiting for the job") as status:
        for document in documents:
            for key, line in (told or lines)(document) + _late(document):
                if key not in seen:
                    seen.add(key)
                    console.print(line, highlight=False, soft_wrap=True)
            _show_waiting(status, document)
            last = document
    if last is None:
        raise ValueError("a job is shown at least once")
    return last


def lines(job: JobDocument) -> list[tuple[str, str]]:
    """What has happened so far: a key that stays the same, and the line to print for it once."""
    out: list[tuple[str, str]] = []
    add = _adder(out)
    if job["seed"] is not None:
        seed = job["seed"]
        add("seed", f"seed        {seed['value']}  from block {seed['height']} ({seed['block'][:16]}…)")
    for partition in job["partitions"]:
        key, text = _partition(partition)
        if key:
            add(key, text)
    candidate = job["candidate"]
    if candidate is not None:
        baseline = "" if candidate["baseline"] is None else f", version in service {candidate['baseline']:.6f}"
        add(
            f"candidate {candidate['cid']}", f"candidate   {candidate['cid']}  score {candidate['score']:.6f}{baseline}"
        )
    for vote in job["votes"]:
        add(
            f"vote {vote['validator']} {vote['attempt']} {vote['candidate']} {vote['decision']} {vote['compared']}",
            f"vote        {short(vote['validator'], 12)} {vote['decision']}: {vote['reason']}",
        )
    if job["state"] == "adopted":
        add("adopted", f"adopted     {job['model']} version {job['version']}")
    elif job["closed"]:
        add("closed", f"{job['state']:<11} {job['reason']}")
    if job["final"] and job["closed"]:
        add("final", "final       the block that says so is final")
    return out


def _adder(out: list[tuple[str, str]]) -> Callable[[str, str], None]:
    def add(key: str, text: str) -> None:
        out.append((key, escape(text)))

    return add


def _partition(partition: PartitionDocument) -> tuple[str, str]:
    place = f"{partition['round']}.{partition['index']}"
    worker = short(partition["worker"], 12)
    if partition["state"] == "done":
        seconds = f"{partition['seconds']:.2f} s" if partition["seconds"] is not None else ""
        score = f"{partition['score']:.6f}" if partition["score"] is not None else "-"
        text = f"update {place:<5}{worker}  {partition['rows']} rows  score {score}  {seconds}  {partition['update']}"
        return f"done {place} {partition['update']}", text
    if partition["error"]:
        return f"error {place} {partition['error']}", f"trouble {place:<4}{partition['error']}"
    if partition["state"] == "claimed":
        return f"claimed {place} {partition['worker']}", f"claim {place:<6}{worker}"
    if partition["state"] == "removed":
        return f"removed {place}", f"removed {place:<4}its update was disproved"
    return "", ""


def _show_waiting(status: Status, job: JobDocument) -> None:
    waiting = job["waiting_for"]
    if waiting is None:
        status.update(f"{job['state']}")
        return
    status.update(escape(f"{job['state']}: waiting for {awaited(waiting)}"))


def _late(job: JobDocument) -> list[tuple[str, str]]:
    """A line where nothing happens in the job because its block does not become final; another when votes come."""
    waiting = job["waiting_for"]
    if waiting is None or not waiting["what"].startswith(LATE_FINALITY):
        return []
    return [(waiting["what"], escape(f"waits for   {awaited(waiting)}"))]


def awaited(waiting: WaitingDocument) -> str:
    """What is awaited, by whom and until when, in one line."""
    who = ", ".join(short(each, 12) if each.startswith("0x") else each for each in (waiting["who"] or "").split(", "))
    # Of late votes, who is named are those that are missing.
    by = f", {'not yet by' if waiting['what'].startswith(LATE_FINALITY) else 'by'} {who}" if who else ""
    until = f", until {waiting['until']}" if waiting["until"] else ""
    return f"{waiting['what']}{by}{until}"
