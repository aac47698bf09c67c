"""Do a job's work again: every update trained from its CIDs and seed, every aggregation redone, the holdout scored.

Validators vote by it and `assay audit` reports it; both run exactly this. It reads nothing but the job's record,
content by CID, and the learning room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chain.state import Aggregate, Job, Round, Update
from ipfs.store import ContentStore
from learning.errors import InvalidArtifact

if TYPE_CHECKING:
    from learning.session import Session


@dataclass(frozen=True)
class Check:
    """One statement of the chain's, held against the same work done here."""

    id: str
    """Transaction id of the update or aggregate."""
    kind: Literal["update", "aggregate"]
    sender: str
    round: int
    partition: int | None
    artifact: str
    """CID of the model that was submitted."""
    recomputed: str | None
    """CID of the model that came out here; None where it could not be computed (see `problem`)."""
    problem: str
    """What is not as stated; empty when all matches."""

    @property
    def matches(self) -> bool:
        """Whether the statement is true, byte for byte."""
        return not self.problem


@dataclass(frozen=True)
class Replay:
    """What came out of doing a job again."""

    checks: tuple[Check, ...]
    foreign: tuple[str, ...]
    """Ids of updates and aggregates made in another environment, which bytes cannot judge."""
    candidate: bytes | None
    """The last round's aggregate as computed here; None while the job has no complete last round."""
    score: int | None
    """Its score on the holdout, in millionths."""

    @property
    def disproved(self) -> tuple[Check, ...]:
        """The statements that are false."""
        return tuple(check for check in self.checks if not check.matches)


@dataclass(frozen=True)
class Trained:
    """An update trained here."""

    cid: str
    artifact: bytes
    rows: int
    score: int


class Replayer:
    """Replays one job, update by update as they come in, so that little is left to do when the vote is due.

    `environment` is the id of the one this process runs in. What it computed it adds to `store`, pinned: who votes
    for a model holds it.
    """

    def __init__(
        self,
        session: Session,
        store: ContentStore,
        environment: str,
        progress: Callable[[Check], None] | None = None,
    ) -> None:
        self._session = session
        self._store = store
        self._environment = environment
        self._progress = progress
        self._trained: dict[tuple[int, int, str | None], Trained] = {}

    def prepare(self, job: Job) -> None:
        """Train again what can be trained of the job's current round, and keep it for `replay`."""
        if job.seed is None or not job.round_list:
            return
        base = self._base_before(job)
        current = job.round_list[-1]
        for partition in current.partitions:
            if partition.update is not None and partition.update.environment == self._environment:
                self._train(current.index, partition.index, base)

    def replay(self, job: Job) -> Replay:
        """All checks of the job as its record stands. Raises `ipfs.errors.ContentError` where content is missing."""
        checks: list[Check] = []
        foreign: list[str] = []
        base: tuple[str, bytes] | None = None
        score: int | None = None
        for round_ in job.round_list:
            checked, others = self._check_updates(round_, base)
            checks += checked
            foreign += others
            base, score, checked, others = self._check_aggregates(round_, checked)
            checks += checked
            foreign += others
            if base is None:
                break
        done = base is not None and len(job.round_list) == job.rounds
        return Replay(tuple(checks), tuple(foreign), base[1] if base and done else None, score if done else None)

    # -- inside --------------------------------------------------------------------------------------

    def _base_before(self, job: Job) -> tuple[str, bytes] | None:
        base: tuple[str, bytes] | None = None
        for round_ in job.round_list[:-1]:
            base, _, _, _ = self._check_aggregates(round_, [])
        return base

    def _train(self, round_: int, partition: int, base: tuple[str, bytes] | None) -> Trained:
        place = (round_, partition, base[0] if base else None)
        if place not in self._trained:
            trained = self._session.train(round_, partition, base[1] if base else None)
            cid = self._store.add(trained.artifact)
            self._trained[place] = Trained(cid, trained.artifact, trained.rows, trained.score)
        return self._trained[place]

    def _check_updates(self, round_: Round, base: tuple[str, bytes] | None) -> tuple[list[Check], list[str]]:
        checks: list[Check] = []
        foreign: list[str] = []
        for partition in round_.partitions:
            update = partition.update
            if update is None:
                continue
            if update.environment != self._environment:
                foreign.append(update.id)
                continue
            trained = self._train(round_.index, partition.index, base)
            problem = _false_in(update, trained, base[0] if base else None)
            checks.append(
                self._told(
                    Check(
                        update.id,
                        "update",
                        update.worker,
                        round_.index,
                        partition.index,
                        update.artifact,
                        trained.cid,
                        problem,
                    )
                )
            )
        return checks, foreign

    def _check_aggregates(
        self, round_: Round, updates: list[Check]
    ) -> tuple[tuple[str, bytes] | None, int | None, list[Check], list[str]]:
        """Redo the round's aggregation from the updates as they were submitted, true or false: who combined a
        false update correctly stated nothing false."""
        if round_.closed is None or not round_.updates:
            return None, None, [], []
        false = {check.id for check in updates if not check.matches}
        try:
            contents = [(self._store.read(update.artifact), update.rows) for update in round_.updates]
            aggregated = self._session.aggregate(round_.index, contents)
        except (InvalidArtifact, ValueError, ArithmeticError):
            if not false:
                raise
            return None, None, [], []  # the false update is no model at all; it is named, and that is enough
        cid = self._store.add(aggregated.artifact)
        checks: list[Check] = []
        foreign: list[str] = []
        for aggregate in round_.aggregates:
            if aggregate.environment != self._environment:
                foreign.append(aggregate.id)
                continue
            problem = _false_in_aggregate(aggregate, cid, aggregated.score)
            checks.append(
                self._told(
                    Check(
                        aggregate.id,
                        "aggregate",
                        aggregate.sender,
                        round_.index,
                        None,
                        aggregate.artifact,
                        cid,
                        problem,
                    )
                )
            )
        return (cid, aggregated.artifact), aggregated.score, checks, foreign

    def _told(self, check: Check) -> Check:
        if self._progress is not None:
            self._progress(check)
        return check


def _false_in(update: Update, trained: Trained, base: str | None) -> str:
    if update.base != base:
        return f"it was built on {update.base}, not on the round's aggregate {base}"
    if update.artifact != trained.cid:
        return f"trained again, the model is {trained.cid}, not {update.artifact}"
    if update.rows != trained.rows:
        return f"the partition has {trained.rows} rows, not {update.rows}"
    if update.score != trained.score:
        return f"the model scores {trained.score / 1e6:.6f}, not {update.score / 1e6:.6f}"
    return ""


def _false_in_aggregate(aggregate: Aggregate, cid: str, score: int) -> str:
    if aggregate.artifact != cid:
        return f"the updates add up to {cid}, not {aggregate.artifact}"
    if aggregate.score != score:
        return f"the model scores {score / 1e6:.6f}, not {aggregate.score / 1e6:.6f}"
    return ""
