"""What training and aggregating have in common: whether the chain wants it now, and giving up."""

from __future__ import annotations

from collections.abc import Iterable

from chain.state import Failure, Job
from workers import failures
from workers.context import WorkerContext

UNKNOWN = "the node knows no such job"


def elsewhere_than(job: Job, attempt: int, round_: int) -> str:
    """Where the job is, unless it trains this attempt's round; empty when it does."""
    if job.state == "training" and job.attempt == attempt and len(job.round_list) == round_ + 1:
        return ""
    return f"the job is {job.state}, attempt {job.attempt}, round {len(job.round_list) - 1}"


def reported(made: Iterable[Failure], me: str, attempt: int) -> str:
    """Says so where this worker has reported in this attempt that it cannot for good; empty where it has not."""
    if any(each.worker == me and each.attempt == attempt and each.code != failures.UNAVAILABLE for each in made):
        return "this worker reported that it cannot"
    return ""


def give_up(context: WorkerContext, job: Job, round_: int, partition: int | None, failed: failures.Failed) -> str:
    """Report a failure and forget what was loaded for the job; what came of the task, for the log."""
    context.forget(job)
    failures.report(
        context.client, context.key, job=job.id, attempt=job.attempt, round_=round_, partition=partition, failed=failed
    )
    return f"failed: {failed.message}"
