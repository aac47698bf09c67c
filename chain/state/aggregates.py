"""Aggregates: a closed round's combined model, one per holder of an accepted update, side by side."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, Forbidden, NotYet
from chain.records import replace
from chain.state.context import Context, Origin, require
from chain.state.jobs import find, save
from chain.state.objects import Aggregate, Job, Round
from chain.state.rounds import advance, with_round
from chain.state.updates import check_environment
from chain.transactions import SubmitAggregate


def apply_submit_aggregate(context: Context, origin: Origin, payload: SubmitAggregate) -> None:
    """Accept an aggregate of exactly the round's updates; the first one opens the next round or the vote.

    Raises ``Duplicate`` for the same again, ``Forbidden`` for who holds no update, ``NotYet`` before the
    round is closed, ``InvalidField`` for an environment that the model does not list, ``Conflict`` for what
    is over or names other updates.
    """
    job, round_ = _find_round(context, payload)
    for aggregate in round_.aggregates:
        if aggregate.sender == origin.sender:
            if aggregate.artifact == payload.artifact:
                raise Duplicate("an aggregate that is not accepted yet", aggregate.id)
            raise Conflict(
                "one aggregate of each worker in a round", f"another than {aggregate.artifact}", "body.sender"
            )
    updates = tuple(update.id for update in round_.updates)
    holders = {update.worker for update in round_.updates}
    require(
        origin.sender in holders,
        Forbidden,
        "a worker with an update in the round",
        origin.sender,
        "body.sender",
    )
    require(
        origin.sender not in job.barred,
        Forbidden,
        "a worker that is not barred from the job",
        origin.sender,
        "body.sender",
    )
    if payload.updates != updates:
        raise Conflict(
            f"the round's {len(updates)} updates in partition order: {', '.join(updates[:4])}",
            f"{len(payload.updates)}: {', '.join(payload.updates[:4])}",
            "body.payload.updates",
        )
    check_environment(context, job, payload.environment)
    aggregate = Aggregate(
        id=origin.id,
        sender=origin.sender,
        updates=payload.updates,
        artifact=payload.artifact,
        score=payload.score,
        environment=payload.environment,
        height=context.height,
    )
    first = not round_.aggregates
    job = with_round(job, replace(round_, aggregates=(*round_.aggregates, aggregate)))
    context.emit(
        "aggregate_accepted", job=job.id, attempt=job.attempt, round=round_.index, worker=origin.sender,
        aggregate=aggregate.id, cid=aggregate.artifact, score=aggregate.score,
    )  # fmt: skip
    if first:
        job = advance(job, context.time)
    save(context, job)
    if first:
        announce_candidate(context, job)


def announce_candidate(context: Context, job: Job) -> None:
    """Say that the vote on a candidate has begun, if it has."""
    if job.candidate is not None:
        context.emit(
            "candidate", job=job.id, model=job.model, attempt=job.attempt, cid=job.candidate.artifact,
            score=job.candidate.score, until=job.vote_deadline,
        )  # fmt: skip


def _find_round(context: Context, payload: SubmitAggregate) -> tuple[Job, Round]:
    job = find(context, payload.job)
    require(job.is_open, Conflict, "a job that is open", job.state, "body.payload.job")
    for what, found, current in (
        ("attempt", payload.attempt, job.attempt),
        ("round", payload.round, min(payload.round, len(job.round_list) - 1)),
    ):
        if found != current:
            error = NotYet if found > current else Conflict
            raise error(f"the {what} {current}", str(found), f"body.payload.{what}")
    round_ = job.round_list[payload.round]
    if round_.closed is None:
        raise NotYet("a round that is closed", f"round {round_.index}, open", "body.payload.round")
    return job, round_
