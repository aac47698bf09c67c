"""The validator's votes on candidates: replay as the work comes in, judge when a candidate is up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chain.client import NodeClient, NodeRefused, View
from chain.keys import Key
from chain.state import Job, Model
from chain.transactions import VoteModel
from ipfs.errors import ContentError
from ipfs.store import ContentStore
from runtime.logs import get_logger
from validators.ballots import Ballots
from validators.judge import Judgement, due, judge
from validators.replay import Replayer

if TYPE_CHECKING:
    from learning.session import Session

log = get_logger("validators.models")

#: Jobs whose replays are kept in memory.
JOBS = 8


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
    ) -> None:
        self._client = client
        self._key = key
        self._store = store
        self._cache = cache
        self._environment = environment
        self._ballots = ballots
        self._sessions: OrderedDict[str, tuple[Session, Replayer]] = OrderedDict()

    def consider(self) -> bool:
        """Look at every open job once. Returns whether something should be looked at again soon: content that was
        missing, a job that is not final yet. Raises `chain.client.NodeError`."""
        again = False
        for view in self._client.job_views("open"):
            try:
                again = self._one(view) or again
            except ContentError as error:  # only while preparing: the vote itself names what is missing
                log.warning("replay waits for content", job=view.value.id, error=str(error))
                again = True
            except NodeRefused as refused:
                log.warning("vote refused", job=view.value.id, error=str(refused))
        return again

    def _one(self, view: View[Job]) -> bool:
        job = view.value
        model = self._client.model_view(job.model)
        if model is None or job.seed is None or job.height > view.final_height:
            return True
        if self._environment not in model.value.environments and job.state != "voting":
            return False
        if job.state == "training":
            self._open(job, model.value)[1].prepare(job)
            return False
        if not due(job, model.value, self._key.address):
            return False
        if model.value.in_service and not self._in_service_final(model):
            return True
        return self._vote(job, model.value)

    def _in_service_final(self, model: View[Model]) -> bool:
        version = self._client.version_view(model.value.name, model.value.in_service)
        return version is not None and version.value.height <= version.final_height

    def _vote(self, job: Job, model: Model) -> bool:
        """Cast the vote that is due, or the one cast before a crash; True if it should be looked at again."""
        assert job.candidate is not None  # noqa: S101 - `due` asked
        cast = self._ballots.cast(job.id, job.attempt, job.candidate.artifact, model.in_service)
        if cast is not None and not _unavailable(cast.payload):
            self._client.submit(cast)
            return False
        vote = judge(job, model, self._environment, self._examination(job, model))
        if cast is not None and _unavailable(vote):
            self._client.submit(cast)
            return True
        signed = self._client.prepare(vote, self._key)
        self._ballots.record(signed)
        self._client.submit(signed)
        log.info("voted", job=job.id, decision=vote.decision, score=vote.score, reason=vote.reason)
        return vote.decision == "unavailable"

    def _examination(self, job: Job, model: Model) -> Callable[[], Judgement]:
        def examine() -> Judgement:
            session, replayer = self._open(job, model)
            replay = replayer.replay(job)
            baseline = None
            if model.in_service and replay.score is not None and not replay.disproved:
                baseline = session.score(self._artifact_in_service(model))
            self._pin(job, model)
            return Judgement(replay, baseline)

        return examine

    def _artifact_in_service(self, model: Model) -> bytes:
        version = self._client.version(model.name, model.in_service)
        if version is None:
            raise LookupError(f"the node has no version {model.in_service} of {model.name}, which it says is served")
        return self._store.read(version.candidate)

    def _pin(self, job: Job, model: Model) -> None:
        """Keep what was judged: an adopted model has a quorum of pins."""
        dataset = self._client.dataset(job.dataset)
        kept = [model.statistics, *((dataset.data, dataset.manifest) if dataset else ())]
        kept += [update.artifact for round_ in job.round_list for update in round_.updates]
        kept += [job.candidate.artifact] if job.candidate else []
        for cid in kept:
            self._store.pin(cid)

    def _open(self, job: Job, model: Model) -> tuple[Session, Replayer]:
        from learning.records import recipe_of
        from learning.session import Session

        found = self._sessions.pop(job.id, None)
        if found is None:
            session = Session(recipe_of(job, model, self._client.dataset), self._store.open, self._cache)
            found = session, Replayer(session, self._store, self._environment)
        self._sessions[job.id] = found
        while len(self._sessions) > JOBS:
            self._sessions.popitem(last=False)
        return found


def _unavailable(payload: object) -> bool:
    return isinstance(payload, VoteModel) and payload.decision == "unavailable"
