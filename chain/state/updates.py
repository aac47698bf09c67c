"""Updates: workers' models for a partition and round."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, InvalidField, NotYet
from chain.records import replace
from chain.schema import Cid, Hash
from chain.state.claims import find_partition, require_lease
from chain.state.context import Context, Origin, existing, require
from chain.state.jobs import close, find, save, training
from chain.state.objects import Job, Update
from chain.state.rounds import with_partition
from chain.state.tables import JOBS, MODELS
from chain.transactions import SubmitUpdate


def apply_submit_update(context: Context, origin: Origin, payload: SubmitUpdate) -> None:
    """Accept the leaseholder's update; the round closes with its last one.

    Raises ``Duplicate`` for the same again, ``Forbidden`` for another's claim, ``NotYet`` before there is a
    claim or a base, ``InvalidField`` for an environment that the model does not list, ``Conflict`` for what
    is over or does not match the job's record.
    """
    _refuse_repetition(find(context, payload.job), origin, payload)
    job, last = training(context, payload.job, payload.attempt, payload.round)
    partition = find_partition(job, last, payload.partition)
    require_lease(partition, origin.sender)
    if payload.seed != job.seed:
        raise Conflict(f"the job's seed {job.seed}", payload.seed, "body.payload.seed")
    _check_base(job, payload.round, payload.base)
    check_environment(context, job, payload.environment)
    update = Update(
        id=origin.id,
        worker=origin.sender,
        seed=payload.seed,
        base=payload.base,
        artifact=payload.artifact,
        rows=payload.rows,
        score=payload.score,
        milliseconds=payload.milliseconds,
        environment=payload.environment,
        height=context.height,
    )
    job = with_partition(job, last.index, replace(partition, lease=None, update=update))
    save(context, job)
    context.emit(
        "update_accepted", job=job.id, attempt=job.attempt, round=last.index, partition=partition.index,
        worker=update.worker, update=update.id, cid=update.artifact, rows=update.rows, score=update.score,
        milliseconds=update.milliseconds,
    )  # fmt: skip
    if len(job.round_list[-1].updates) == job.partitions:
        close(context, context.draft.get(JOBS, job.id) or job)


def _refuse_repetition(job: Job, origin: Origin, payload: SubmitUpdate) -> None:
    for round_ in job.round_list[payload.round : payload.round + 1]:
        for partition in round_.partitions[payload.partition : payload.partition + 1]:
            update = partition.update
            if update is not None and (update.worker, update.artifact) == (origin.sender, payload.artifact):
                raise Duplicate("an update that is not accepted yet", update.id)


def _check_base(job: Job, round_index: int, base: Cid | None) -> None:
    if round_index == 0:
        require(base is None, Conflict, "no base in round 0", base, "body.payload.base")
        return
    standing = {aggregate.artifact for aggregate in job.round_list[round_index - 1].aggregates}
    if base not in standing:
        raise NotYet(
            f"a base that is an aggregate of round {round_index - 1}: {', '.join(sorted(standing))}",
            str(base),
            "body.payload.base",
        )


def check_environment(context: Context, job: Job, environment: Hash) -> None:
    """What is submitted was made in an environment in which the model's validators judge.

    In another one nobody could disprove it, and nobody approve it: it would hold up the job until its
    deadline.  Raises ``InvalidField``.
    """
    model = existing(context.draft.get(MODELS, job.model), "model", job.model)
    if environment not in model.environments:
        raise InvalidField(
            f"an environment of model {model.name!r}: {', '.join(model.environments)}",
            environment,
            "body.payload.environment",
        )
