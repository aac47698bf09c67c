"""From a replay to a vote: what approves, what rejects, and what a validator cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chain.schema import Cid, Hash
from chain.state import Job, Model, Vote, record_digest
from chain.transactions import VoteModel
from ipfs.errors import ContentError
from validators.replay import Check, Replay

#: What the chain takes of a reason and of the name of who was asked.
MAX_REASON = 1000
MAX_ASKED = 200


@dataclass(frozen=True)
class Judgement:
    """A replay, and the score of the version in service on the same holdout rows (None without one)."""

    replay: Replay
    baseline: int | None


def judge(job: Job, model: Model, environment: str, examine: Callable[[], Judgement]) -> VoteModel:
    """The vote of a validator in `environment` on the job's candidate, after `examine` did the work again.

    Pure but for what `examine` does, which may raise `ipfs.errors.ContentError`: the vote then names what was
    missing and who was asked. The job must have a candidate.
    """
    if environment not in model.environments:
        return _vote(
            job,
            model,
            environment,
            decision="unavailable",
            missing=_candidate(job),
            reason="this validator's environment is none of the model's: "
            f"{environment[:16]}… is not among {_short(model.environments)}",
        )
    try:
        judgement = examine()
    except ContentError as error:
        missing = (Cid(error.cid),) if error.cid else _candidate(job)
        return _vote(
            job,
            model,
            environment,
            decision="unavailable",
            missing=missing,
            asked=error.asked[:MAX_ASKED],
            reason=str(error),
        )
    replay, baseline = judgement.replay, judgement.baseline
    matched = tuple(Cid(check.id) for check in replay.checks if check.matches and check.kind == "update")
    if replay.disproved:
        return _vote(
            job,
            model,
            environment,
            decision="reject",
            replayed=matched,
            disproved=tuple(Cid(check.id) for check in replay.disproved),
            reason="; ".join(_disproof(check) for check in replay.disproved),
        )
    if replay.foreign:
        return _vote(
            job,
            model,
            environment,
            decision="unavailable",
            replayed=matched,
            missing=tuple(_artifact(job, made) for made in replay.foreign),
            reason=f"made in another environment, which bytes cannot judge: {_short(replay.foreign)}",
        )
    if replay.score is None:
        return _vote(
            job,
            model,
            environment,
            decision="unavailable",
            missing=_candidate(job),
            reason="the last round could not be aggregated here",
        )
    ok, comparison = _compare(model, replay.score, baseline)
    return _vote(
        job,
        model,
        environment,
        decision="approve" if ok else "reject",
        replayed=matched,
        score=replay.score,
        baseline=baseline,
        reason=f"{len(matched)} of {len(job.update_ids)} updates trained again with equal bytes; {comparison}",
    )


def due(job: Job, model: Model, me: str) -> bool:
    """Whether `me` still has a vote to cast on the job as it stands."""
    mine = [v for v in job.votes if v.validator == me and stands(v, job, model)]
    return job.state == "voting" and job.candidate is not None and not mine


def stands(vote: Vote, job: Job, model: Model) -> bool:
    """Whether a vote is about the candidate that is up now, compared with the version that is in service now."""
    return (
        job.candidate is not None
        and vote.attempt == job.attempt
        and vote.candidate == job.candidate.artifact
        and vote.compared == model.in_service
    )


def _compare(model: Model, score: int, baseline: int | None) -> tuple[bool, str]:
    shown = f"{model.metric} {score / 1e6:.6f} on the holdout"
    if baseline is None:
        return True, f"{shown}, and no version is in service to compare with"
    gain = model.direction * (score - baseline)
    against = f"version {model.in_service} has {baseline / 1e6:.6f}"
    needed = f"improvement {gain / 1e6:+.6f}, needed at least {model.minimum_improvement / 1e6:+.6f}"
    return gain >= model.minimum_improvement, f"{shown}, {against}: {needed}"


def _disproof(check: Check) -> str:
    place = f"round {check.round}" if check.partition is None else f"partition {check.partition}"
    return f"{check.kind} of {place} by {check.sender}: {check.problem}"


def _candidate(job: Job) -> tuple[Cid, ...]:
    return (job.candidate.artifact,) if job.candidate is not None else ()


def _artifact(job: Job, made: str) -> Cid:
    """The model that an update or aggregate of the job submitted."""
    found = {u.id: u.artifact for round_ in job.round_list for u in round_.updates}
    found |= {a.id: a.artifact for round_ in job.round_list for a in round_.aggregates}
    return found[Cid(made)]


def _short(ids: tuple[str, ...]) -> str:
    return ", ".join(f"{text[:16]}…" for text in ids[:4])


def _vote(
    job: Job,
    model: Model,
    environment: str,
    *,
    decision: str,
    reason: str,
    replayed: tuple[Cid, ...] = (),
    disproved: tuple[Cid, ...] = (),
    missing: tuple[Cid, ...] = (),
    asked: str = "",
    score: int | None = None,
    baseline: int | None = None,
) -> VoteModel:
    if job.candidate is None:
        raise ValueError(f"job {job.id} has no candidate to vote on")
    return VoteModel(
        job=job.id,
        attempt=job.attempt,
        candidate=job.candidate.artifact,
        compared=model.in_service,
        record=record_digest(job),
        decision=decision,  # type: ignore[arg-type]
        score=score,
        baseline=baseline,
        replayed=replayed,
        disproved=disproved,
        missing=missing,
        asked=asked,
        mode="bytes" if replayed or decision != "unavailable" else "none",
        environment=Hash(environment),
        reason=reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…",
    )
