"""Leases on partitions, and reports that one could not be done."""

from __future__ import annotations

from chain.errors import Conflict, Forbidden, InvalidField, NotYet
from chain.records import replace
from chain.schema import Address
from chain.state.context import Context, Origin, existing, require
from chain.state.explain import describe
from chain.state.jobs import end, save, training
from chain.state.objects import Failure, Job, Lease, Partition, Round
from chain.state.rounds import bar, with_partition, with_round
from chain.state.stakes import engage
from chain.state.tables import MODELS
from chain.transactions import ClaimPartition, ReportFailure

#: A failure of this kind may pass; whoever met it may claim the partition again.
RETRYABLE = "unavailable"
#: Failures of that kind that a partition, or a round's aggregation, keeps: the newest. Whoever owns the minimum
#: balance can pass it on from account to account, so that the number of workers bounds nothing.
RETRYABLE_KEPT = 8


def apply_claim_partition(context: Context, origin: Origin, payload: ClaimPartition) -> None:
    """Take or renew the lease on a partition.

    A lapsed lease is its holder's until another worker claims, which bars the holder from the job.  Raises
    ``Conflict`` for what is taken or done, ``Forbidden`` for who may not, ``NotYet`` for what has not begun.
    """
    job, last = training(context, payload.job, payload.attempt, payload.round)
    partition = find_partition(job, last, payload.partition)
    worker = origin.sender
    _may_work(context, job, worker)
    require(
        not any(
            failure.worker == worker and failure.attempt == job.attempt and failure.code != RETRYABLE
            for failure in partition.failures
        ),
        Forbidden,
        "a worker that has not failed on this partition for good",
        worker,
        "body.sender",
    )
    held = partition.lease
    mine = held is not None and held.worker == worker
    if held is not None and not mine and held.until > context.time:
        raise Conflict(
            f"a partition that is free (this one is until {held.until})",
            f"one that {held.worker} holds",
            "body.payload.partition",
        )
    others = sum(
        1
        for other in last.partitions
        if other.index != partition.index
        and other.lease is not None
        and other.lease.worker == worker
        and other.lease.until > context.time
    )
    most = context.params.leases_per_worker
    if others >= most:
        raise Forbidden(f"at most {most} leases of a worker in a job", str(others + 1), "body.sender")
    if held is not None and not mine:
        job = bar(job, [held.worker])
        context.emit("worker_barred", job=job.id, worker=held.worker, reason="its lease lapsed and was taken")
    since = held.since if held is not None and mine else context.time
    lease = Lease(worker, since=since, until=context.time + context.params.lease_ms)
    partition = replace(job.round_list[-1].partitions[partition.index], lease=lease)
    save(context, with_partition(job, last.index, partition))
    if not mine:
        engage(context, worker, job.id)
        context.emit(
            "partition_claimed", job=job.id, attempt=job.attempt, round=last.index, partition=partition.index,
            worker=worker, until=lease.until,
        )  # fmt: skip


def find_partition(job: Job, open_round: Round, index: int) -> Partition:
    """A partition that still wants its update.  Raises ``InvalidField`` or ``Conflict``."""
    if index >= job.partitions:
        raise InvalidField(f"a partition of 0 to {job.partitions - 1}", str(index), "body.payload.partition")
    if open_round.closed is not None:
        raise Conflict("a round that is open", f"round {open_round.index}, closed", "body.payload.round")
    partition = open_round.partitions[index]
    if partition.update is not None:
        raise Conflict("a partition without an update", f"partition {index}", "body.payload.partition")
    return partition


def _may_work(context: Context, job: Job, worker: Address) -> None:
    allowed = existing(context.draft.get(MODELS, job.model), "model", job.model).workers
    if allowed and worker not in allowed:
        raise Forbidden(f"a worker on the list of model {job.model!r}", worker, "body.sender")
    require(
        worker not in job.barred, Forbidden, "a worker that is not barred from the job", worker, "body.sender"
    )


def require_lease(partition: Partition, worker: Address) -> Lease:
    """The worker's lease on the partition, lapsed or not.

    Raises ``NotYet`` where nobody holds it (the claim may be on its way), ``Forbidden`` where another does.
    """
    lease = partition.lease
    if lease is None:
        raise NotYet("a lease on the partition", "none: claim it first", "body.payload.partition")
    if lease.worker != worker:
        raise Forbidden(f"the holder of the lease, {lease.worker}", worker, "body.sender")
    return lease


def apply_report_failure(context: Context, origin: Origin, payload: ReportFailure) -> None:
    """Say that a partition, or a round's aggregate, could not be done, and why.

    Releases the lease.  When enough different workers failed for good on the same thing, the job has failed.
    """
    job, last = training(context, payload.job, payload.attempt, payload.round)
    failure = Failure(
        worker=origin.sender,
        attempt=job.attempt,
        code=payload.code,
        message=payload.message,
        cids=payload.cids,
        asked=payload.asked,
        time=context.time,
    )
    able = existing(context.draft.get(MODELS, job.model), "model", job.model).workers
    if payload.partition is None:
        able = _check_aggregator(job, last, origin.sender)
        failures = _with(last.failures, failure)
        job = with_round(job, replace(last, failures=failures))
        what = f"the aggregation of round {last.index}"
    else:
        partition = find_partition(job, last, payload.partition)
        require_lease(partition, origin.sender)
        failures = _with(partition.failures, failure)
        job = with_partition(job, last.index, replace(partition, lease=None, failures=failures))
        what = f"partition {partition.index} of round {last.index}"
    save(context, job)
    context.emit(
        "failure_reported", job=job.id, attempt=job.attempt, round=last.index, partition=payload.partition,
        worker=origin.sender, code=payload.code, message=payload.message, cids=",".join(payload.cids),
        asked=payload.asked,
    )  # fmt: skip
    final = [failure for failure in failures if failure.code != RETRYABLE and failure.attempt == job.attempt]
    enough = context.params.failure_reports
    if able:
        enough = max(1, min(enough, len(set(able) - set(job.barred))))
    if len({failure.worker for failure in final}) >= enough:
        end(context, job, "failed", f"{what} cannot be done: {'; '.join(map(describe, final))}")


def _check_aggregator(job: Job, last: Round, sender: Address) -> tuple[Address, ...]:
    """The workers that could aggregate the round, of whom the sender must be one."""
    if last.closed is None:
        raise NotYet("a round that is closed", f"round {last.index}, open", "body.payload.round")
    workers = tuple(update.worker for update in last.updates)
    require(sender in workers, Forbidden, "a worker with an update in the round", sender, "body.sender")
    require(
        sender not in job.barred, Forbidden, "a worker that is not barred from the job", sender, "body.sender"
    )
    return workers


def _with(failures: tuple[Failure, ...], new: Failure) -> tuple[Failure, ...]:
    """The newest of a worker's failures of each sort, so that a job cannot be made to grow."""

    def sort_of(failure: Failure) -> tuple[Address, bool, int]:
        return failure.worker, failure.code == RETRYABLE, failure.attempt if failure.code != RETRYABLE else 0

    kept = [*(failure for failure in failures if sort_of(failure) != sort_of(new)), new]
    passing = [failure for failure in kept if failure.code == RETRYABLE]
    oldest = passing[: max(0, len(passing) - RETRYABLE_KEPT)]
    return tuple(failure for failure in kept if failure not in oldest)
