"""Do a job's work again: every update trained from its CIDs and seed, every aggregation redone, the holdout scored.

Validators vote by it and `assay audit` reports it; both run exactly this. It reads nothing but the job's record,
content by CID, and the learning room. What it computed lies in the store, pinned (who votes for a model holds it);
in memory stay CIDs and scores alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chain.state import Aggregate, Job, Round, Update
from ipfs.errors import ContentError
from ipfs.store import ContentStore
from learning.errors import LearningError

if TYPE_CHECKING:
    from learning.session import Session

#: What rows, or models of others, that make no model come out as: these are about the work, not about this machine.
_NO_MODEL = (LearningError, ArithmeticError, ValueError)


class Unworkable(Exception):  # noqa: N818 - a finding, not a mistake
    """Nobody can carry out the job's own terms: its data, statistics or spec are not what was registered."""


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
    counts: bool = True
    """Whether the candidate rests on it. Aggregates may stand side by side; one that nobody built on, true or false,
    says nothing about the candidate."""

    @property
    def matches(self) -> bool:
        """Whether the statement is true, byte for byte."""
        return not self.problem


@dataclass(frozen=True)
class Replay:
    """What came out of doing a job again."""

    checks: tuple[Check, ...]
    foreign: tuple[str, ...]
    """Ids of updates and aggregates that the candidate rests on and bytes cannot judge: made in another environment."""
    candidate: bytes | None
    """The last round's aggregate as computed here; None while the job has no complete last round."""
    score: int | None
    """Its score on the holdout, in millionths."""

    @property
    def false(self) -> tuple[Check, ...]:
        """All statements that are false."""
        return tuple(check for check in self.checks if not check.matches)

    @property
    def disproved(self) -> tuple[Check, ...]:
        """Those of them that the candidate rests on: with any, it is not what it is said to be."""
        return tuple(check for check in self.false if check.counts)


@dataclass(frozen=True)
class Trained:
    """An update trained here; `problem` says why no model came out, and the rest is empty then."""

    cid: str | None
    rows: int
    score: int
    problem: str = ""


@dataclass(frozen=True)
class Combined:
    """A round's updates combined here; `problem` as in `Trained`."""

    cid: str | None
    score: int | None
    problem: str = ""


class Replayer:
    """Replays one job, update by update as they come in, so that little is left to do when the vote is due.

    `environment` is the id of the one this process runs in.
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
        self._begun = False
        #: For each round, the updates that were combined and what came out; only the newest set of a round is kept.
        self._combined: dict[int, tuple[tuple[str, ...], Combined]] = {}

    def prepare(self, job: Job) -> None:
        """Train again what can be trained of the job's current round, combine it once it is closed, and keep what came
        out for `replay`.

        Raises `Unworkable`, and `ipfs.errors.ContentError` where content is missing.
        """
        if job.seed is None or not job.round_list:
            return
        self._begin()
        *before, current = job.round_list
        base = None
        for round_ in before:
            base = self._combine(round_).cid
            if base is None:
                return
        for partition in current.partitions:
            update = partition.update
            if update is not None and update.environment == self._environment and update.base == base:
                self._train(current.index, partition.index, base)
        if current.closed is not None and current.updates:
            self._combine(current)

    def replay(self, job: Job) -> Replay:
        """All checks of the job as its record stands.

        Raises `Unworkable`, and `ipfs.errors.ContentError` where content is missing.
        """
        self._begin()
        checks: list[Check] = []
        foreign: list[str] = []
        bases: dict[str, bool] = {}  # models that the round may be built on, and whether bytes can judge them
        combined = Combined(None, None)
        for round_ in job.round_list:
            checked, others = self._check_updates(round_, combined.cid, bases)
            checks += checked
            foreign += others
            if round_.closed is None or not round_.updates:
                combined = Combined(None, None)
                break
            hold = all(check.matches for check in checked)
            found = self._combine_or_not(round_, hold)
            if found is None:
                combined = Combined(None, None)
                break
            combined = found
            checked, others = self._check_aggregates(job, round_, combined, hold)
            checks += checked
            foreign += others
            bases = {one.artifact: one.environment == self._environment for one in round_.aggregates}
            if combined.cid is None:
                break
        done = combined.cid is not None and len(job.round_list) == job.rounds
        candidate = self._store.read(combined.cid) if done and combined.cid is not None else None
        return Replay(tuple(checks), tuple(foreign), candidate, combined.score if done else None)

    # -- inside --------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Make the session load and verify what all work of the job starts from."""
        if self._begun:
            return
        try:
            self._session.partition_rows(0, 0)
        except LearningError as error:
            raise Unworkable(str(error)) from error
        self._begun = True

    def _train(self, round_: int, partition: int, base: str | None) -> Trained:
        place = (round_, partition, base)
        if place not in self._trained:
            content = None if base is None else self._store.read(base)
            try:
                trained = self._session.train(round_, partition, content)
            except _NO_MODEL as error:
                self._trained[place] = Trained(None, 0, 0, f"trained again, no model comes out: {error}")
            else:
                self._trained[place] = Trained(self._store.add(trained.artifact), trained.rows, trained.score)
        return self._trained[place]

    def _check_updates(
        self, round_: Round, base: str | None, bases: dict[str, bool]
    ) -> tuple[list[Check], list[str]]:
        """The checks of a round's updates, which are to be built on `base`, and the ids of those not to be judged."""
        checks: list[Check] = []
        foreign: list[str] = []
        for partition in round_.partitions:
            update = partition.update
            if update is None:
                continue
            built_on_foreign = update.base != base and bases.get(update.base or "") is False
            if update.environment != self._environment or built_on_foreign:
                problem, cid = self._no_model(update), None
                if not problem:
                    foreign.append(update.id)
                    continue
            elif update.base != base:
                problem, cid = f"it was built on {update.base}, not on the round's aggregate {base}", None
            else:
                trained = self._train(round_.index, partition.index, base)
                problem, cid = _false_in(update, trained), trained.cid
            checks.append(
                self._told(
                    Check(
                        update.id, "update", update.worker, round_.index, partition.index, update.artifact, cid, problem
                    )
                )
            )
        return checks, foreign

    def _no_model(self, update: Update) -> str:
        """Why what was submitted is no model of this job at all, in any environment; empty if it is one."""
        try:
            self._session.score(self._store.read(update.artifact))
        except _NO_MODEL as error:
            return f"what was submitted is no model of this job: {error}"
        return ""

    def _combine_or_not(self, round_: Round, hold: bool) -> Combined | None:
        """As `_combine`; None where content is missing in a round whose updates do not all `hold`: the false ones are
        named, and what they submitted need not exist."""
        try:
            return self._combine(round_)
        except ContentError:
            if hold:
                raise
            return None

    def _combine(self, round_: Round) -> Combined:
        """Redo the round's aggregation from the updates as they were submitted, true or false: who combined a false
        update correctly stated nothing false. What was equal to the bytes trained here is read from the own store."""
        ids = tuple(update.id for update in round_.updates)
        known = self._combined.get(round_.index)
        if known is not None and known[0] == ids:
            return known[1]
        contents = [(self._store.read(update.artifact), update.rows) for update in round_.updates]
        try:
            aggregated = self._session.aggregate(round_.index, contents)
        except _NO_MODEL as error:
            combined = Combined(None, None, f"the updates do not add up to a model: {error}")
        else:
            combined = Combined(self._store.add(aggregated.artifact), aggregated.score)
        self._combined[round_.index] = ids, combined
        return combined

    def _check_aggregates(
        self, job: Job, round_: Round, combined: Combined, updates_hold: bool
    ) -> tuple[list[Check], list[str]]:
        checks: list[Check] = []
        foreign: list[str] = []
        if combined.cid is None and not updates_hold:
            return checks, foreign  # a false update is no model at all; it is named, and that is enough
        for aggregate in round_.aggregates:
            counts = _counts(job, round_, aggregate, combined)
            if aggregate.environment != self._environment:
                foreign += [aggregate.id] if counts else []
                continue
            problem = combined.problem or _false_in_aggregate(aggregate, combined)
            checks.append(
                self._told(
                    Check(
                        aggregate.id,
                        "aggregate",
                        aggregate.sender,
                        round_.index,
                        None,
                        aggregate.artifact,
                        combined.cid,
                        problem,
                        counts,
                    )
                )
            )
        return checks, foreign

    def _told(self, check: Check) -> Check:
        if self._progress is not None:
            self._progress(check)
        return check


def _counts(job: Job, round_: Round, aggregate: Aggregate, combined: Combined) -> bool:
    """Whether the candidate rests on the aggregate: it is the candidate, or an update of the next round was built on
    its model, which is another than the one that all updates should be built on."""
    if round_.index + 1 < len(job.round_list):
        bases = {update.base for update in job.round_list[round_.index + 1].updates}
        return aggregate.artifact in bases and (aggregate.artifact != combined.cid or aggregate.score == combined.score)
    return job.candidate is None or job.candidate.id == aggregate.id


def _false_in(update: Update, trained: Trained) -> str:
    if trained.problem:
        return trained.problem
    if update.artifact != trained.cid:
        return f"trained again, the model is {trained.cid}, not {update.artifact}"
    if update.rows != trained.rows:
        return f"the partition has {trained.rows} rows, not {update.rows}"
    if update.score != trained.score:
        return f"the model scores {trained.score / 1e6:.6f}, not {update.score / 1e6:.6f}"
    return ""


def _false_in_aggregate(aggregate: Aggregate, combined: Combined) -> str:
    if aggregate.artifact != combined.cid:
        return f"the updates add up to {combined.cid}, not {aggregate.artifact}"
    if aggregate.score != combined.score:
        return f"the model scores {(combined.score or 0) / 1e6:.6f}, not {aggregate.score / 1e6:.6f}"
    return ""
