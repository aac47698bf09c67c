"""The validator's votes on candidates: replay as the work comes in, judge when a candidate is up."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chain.client import NodeClient, NodeError, NodeRefused, NodeUnavailable, View
from chain.keys import Key
from chain.state import Dataset, Job, Model
from chain.transactions import Signed, VoteModel
from ipfs.errors import ContentError
from ipfs.store import ContentStore
from learning.errors import LearningError
from learning.records import recipe_of
from runtime.logs import get_logger
from validators.ballots import Ballots
from validators.baseline import SessionFactory, open_session, score_of_version
from validators.judge import Judgement, due, judge, standing_vote, unable
from validators.replay import Replayer, Unworkable

if TYPE_CHECKING:
    from learning.recipe import Recipe

log = get_logger("validators.models")

#: Jobs whose replays are kept in memory.
JOBS = 8
#: Seconds after which what could not be done for a job is tried again, doubled with each time in a row, and the most.
RETRY = 2.0
LONGEST_RETRY = 60.0

#: What a node says of a vote when the chain went on without it: adopted by the others, or another attempt.
_OVERTAKEN = ("conflict", "unknown", "not_yet")


class NotThere(LookupError):  # noqa: N818 - a state of the node's, not a mistake
    """The node does not show something that what it shows refers to, as happens while it catches up."""


@dataclass(frozen=True)
class _Trouble:
    """Tries that failed in a row with the job at `stage`, and when (monotonic) the next one is due."""

    stage: tuple[object, ...]
    times: int
    due: float


@dataclass(frozen=True)
class _Opened:
    recipe: Recipe
    replayer: Replayer


class ModelVoter:
    """Votes with one key in one environment; what it trained again stays in `store`, pinned."""

    def __init__(
        self,
        client: NodeClient,
        key: Key,
        store: ContentStore,
        cache: Path,
        environment: str,
        ballots: Ballots,
        new_session: SessionFactory = open_session,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._key = key
        self._store = store
        self._cache = cache
        self._environment = environment
        self._ballots = ballots
        self._new_session = new_session
        self._clock = clock
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._troubles: dict[str, _Trouble] = {}

    def consider(self) -> float | None:
        """Look at every open job once. Returns the seconds after which to look again even if nothing happens: where
        something was missing, is not final yet, or failed; None where only events matter.

        What goes wrong with one job is logged and tried again later, more and more seldom; it keeps no other job from
        its vote. Raises `chain.client.NodeError` where the node cannot be asked at all.
        """
        views = self._client.job_views("open")
        self._troubles = {job: self._troubles[job] for job in (v.value.id for v in views) if job in self._troubles}
        for view in views:
            trouble = self._troubles.get(view.value.id)
            if trouble is None or trouble.stage != _stage(view.value) or trouble.due <= self._clock():
                self._look(view)
        waits = [trouble.due - self._clock() for trouble in self._troubles.values()]
        return max(0.0, min(waits)) if waits else None

    def _look(self, view: View[Job]) -> None:
        job = view.value.id
        again = True
        try:
            again = self._one(view)
        except NodeUnavailable:
            raise
        except NodeRefused as refused:
            again = not self._settled(job, refused)
        except (ContentError, NotThere, NodeError) as error:  # while preparing: a vote names what is missing
            log.warning("replay waits", job=job, error=str(error))
        except (Unworkable, LearningError) as error:  # the same at any time; the vote, if it comes to one, says so
            log.warning("replay cannot be done", job=job, error=str(error))
        except Exception:
            log.exception("replay failed", job=job)
        if again:
            stage, before = _stage(view.value), self._troubles.get(job)
            times = before.times + 1 if before is not None and before.stage == stage else 1
            wait = min(RETRY * 2.0 ** min(times - 1, 16), LONGEST_RETRY)
            self._troubles[job] = _Trouble(stage, times, self._clock() + wait)
        else:
            self._troubles.pop(job, None)

    def _settled(self, job: str, refused: NodeRefused) -> bool:
        """Whether a refused vote needs no other try."""
        if refused.code == "duplicate":
            log.debug("vote is there already", job=job)
        elif refused.code in _OVERTAKEN:
            log.info("vote came too late", job=job, code=refused.code, reason=refused.detail)
        else:
            log.warning("vote refused", job=job, code=refused.code, error=refused.detail)
            return False
        return True

    def _one(self, view: View[Job]) -> bool:
        """Do what the job wants of this validator now; True if it should be looked at again without an event."""
        job = view.value
        model = self._client.model_view(job.model)
        if model is None:
            raise NotThere(f"the node has no model {job.model}, which job {job.id} names")
        if job.seed is None or job.height > view.final_height:
            return False  # the block that changes it is an event
        if job.state == "training":
            if self._environment in model.value.environments:
                self._open(job, model.value).replayer.prepare(job)
            return False
        if not due(job, model.value, self._key.address):
            return False
        if model.value.in_service and not self._in_service_final(model):
            return False
        return self._vote(job, model.value)

    def _in_service_final(self, model: View[Model]) -> bool:
        version = self._client.version_view(model.value.name, model.value.in_service)
        return version is not None and version.value.height <= version.final_height

    def _vote(self, job: Job, model: Model) -> bool:
        """Cast the vote that is due, or the one cast before a crash; True if it should be looked at again."""
        cast = self._ballots.cast(job, model.in_service)
        if cast is not None and not _unavailable(cast.payload):
            self._submit(cast)
            return False
        vote = self._judge(job, model)
        if not _unavailable(vote):
            self._cast(vote)
            return False
        if standing_vote(job, model, self._key.address) is None:
            if cast is not None:
                self._submit(cast)
            else:
                self._cast(vote)
        return True

    def _judge(self, job: Job, model: Model) -> VoteModel:
        try:
            return judge(job, model, self._environment, lambda: self._examine(job, model))
        except (NodeError, NotThere):
            raise
        except Exception as error:
            # Too little memory, a full disk, a mistake of ours: the job says so, and a later try may replace it.
            log.exception("cannot judge", job=job.id)
            self._opened.pop(job.id, None)
            return unable(job, model, self._environment, error)

    def _cast(self, vote: VoteModel) -> None:
        signed = self._client.prepare(vote, self._key)
        self._ballots.record(signed)
        self._client.submit(signed)
        log.info("voted", job=vote.job, decision=vote.decision, score=vote.score, reason=vote.reason)

    def _submit(self, cast: Signed) -> None:
        """Send a vote of before; where it has expired meanwhile, the same vote, signed anew."""
        try:
            self._client.submit(cast)
        except NodeRefused as refused:
            if refused.code != "expired" or not isinstance(cast.payload, VoteModel):
                raise
            self._cast(cast.payload)

    def _examine(self, job: Job, model: Model) -> Judgement:
        opened = self._open(job, model)
        replay = opened.replayer.replay(job)
        baseline = None
        if model.in_service and replay.score is not None and not replay.disproved:
            baseline = self._baseline(opened.recipe, model)
        self._pin(job, model)
        return Judgement(replay, baseline)

    def _baseline(self, recipe: Recipe, model: Model) -> int:
        version = self._client.version(model.name, model.in_service)
        made_by = self._client.job(version.job) if version is not None else None
        if version is None or made_by is None:
            raise NotThere(f"the node has no version {model.in_service} of {model.name}, which it says is served")
        return score_of_version(recipe, made_by, version.candidate, self._store, self._cache, self._new_session)

    def _pin(self, job: Job, model: Model) -> None:
        """Keep what was judged: an adopted model has a quorum of pins. (Updates and candidate as they came out here
        are pinned by the replay.)"""
        dataset = self._client.dataset(job.dataset)
        for cid in (model.statistics, *((dataset.data, dataset.manifest) if dataset else ())):
            self._store.pin(cid)

    def _open(self, job: Job, model: Model) -> _Opened:
        found = self._opened.pop(job.id, None)
        if found is None:
            recipe = self._recipe(job, model)
            session = self._new_session(recipe, self._store, self._cache)
            found = _Opened(recipe, Replayer(session, self._store, self._environment))
        self._opened[job.id] = found
        while len(self._opened) > JOBS:
            self._opened.popitem(last=False)
        return found

    def _recipe(self, job: Job, model: Model) -> Recipe:
        def find(name: str) -> Dataset:
            found = self._client.dataset(name)
            if found is None:
                raise NotThere(f"the node has no dataset {name}, which job {job.id} needs")
            return found

        return recipe_of(job, model, find)


def _stage(job: Job) -> tuple[object, ...]:
    """What has to change before another try can come out otherwise, content that turns up aside."""
    return job.state, job.attempt, job.update_ids, job.candidate


def _unavailable(payload: object) -> bool:
    return isinstance(payload, VoteModel) and payload.decision == "unavailable"
