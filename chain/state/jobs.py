"""A job's opening, its cancelling, and what blocks alone do to it: drawing the seed, deadlines, leaving the state."""

from __future__ import annotations

import hashlib

from chain.errors import Conflict, Forbidden, NotYet, Unknown
from chain.records import replace
from chain.schema import Hash
from chain.state.context import Context, Origin, existing, require, shorten
from chain.state.explain import missed_round, missed_vote
from chain.state.objects import Job, JobState, Round
from chain.state.rewards import give_back, hold
from chain.state.rounds import close_round, open_round
from chain.state.tables import CLOSED_JOBS, JOBS, MODELS, OPEN_JOBS, State
from chain.transactions import CancelJob, OpenJob

#: Longest reason that a job is given, in characters.
MAX_REASON = 4_000


def apply_open_job(context: Context, origin: Origin, payload: OpenJob) -> None:
    """Open a job; its first round begins with the next block, which draws its seed.

    Raises ``Unknown`` for a model that is not registered, ``Forbidden`` for one that the sender may not open
    jobs for or a dataset that it does not admit, ``InsufficientBalance`` for a reward that the sender cannot pay.
    """
    model = existing(context.draft.get(MODELS, payload.model), "model", payload.model)
    require(
        not model.openers or origin.sender in (*model.openers, model.owner),
        Forbidden,
        f"a sender who may open jobs for {model.name!r}",
        origin.sender,
        "body.sender",
    )
    require(
        payload.dataset in model.datasets,
        Forbidden,
        f"a dataset that model {model.name!r} admits: {', '.join(model.datasets)}",
        repr(payload.dataset),
        "body.payload.dataset",
    )
    hold(context, origin.sender, payload.reward)
    job = Job(
        id=origin.id,
        opener=origin.sender,
        model=payload.model,
        dataset=payload.dataset,
        estimator=payload.estimator,
        partitions=payload.partitions,
        rounds=payload.rounds,
        partitioning=payload.partitioning,
        aggregation=payload.aggregation,
        minimum_updates=payload.minimum_updates,
        attempts=payload.attempts,
        round_ms=payload.round_ms,
        vote_ms=payload.vote_ms,
        reward=payload.reward,
        height=context.height,
        opened=context.time,
    )
    save(context, job)
    context.emit(
        "job_opened", job=job.id, model=job.model, dataset=job.dataset, opener=job.opener,
        partitions=job.partitions, rounds=job.rounds,
    )  # fmt: skip


def apply_cancel_job(context: Context, origin: Origin, payload: CancelJob) -> None:
    """End a job without a version, by its opener or its model's owner, while no candidate is up."""
    job = find(context, payload.job)
    owner = existing(context.draft.get(MODELS, job.model), "model", job.model).owner
    require(
        origin.sender in (job.opener, owner),
        Forbidden,
        f"the job's opener {job.opener} or its model's owner {owner}",
        origin.sender,
        "body.sender",
    )
    require(job.state == "training", Conflict, "a job that is training", job.state, "body.payload.job")
    end(context, job, "cancelled", f"cancelled by {origin.sender}")


def find(context: Context, job_id: str) -> Job:
    """The job.  Raises ``Unknown`` for one that never was, and for one that is over for good (:func:`compact`)."""
    job = context.draft.get(JOBS, job_id)
    if job is None:
        raise Unknown("a job that is open, or closed and not yet final", repr(job_id), "body.payload.job")
    return job


def training(context: Context, job_id: str, attempt: int, round_index: int) -> tuple[Job, Round]:
    """The job and its newest round, for a transaction about that round.

    Raises ``Unknown``; ``Conflict`` for what is over, ``NotYet`` for what has not begun.
    """
    job = find(context, job_id)
    require(job.state == "training", Conflict, "a job that is training", job.state, "body.payload.job")
    _at("attempt", attempt, job.attempt)
    if not job.round_list:
        raise NotYet(
            "a job whose seed is drawn (in the block after the one that opened it)",
            "none",
            "body.payload.job",
        )
    _at("round", round_index, job.round_list[-1].index)
    return job, job.round_list[-1]


def _at(what: str, found: int, current: int) -> None:
    if found != current:
        raise (NotYet if found > current else Conflict)(
            f"the current {what}, {current}", str(found), f"body.payload.{what}"
        )


def save(context: Context, job: Job) -> None:
    """Put the job into the state, and into the index of open jobs or of closed ones."""
    context.draft.put(JOBS, job.id, job)
    if job.closed_height is None:
        context.draft.put(OPEN_JOBS, job.id, due(job))
    else:
        context.draft.remove(OPEN_JOBS, job.id)
        context.draft.put(CLOSED_JOBS, job.id, job.closed_height)


def compact(context: Context) -> None:
    """Let jobs leave the state whose closing is final by the parent's state: nothing can change them any more.

    No transaction is about a closed job but to be refused, so nothing in the transition misses them.  At most as many
    leave with one block as a block can open, so that the work is bounded and what waits never grows for good; those
    closed first leave first.
    """
    base = context.draft.base
    final_height = base.finality.final_height
    over = sorted((height, key) for key, height in base.closed_jobs.items() if height <= final_height)
    for _, key in over[: context.params.max_block_transactions]:
        context.draft.remove(JOBS, key)
        context.draft.remove(CLOSED_JOBS, key)


def compacted(before: State, after: State) -> tuple[Job, ...]:
    """The jobs that left the state with one block, as they last were, in the order of their ids.

    ``before``: the state of the block's parent, ``after``: the block's.
    """
    gone = (key for key in before.closed_jobs if key not in after.closed_jobs)
    return tuple(before.jobs[key] for key in sorted(gone))


def due(job: Job) -> int:
    """The block time from which the job's next step needs only a block: its seed, or a deadline."""
    if not job.round_list:
        return job.opened
    if job.vote_deadline is not None:
        return job.vote_deadline
    return job.round_list[-1].deadline


def end(context: Context, job: Job, state: JobState, reason: str) -> None:
    """End the job without a version."""
    reason = shorten(reason, MAX_REASON)
    save(context, replace(job, state=state, reason=reason, closed=context.time, closed_height=context.height))
    context.emit(state, job=job.id, model=job.model, attempt=job.attempt, reason=reason)
    give_back(context, job)


def close(context: Context, job: Job) -> None:
    """Close the job's round and save it."""
    job = close_round(job, context.time)
    last = job.round_list[-1]
    save(context, job)
    context.emit("round_closed", job=job.id, attempt=job.attempt, round=last.index, updates=len(last.updates))


def begin_block(context: Context) -> bool:
    """Take every step that is due by the block's time; says whether there was any."""
    late = sorted(key for key, time in context.draft.base.open_jobs.items() if time <= context.time)
    for key in late:
        _step(context, find(context, key))
    return bool(late)


def _step(context: Context, job: Job) -> None:
    if not job.round_list:
        # Only now is the id of the block known that holds the job, so nobody could choose their rows by
        # their salt.
        seed = hashlib.sha256(f"{job.id}{context.parent}".encode()).hexdigest()
        job = open_round(replace(job, seed=Hash(seed), seed_block=context.parent), context.time)
        save(context, job)
        context.emit("seed_drawn", job=job.id, seed=seed, seed_block=context.parent)
    elif job.state == "voting":
        end(context, job, "expired", missed_vote(job, context.validators))
    elif job.round_list[-1].closed is None and len(job.round_list[-1].updates) >= job.minimum_updates:
        close(context, job)
    else:
        end(context, job, "expired", missed_round(job))
