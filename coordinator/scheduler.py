"""What is to be enqueued next: a pure function of the jobs on the chain and of what was sent before.

Celery alone loses tasks for tens of seconds when a worker is killed, so nothing here relies on a message
arriving: whatever the chain shows as not done, nobody works on and nobody was asked to do lately is sent
again. What was sent is memory, not truth: a coordinator that starts with none sends everything open once
more, and a task that is run twice changes nothing. Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from chain.state.claims import RETRYABLE
from chain.state.objects import Failure, Job, Lease, Partition, Round

TRAIN: Literal["assay.train"] = "assay.train"
AGGREGATE: Literal["assay.aggregate"] = "assay.aggregate"


@dataclass(frozen=True)
class Task:
    """One Celery task: ids only. `partition` is None for the aggregation of a round, which only a holder of
    an accepted update may do: it goes to `worker`'s own queue. To whom a task is sent does not make it another task."""

    job: str
    attempt: int
    round: int
    partition: int | None
    worker: str | None = field(default=None, compare=False)

    def queue(self, genesis: str) -> str:
        """Where it is sent in the network with this genesis hash: every worker of it reads one queue, and one of its
        own that is named for its address."""
        shared = f"assay.{genesis[:16]}"
        return shared if self.worker is None else f"{shared}.{self.worker}"

    @property
    def name(self) -> str:
        """The name under which workers know it."""
        return AGGREGATE if self.partition is None else TRAIN

    @property
    def kwargs(self) -> dict[str, str | int]:
        """What the message carries."""
        ids: dict[str, str | int] = {"job": self.job, "attempt": self.attempt, "round": self.round}
        return ids if self.partition is None else ids | {"partition": self.partition}


@dataclass(frozen=True)
class Sent:
    """How often a task was sent, when last, and what became of it.

    `unclaimed` counts the sends in a row that nobody took up; `lost` those that ended with a lapsed lease,
    as happens when a task takes its worker down with it; `seen` is the end of the lease or the time of the
    failure that the last send answered, so that each is counted once; `returned` is when the process began
    for which a worker was last sent what it holds.
    """

    at: int
    count: int = 1
    unclaimed: int = 0
    lost: int = 0
    seen: int = 0
    returned: int = 0


@dataclass(frozen=True)
class Policy:
    """The scheduler's patience."""

    claim_ms: int = 5_000
    """How long an idle worker may take to claim what was sent; doubled with each send that nobody took up."""
    aggregate_ms: int = 5_000
    """How long a round's aggregate may take before the task is sent again; doubled likewise."""
    lapse_ms: int = 1_000
    """After a lease lapsed: its holder may be renewing it."""
    retry_ms: int = 2_000
    """After a failure that may pass ("unavailable"); doubled with each. After any other, another worker is
    asked at once."""
    longest_ms: int = 60_000
    """No wait is longer."""
    losses: int = 3
    """A task whose worker vanished this often is not sent again: it would take down one worker after the other."""
    aggregations: int = 10
    """An aggregation is sent at most this often in an attempt. It holds no lease that would tell a slow one
    from one that took its worker down; the round's own deadline decides then."""


@dataclass(frozen=True)
class Plan:
    """`tasks` are to be sent now, `wake` is when to look again though nothing happened (None: no need),
    `sent` is what to remember once they are sent."""

    tasks: tuple[Task, ...]
    wake: int | None
    sent: Mapping[Task, Sent]


def plan(
    jobs: Sequence[Job],
    final_height: int,
    now: int,
    sent: Mapping[Task, Sent],
    workers: Set[str],
    policy: Policy | None = None,
    since: Mapping[str, int] | None = None,
) -> Plan:
    """The next step for all open jobs.

    `final_height` is that of the last final block: a job is begun when the block that opened it is final.
    `workers` are the addresses known to be alive: while all of them hold leases, what nobody claimed is
    waiting in the queue, not lost. `since` says when their processes began: what a worker claimed before that
    was lost with an earlier one, and is sent to it again at once, for nobody else may take it before the lease
    lapses. Nothing is remembered of jobs that are over.
    """
    policy = policy or Policy()
    busy = [lease.worker for job in jobs for lease in _leases(job) if lease.until > now]
    tasks: list[Task] = []
    wakes: list[int] = []
    kept: dict[Task, Sent] = {}
    for job in jobs:
        for task, due, record in _wanted(job, final_height, now, sent, workers, busy, policy, since or {}):
            if due is not None and due <= now:
                tasks.append(task)
                kept[task] = record
            else:
                if task in sent:
                    kept[task] = sent[task]
                if due is not None:
                    wakes.append(due)
    return Plan(tuple(tasks), min(wakes, default=None), kept)


_Wanted = tuple[Task, int | None, Sent]


def _wanted(
    job: Job,
    final_height: int,
    now: int,
    sent: Mapping[Task, Sent],
    workers: Set[str],
    busy: Sequence[str],
    policy: Policy,
    since: Mapping[str, int],
) -> Iterable[_Wanted]:
    """What the job still needs: the task, when it is due (None: not by time alone) and its record once sent."""
    if job.state != "training" or job.seed is None or job.height > final_height or not job.round_list:
        return
    current = job.round_list[-1]
    if current.closed is None:
        for partition in current.partitions:
            if partition.update is None:
                task = Task(job.id, job.attempt, current.index, partition.index)
                back = _returned(partition, sent.get(task), since, policy)
                if back is not None and partition.lease is not None:
                    yield replace(task, worker=partition.lease.worker), now, replace(back, at=now)
                    continue
                due, record = _training(job, partition, now, sent.get(task), len(busy) < len(workers), policy)
                yield replace(task, worker=_another(job, partition, workers, busy, record.count)), due, record
    elif not current.aggregates:
        task = Task(job.id, job.attempt, current.index, None)
        before = sent.get(task)
        due, record = _aggregation(job, current, now, before, policy)
        holder = _holder(job, current, workers, before.count if before is not None else 0)
        yield replace(task, worker=holder), due, record


def _returned(
    partition: Partition, before: Sent | None, since: Mapping[str, int], policy: Policy
) -> Sent | None:
    """The record of sending a partition to its holder once more, whose process is younger than its claim; else None."""
    lease = partition.lease
    began = since.get(lease.worker, 0) if lease is not None else 0
    before = before or Sent(0, count=0)
    if lease is None or began <= max(lease.since, before.returned) or before.lost + 1 >= policy.losses:
        return None
    return Sent(0, before.count + 1, lost=before.lost + 1, seen=lease.until, returned=began)


def _training(
    job: Job, partition: Partition, now: int, before: Sent | None, idle: bool, policy: Policy
) -> tuple[int | None, Sent]:
    lease = partition.lease
    failure = _last_failure(job, partition.failures)
    if lease is not None and lease.until > now:
        # Somebody works on it: look again when that lease has lapsed.
        return max(lease.until + policy.lapse_ms, now + 1), before or Sent(now)
    retry = failure.time + _retry(job, partition.failures, policy) if failure is not None else 0
    lapse = lease.until + policy.lapse_ms if lease is not None else 0
    seen = max(lease.until if lease is not None else 0, failure.time if failure is not None else 0)
    if before is None:
        # Sent by a predecessor, if at all: of its losses this lapse is the one that shows.
        return max(now, retry, lapse), Sent(now, lost=int(lease is not None), seen=seen)
    if lease is not None and lease.until > before.seen:
        lost = before.lost + 1
        record = replace(before, at=now, count=before.count + 1, unclaimed=0, lost=lost, seen=seen)
        return None if lost >= policy.losses else lapse, record
    if before.lost >= policy.losses:
        return None, before
    if failure is not None and failure.time > before.seen:
        return retry, replace(before, at=now, count=before.count + 1, unclaimed=0, seen=seen)
    due = before.at + _doubled(policy.claim_ms, before.unclaimed, policy)
    if due <= now and not idle:
        return None, before  # every worker is at work; the next claim, update or lapse is looked at again
    return due, replace(before, at=now, count=before.count + 1, unclaimed=before.unclaimed + 1)


def _aggregation(
    job: Job, current: Round, now: int, before: Sent | None, policy: Policy
) -> tuple[int | None, Sent]:
    failure = _last_failure(job, current.failures)
    if before is None:
        due = now if failure is None else max(now, failure.time + _retry(job, current.failures, policy))
        return due, Sent(max(due, now), seen=failure.time if failure is not None else 0)
    if before.count >= policy.aggregations:
        return None, before
    if failure is not None and failure.time > before.seen:
        record = Sent(now, before.count + 1, 0, before.lost, failure.time)
        return failure.time + _retry(job, current.failures, policy), record
    due = before.at + _doubled(policy.aggregate_ms, before.unclaimed, policy)
    return due, Sent(now, before.count + 1, before.unclaimed + 1, before.lost, before.seen)


def _holder(job: Job, current: Round, workers: Set[str], turn: int) -> str | None:
    """Whom to ask for the aggregate: the holders of updates in turn, of those alive if any is."""
    holders = list(dict.fromkeys(u.worker for u in current.updates if u.worker not in job.barred))
    asked = [holder for holder in holders if holder in workers] or holders
    return asked[turn % len(asked)] if asked else None


def _another(job: Job, partition: Partition, workers: Set[str], busy: Sequence[str], turn: int) -> str | None:
    """Whom to send a partition that somebody cannot do: to one that has not said so, in turn, of those with nothing
    to do if there are any. None, and so whoever is first, where nobody has said so or nobody else lives."""
    refusing = {f.worker for f in partition.failures if f.attempt == job.attempt and f.code != RETRYABLE}
    able = sorted(set(workers) - refusing - set(job.barred)) if refusing else []
    asked = [worker for worker in able if worker not in busy] or able
    return asked[turn % len(asked)] if asked else None


def _last_failure(job: Job, failures: Sequence[Failure]) -> Failure | None:
    own = [failure for failure in failures if failure.attempt == job.attempt]
    return max(own, key=lambda failure: failure.time, default=None)


def _retry(job: Job, failures: Sequence[Failure], policy: Policy) -> int:
    own = sum(1 for failure in failures if failure.attempt == job.attempt and failure.code == RETRYABLE)
    if own == 0:
        return 0  # whoever failed will not try again, and another may at once
    return _doubled(policy.retry_ms, own - 1, policy)


def _doubled(base: int, times: int, policy: Policy) -> int:
    return int(min(base * 2 ** min(times, 30), policy.longest_ms))


def _leases(job: Job) -> Iterable[Lease]:
    for round_ in job.round_list:
        if round_.closed is None:
            for partition in round_.partitions:
                if partition.update is None and partition.lease is not None:
                    yield partition.lease
