"""From a replay to a vote: what approves, what rejects, and what a validator cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chain.schema import Cid, Hash
from chain.state import Aggregate, Job, Model, Vote, record_digest
from chain.transactions import VoteModel
from ipfs.cid import Cid as ContentCid
from ipfs.cid import parse_cid
from ipfs.errors import ContentError, InvalidCid
from learning.errors import LearningError, WrongEnvironment
from validators.replay import Check, Replay, Unworkable

#: What the chain takes of a reason and of the name of who was asked, in characters.
MAX_REASON = 1000
MAX_ASKED = 200


@dataclass(frozen=True)
class Judgement:
    """A replay, and the score of the version in service on the same holdout rows (None without one)."""

    replay: Replay
    baseline: int | None


def judge(job: Job, model: Model, environment: str, examine: Callable[[], Judgement]) -> VoteModel:
    """The vote of a validator in `environment` on the job's candidate, after `examine` did the work again.

    Pure but for what `examine` does. Where that raises

    * `ipfs.errors.ContentError`, the vote is unavailable and names what was missing and who was asked;
    * `Unworkable` or another `LearningError` (the dataset is not what its manifest or the model's statistics say, the
      spec is none), the vote rejects and names nobody: every validator finds the same, no time makes it better, and
      the workers are not who registered it.

    What else it raises passes; `unable` makes a vote of it. The job must have a candidate.
    """
    vote = _Ballot(job, model, environment)
    if environment not in model.environments:
        return vote.unavailable(
            "this validator's environment is none of the model's: "
            f"{environment[:16]}… is not among {_short(model.environments)}"
        )
    try:
        judgement = examine()
    except ContentError as error:
        return vote.unavailable(str(error), missing=_cids(error.cid), asked=error.asked)
    except WrongEnvironment as error:
        return vote.unavailable(str(error))
    except (Unworkable, LearningError) as error:
        return vote.reject(f"the job cannot be done as it stands: {error}")
    replay, baseline = judgement.replay, judgement.baseline
    matched = tuple(
        Cid(check.id) for check in replay.checks if check.matches and check.kind == "update"
    )
    if replay.disproved:
        reason = "; ".join(_disproof(check) for check in replay.disproved)
        # What stands beside and is false is named with it: it would be the next candidate.
        named = tuple(Cid(check.id) for check in replay.false)
        return vote.reject(reason, replayed=matched, disproved=named)
    if replay.foreign:
        return vote.unavailable(
            f"made in another environment, which bytes cannot judge: {_short(replay.foreign)}",
            replayed=matched,
            missing=tuple(dict.fromkeys(_artifact(job, made) for made in replay.foreign)),
        )
    if replay.score is None or matched != job.update_ids:
        return vote.unavailable("not all of the job could be done again here", replayed=matched)
    if baseline is None and model.in_service:
        return vote.unavailable(f"version {model.in_service}, which is in service, could not be scored here")
    ok, comparison = _compare(model, replay.score, baseline)
    reason = f"{len(matched)} of {len(job.update_ids)} updates trained again with equal bytes; {comparison}"
    decide = vote.approve if ok else vote.reject
    return decide(reason, replayed=matched, score=replay.score, baseline=baseline)


def unable(job: Job, model: Model, environment: str, error: BaseException) -> VoteModel:
    """The vote of a validator that something of its own kept from judging, such as a lack of memory: unavailable, so
    that the job shows it, until a later try succeeds."""
    return _Ballot(job, model, environment).unavailable(
        f"this validator could not judge: {type(error).__name__}: {error}".rstrip(": ")
    )


def standing_vote(job: Job, model: Model, me: str) -> Vote | None:
    """The vote of `me` on the candidate that is up, if the chain has one."""
    return next((vote for vote in job.votes if vote.validator == me and stands(vote, job, model)), None)


def due(job: Job, model: Model, me: str) -> bool:
    """Whether `me` still has a vote to cast on the job as it stands; `unavailable` may be replaced by a later one."""
    if job.state != "voting" or job.candidate is None:
        return False
    mine = standing_vote(job, model, me)
    return mine is None or mine.decision == "unavailable"


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


def _artifact(job: Job, made: str) -> Cid:
    """The model that an update or aggregate of the job submitted."""
    found = {u.id: u.artifact for round_ in job.round_list for u in round_.updates}
    found |= {a.id: a.artifact for round_ in job.round_list for a in round_.aggregates}
    return found[Cid(made)]


def _cids(text: str) -> tuple[Cid, ...]:
    """The CID that an error is about, as the chain writes it; nothing where it is about none."""
    try:
        found = parse_cid(text)
    except InvalidCid:
        return ()
    return (Cid(str(ContentCid(1, found.codec, found.digest))),)


def _short(ids: tuple[str, ...]) -> str:
    return ", ".join(f"{text[:16]}…" for text in ids[:4])


def plain(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` characters that any encoder takes: a reason may quote what others wrote."""
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


@dataclass(frozen=True)
class _Ballot:
    """The votes that can be cast on a job's candidate, each with the fields that the chain wants of its decision."""

    job: Job
    model: Model
    environment: str

    def approve(
        self, reason: str, *, replayed: tuple[Cid, ...], score: int | None, baseline: int | None
    ) -> VoteModel:
        return self._vote("approve", reason, replayed=replayed, score=score, baseline=baseline)

    def reject(
        self,
        reason: str,
        *,
        replayed: tuple[Cid, ...] = (),
        disproved: tuple[Cid, ...] = (),
        score: int | None = None,
        baseline: int | None = None,
    ) -> VoteModel:
        return self._vote(
            "reject", reason, replayed=replayed, disproved=disproved, score=score, baseline=baseline
        )

    def unavailable(
        self, reason: str, *, replayed: tuple[Cid, ...] = (), missing: tuple[Cid, ...] = (), asked: str = ""
    ) -> VoteModel:
        """The chain wants something to be missing: where nothing else is, it is the candidate as it came out here."""
        missing = missing or (self.candidate.artifact,)
        return self._vote("unavailable", reason, replayed=replayed, missing=missing, asked=plain(asked, MAX_ASKED))

    @property
    def candidate(self) -> Aggregate:
        if self.job.candidate is None:
            raise ValueError(f"job {self.job.id} has no candidate to vote on")
        return self.job.candidate

    def _vote(
        self,
        decision: Literal["approve", "reject", "unavailable"],
        reason: str,
        *,
        replayed: tuple[Cid, ...] = (),
        disproved: tuple[Cid, ...] = (),
        missing: tuple[Cid, ...] = (),
        asked: str = "",
        score: int | None = None,
        baseline: int | None = None,
    ) -> VoteModel:
        return VoteModel(
            job=self.job.id,
            attempt=self.job.attempt,
            candidate=self.candidate.artifact,
            compared=self.model.in_service,
            record=record_digest(self.job),
            decision=decision,
            score=score,
            baseline=baseline,
            replayed=replayed,
            disproved=disproved,
            missing=missing,
            asked=asked,
            mode="bytes" if replayed or disproved else "none",
            environment=Hash(self.environment),
            reason=plain(reason, MAX_REASON),
        )
