"""Votes on candidates, and what a quorum of them does: adoption, rejection, another attempt."""

from __future__ import annotations

from collections import Counter

from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, NotYet
from chain.records import replace
from chain.schema import Address, Cid
from chain.state.aggregates import announce_candidate
from chain.state.context import Context, Origin, existing, listed, require
from chain.state.explain import cast
from chain.state.jobs import end, find, save
from chain.state.models import version_key
from chain.state.objects import Job, Model, ValidatorSet, Version, Vote
from chain.state.rewards import pay
from chain.state.rounds import bar, mark_removed, record_digest, remove, senders
from chain.state.stakes import engage
from chain.state.tables import DATASETS, JOBS, MODELS, OPEN_JOBS, VERSIONS
from chain.transactions import VoteModel


def apply_vote_model(context: Context, origin: Origin, payload: VoteModel) -> None:
    """Count a validator's vote; a quorum decides at once.

    Raises ``Forbidden`` for who is no validator, ``Conflict`` for a vote on something else than what stands,
    ``InvalidField`` for an approval that the rules do not allow, ``NotYet`` for a comparison with another
    version than the one in service, ``Duplicate`` for the same again.
    """
    validators = context.validators
    require(validators.weight(origin.sender) > 0, Forbidden, "a validator", origin.sender, "body.sender")
    job = find(context, payload.job)
    _check_subject(job, payload)
    model = existing(context.draft.get(MODELS, job.model), "model", job.model)
    if payload.compared != model.in_service:
        raise NotYet(
            f"a comparison with the version in service, {model.in_service or 'none'}",
            str(payload.compared),
            "body.payload.compared",
        )
    _check_decision(job, model, payload)
    vote = Vote(
        validator=origin.sender,
        attempt=payload.attempt,
        candidate=payload.candidate,
        compared=payload.compared,
        decision=payload.decision,
        score=payload.score,
        baseline=payload.baseline,
        replayed=payload.replayed,
        disproved=payload.disproved,
        missing=payload.missing,
        asked=payload.asked,
        mode=payload.mode,
        environment=payload.environment,
        reason=payload.reason,
        height=context.height,
        time=context.time,
    )
    job = replace(job, votes=(*_others(job, vote), vote))
    save(context, job)
    engage(context, origin.sender, job.id)
    context.emit(
        "vote", job=job.id, attempt=job.attempt, validator=vote.validator, decision=vote.decision,
        cid=vote.candidate, score=vote.score, baseline=vote.baseline, replayed=len(vote.replayed),
        disproved=listed(vote.disproved), missing=listed(vote.missing), reason=vote.reason,
    )  # fmt: skip
    _decide(context, job, model)


def recount(context: Context) -> None:
    """Another set is in force: votes that were too few may be a quorum of it."""
    for key in context.draft.keys(OPEN_JOBS):
        job = find(context, key)
        if job.state == "voting":
            _decide(context, job, existing(context.draft.get(MODELS, job.model), "model", job.model))


def _decide(context: Context, job: Job, model: Model) -> None:
    validators = context.validators
    if _weight(job, validators, "approve") >= validators.quorum():
        _adopt(context, job, model)
    elif _weight(job, validators, "reject") >= validators.quorum():
        _reject(context, job, validators)


def _check_subject(job: Job, payload: VoteModel) -> None:
    """The vote is on the candidate that is up, and on all that led to it."""
    if job.state == "training" and payload.attempt >= job.attempt:
        raise NotYet("a job with a candidate", job.state, "body.payload.job")
    require(job.state == "voting", Conflict, "a job that is voting", job.state, "body.payload.job")
    if payload.attempt != job.attempt:
        error = NotYet if payload.attempt > job.attempt else Conflict
        raise error(f"attempt {job.attempt}", str(payload.attempt), "body.payload.attempt")
    candidate = job.candidate
    if candidate is None or payload.candidate != candidate.artifact:
        raise Conflict(
            f"the candidate {candidate.artifact if candidate else None}",
            payload.candidate,
            "body.payload.candidate",
        )
    record = record_digest(job)
    if payload.record != record:
        raise Conflict(f"the record {record}", payload.record, "body.payload.record")


def _check_decision(job: Job, model: Model, payload: VoteModel) -> None:
    updates = job.update_ids
    if payload.decision != "unavailable" and payload.environment not in model.environments:
        raise InvalidField(
            f"an environment of model {model.name!r}: {', '.join(model.environments)}",
            payload.environment,
            "body.payload.environment",
        )
    if payload.replayed != updates:
        standing = set(updates)
        strangers = [item for item in payload.replayed if item not in standing]
        require(not strangers, InvalidField, "updates of this job", strangers[:1], "body.payload.replayed")
    if payload.disproved:
        standing = {*updates, *(aggregate.id for round_ in job.round_list for aggregate in round_.aggregates)}
        strangers = [item for item in payload.disproved if item not in standing]
        require(
            not strangers,
            InvalidField,
            "updates and aggregates of this job",
            strangers[:1],
            "body.payload.disproved",
        )
    if payload.decision == "unavailable":
        require(
            not payload.disproved,
            InvalidField,
            "nothing disproved",
            payload.disproved[:1],
            "body.payload.disproved",
        )
    if payload.decision == "approve":
        _check_approval(job, model, payload, updates)


def _check_approval(job: Job, model: Model, payload: VoteModel, updates: tuple[Cid, ...]) -> None:
    if payload.replayed != updates:
        raise InvalidField(
            f"all {len(updates)} updates in order of round and partition",
            f"{len(payload.replayed)}",
            "body.payload.replayed",
        )
    score = job.candidate.score if job.candidate else None
    if payload.score != score:
        raise InvalidField(f"the candidate's score {score}", str(payload.score), "body.payload.score")
    if payload.score is not None and payload.baseline is not None:
        improvement = model.direction * (payload.score - payload.baseline)
        if improvement < model.minimum_improvement:
            raise InvalidField(
                f"an improvement of at least {model.minimum_improvement} millionths",
                str(improvement),
                "body.payload.score",
            )


def _others(job: Job, vote: Vote) -> tuple[Vote, ...]:
    """All votes but an ``unavailable`` that this one replaces.  Raises ``Duplicate`` or ``Conflict``."""
    for earlier in cast(job):
        if earlier.validator == vote.validator:
            if earlier.decision == vote.decision:
                raise Duplicate(
                    f"one vote of {vote.validator} in attempt {vote.attempt}", f"another {vote.decision}"
                )
            if earlier.decision != "unavailable":
                raise Conflict(
                    f"one vote of {vote.validator} in attempt {vote.attempt}",
                    f"{vote.decision} after {earlier.decision}",
                    "body.payload.decision",
                )
            return tuple(other for other in job.votes if other is not earlier)
    return job.votes


def _voters(job: Job, decision: str) -> tuple[Address, ...]:
    return tuple(vote.validator for vote in cast(job) if vote.decision == decision)


def _weight(job: Job, validators: ValidatorSet, decision: str) -> int:
    return validators.weight_of(_voters(job, decision))


def _adopt(context: Context, job: Job, model: Model) -> None:
    """Put the candidate into service as the model's next version."""
    candidate, dataset = job.candidate, context.draft.get(DATASETS, job.dataset)
    if candidate is None or dataset is None:
        raise LookupError(f"job {job.id} is voting without candidate or dataset: the state is damaged")
    weight = context.validators.weight
    approving = [vote for vote in cast(job) if vote.decision == "approve" and weight(vote.validator)]
    version = Version(
        number=model.versions + 1,
        model=model.name,
        job=job.id,
        attempt=job.attempt,
        candidate=candidate.artifact,
        dataset=job.dataset,
        data=dataset.data,
        score=candidate.score,
        baseline=_agreed([vote.baseline for vote in approving]),
        replaces=model.in_service,
        rows=sum(update.rows for update in job.round_list[-1].updates),
        verified_by="replay",
        approvals=tuple(vote.validator for vote in approving),
        height=context.height,
        time=context.time,
    )
    context.draft.put(VERSIONS, version_key(model.name, version.number), version)
    context.draft.put(MODELS, model.name, replace(model, in_service=version.number, versions=version.number))
    save(
        context,
        replace(
            job,
            state="adopted",
            version=version.number,
            closed=context.time,
            closed_height=context.height,
        ),
    )
    context.emit(
        "adopted", job=job.id, model=model.name, version=version.number, cid=version.candidate,
        score=version.score, baseline=version.baseline, replaces=version.replaces,
        approvals=len(version.approvals), validators=context.validators.total,
    )  # fmt: skip
    pay(context, job, version.approvals)
    _vote_again(context, model.name)


def _agreed(baselines: list[int | None]) -> int | None:
    """What most of the approving validators measured (of equally many, the lowest): no single one decides it."""
    counts = Counter(baselines)
    return max(counts, key=lambda value: (counts[value], 0 if value is None else -value))


def _vote_again(context: Context, model: str) -> None:
    """Votes that compared with what was in service until now no longer count; give time for new ones."""
    for key in context.draft.keys(OPEN_JOBS):
        job = context.draft.get(JOBS, key)
        if job is not None and job.state == "voting" and job.model == model:
            old = cast(job)
            votes = tuple(vote for vote in job.votes if vote not in old)
            job = replace(job, votes=votes, vote_deadline=context.time + job.vote_ms)
            save(context, job)
            announce_candidate(context, job)


def _reject(context: Context, job: Job, validators: ValidatorSet) -> None:
    """Take out what a quorum disproved and try again with the rest, or end the job."""
    rejections = [vote for vote in cast(job) if vote.decision == "reject"]
    weights: Counter[Cid] = Counter()
    for vote in rejections:
        for item in vote.disproved:
            weights[item] += validators.weight(vote.validator)
    disproved = {item for item, weight in weights.items() if weight >= validators.quorum()}
    reason = (
        f"{len(rejections)} of {len(validators.members)} validators rejected the candidate: "
        + "; ".join(dict.fromkeys(vote.reason for vote in rejections))
    )
    barred = senders(job, disproved)
    for worker in sorted(barred):
        context.emit(
            "worker_barred", job=job.id, worker=worker, reason="what it submitted was disproved by a quorum"
        )
    if not disproved or job.attempt + 1 >= job.attempts:
        end(context, bar(mark_removed(job, disproved), barred), "rejected", reason)
        return
    context.emit(
        "attempt", job=job.id, attempt=job.attempt + 1, disproved=listed(sorted(disproved)), reason=reason
    )
    job = bar(remove(job, disproved, context.time), barred)
    save(context, job)
    announce_candidate(context, job)
