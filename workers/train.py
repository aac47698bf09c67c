"""Train one partition: claim it, check and fetch what it needs, train, pin, submit."""

from __future__ import annotations

from chain.client import NodeError, NodeUnavailable
from chain.schema import Cid, Hash
from chain.state import Job
from chain.transactions import ClaimPartition, SubmitUpdate
from learning.errors import InvalidArtifact
from runtime.logs import get_logger
from workers import failures
from workers.context import WorkerContext
from workers.lease import Lease, LeaseLost
from workers.wanted import UNKNOWN, elsewhere_than, give_up, reported

log = get_logger("workers.train")


def train_partition(context: WorkerContext, job_id: str, attempt: int, round_: int, partition: int) -> str:
    """Do what the task asks, if the chain still wants it; returns what came of it, for the log.

    Running it twice changes nothing: a partition that is done, or another worker's, is left alone. Raises
    `chain.client.NodeUnavailable` when the node is away; the scheduler sends the task again.
    """
    job = context.client.job(job_id)
    refusal = why_not(job, attempt, round_, partition, context.key.address)
    if job is None or refusal:
        return refusal
    claim = ClaimPartition(job=job.id, attempt=attempt, round=round_, partition=partition)
    try:
        with Lease(context.client, context.key, claim) as lease:
            update = failures.attempt(lambda: _update(context, job, round_, partition))
            lease.confirm()  # only what the leaseholder sends counts
            if isinstance(update, failures.Failed):
                return give_up(context, job, round_, partition, update)
            context.client.send(update, context.key)
            return "submitted"
    except NodeUnavailable:
        raise
    except (LeaseLost, NodeError) as refused:
        return f"left: {refused}"


def why_not(job: Job | None, attempt: int, round_: int, partition: int, me: str) -> str:
    """Why the chain does not want this of `me` now; empty when it does."""
    if job is None:
        return UNKNOWN
    if elsewhere := elsewhere_than(job, attempt, round_):
        return elsewhere
    current = job.round_list[round_]
    if current.closed is not None or not 0 <= partition < len(current.partitions):
        return "the round is closed"
    place = current.partitions[partition]
    if place.update is not None:
        return "done already"
    if me in job.barred:
        return "this worker is barred from the job"
    return reported(place.failures, me, attempt)


def _update(context: WorkerContext, job: Job, round_: int, partition: int) -> SubmitUpdate:
    session = context.session(job)
    base = base_of(context, job, round_)
    trained = session.train(round_, partition, None if base is None else base[1])
    artifact = context.store.add(trained.artifact)
    return SubmitUpdate(
        job=job.id,
        attempt=job.attempt,
        round=round_,
        partition=partition,
        seed=Hash(session.recipe.seed),
        base=None if base is None else Cid(base[0]),
        artifact=Cid(artifact),
        rows=trained.rows,
        score=trained.score,
        milliseconds=trained.milliseconds,
        environment=Hash(context.environment()),
    )


def base_of(context: WorkerContext, job: Job, round_: int) -> tuple[str, bytes] | None:
    """CID and bytes of the model that the round continues from: the aggregate of the round before, which is
    recomputed here from that round's updates; None in round 0.

    Raises `InvalidArtifact` when none of the aggregates that stand is what the updates add up to.
    """
    if round_ == 0:
        return None
    before = job.round_list[round_ - 1]
    updates = [(context.content(u.artifact), u.rows) for u in before.updates]
    aggregated = context.session(job).aggregate(round_ - 1, updates)
    cid = context.store.add(aggregated.artifact)
    if cid not in {aggregate.artifact for aggregate in before.aggregates}:
        raise InvalidArtifact(
            f"none of the aggregates of round {round_ - 1} is what its updates add up to "
            f"({cid}); the validators will say whose is wrong"
        )
    return cid, aggregated.artifact
