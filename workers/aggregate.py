"""Combine a closed round's updates, exactly those that the chain holds, into one model."""

from __future__ import annotations

from chain.client import NodeError, NodeUnavailable
from chain.schema import Cid, Hash
from chain.state import Job
from chain.transactions import SubmitAggregate
from workers import failures
from workers.context import WorkerContext
from workers.wanted import UNKNOWN, elsewhere_than, give_up, reported


def aggregate_round(context: WorkerContext, job_id: str, attempt: int, round_: int) -> str:
    """Do what the task asks, if the chain still wants it of this worker; what came of it, for the log.

    Raises `chain.client.NodeUnavailable` when the node is away; the scheduler sends the task again.
    """
    job = context.client.job(job_id)
    refusal = why_not(job, attempt, round_, context.key.address)
    if job is None or refusal:
        return refusal
    try:
        aggregate = failures.attempt(lambda: _aggregate(context, job, round_))
        if isinstance(aggregate, failures.Failed):
            return give_up(context, job, round_, None, aggregate)
        context.client.send(aggregate, context.key)
    except NodeUnavailable:
        raise
    except NodeError as refused:
        return f"left: {refused}"
    return "submitted"


def why_not(job: Job | None, attempt: int, round_: int, me: str) -> str:
    """Why the chain does not want this of `me` now; empty when it does."""
    if job is None:
        return UNKNOWN
    if elsewhere := elsewhere_than(job, attempt, round_):
        return elsewhere
    current = job.round_list[round_]
    if current.closed is None:
        return "the round is still open"
    if any(aggregate.sender == me for aggregate in current.aggregates):
        return "done already"
    if all(update.worker != me for update in current.updates):
        return "this worker holds no update of the round"
    if me in job.barred:
        return "this worker is barred from the job"
    return reported(current.failures, me, attempt)


def _aggregate(context: WorkerContext, job: Job, round_: int) -> SubmitAggregate:
    accepted = job.round_list[round_].updates
    updates = [(context.content(update.artifact), update.rows) for update in accepted]
    aggregated = context.session(job).aggregate(round_, updates)
    return SubmitAggregate(
        job=job.id,
        attempt=job.attempt,
        round=round_,
        updates=tuple(update.id for update in accepted),
        artifact=Cid(context.store.add(aggregated.artifact)),
        score=aggregated.score,
        environment=Hash(context.environment()),
    )
