"""What a worker's process holds: its key, the node it talks to, its store and the sessions it has open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chain.client import NodeClient
from chain.keys import Key
from chain.state import Dataset, Job
from ipfs.store import ContentStore
from learning.errors import WrongEnvironment
from learning.records import recipe_of
from workers.failures import NotThere

if TYPE_CHECKING:
    from learning.recipe import Recipe
    from learning.session import Session

#: Sessions (tables and matrices in memory) kept open at once.
SESSIONS = 4

SessionFactory = Callable[["Recipe", ContentStore, Path], "Session"]


def open_session(recipe: Recipe, store: ContentStore, cache: Path) -> Session:
    """A session that reads from ``store`` and keeps its tables in ``cache``, which nobody else writes."""
    from learning.session import Session

    return Session(recipe, store.open, cache)


def own_environment() -> str:
    """Id of the environment that this process computes in."""
    from learning.environment import environment_id

    return environment_id()


@dataclass
class WorkerContext:
    """One worker's process. Made after Celery forks: neither clients nor stores survive a fork."""

    key: Key
    client: NodeClient
    store: ContentStore
    cache: Path
    new_session: SessionFactory = open_session
    environment: Callable[[], str] = own_environment
    _sessions: OrderedDict[tuple[str, str | None], Session] = field(default_factory=OrderedDict)

    def session(self, job: Job) -> Session:
        """The session of a job, opened on first use and kept while it is among the last few. One for each seed: a
        reorganisation may put the job into another block, which gives it another.

        Raises `NotThere` while the node is behind, `WrongEnvironment` where the model's validators judge in other
        environments than this process's, and what opening a session raises.
        """
        session = self._sessions.pop((job.id, job.seed), None)
        if session is None:
            session = self.new_session(self._recipe(job), self.store, self.cache)
        self._sessions[job.id, job.seed] = session
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def forget(self, job: Job) -> None:
        """Let go of what is in memory for the job."""
        self._sessions.pop((job.id, job.seed), None)

    def content(self, cid: str) -> bytes:
        """All of a model artifact's bytes, verified."""
        return self.store.read(cid)

    def _recipe(self, job: Job) -> Recipe:
        model = self.client.model(job.model)
        if model is None:
            raise NotThere(f"the node has no model {job.model}, which job {job.id} names: let it catch up")
        if self.environment() not in model.environments:
            raise WrongEnvironment(
                f"this worker computes in environment {self.environment()}, the validators of model {model.name} judge "
                f"in {', '.join(model.environments)}: what it trained could not be compared; run it in their image"
            )

        def find(name: str) -> Dataset:
            found = self.client.dataset(name)
            if found is None:
                raise NotThere(f"the node has no dataset {name}, which job {job.id} needs: let it catch up")
            return found

        return recipe_of(job, model, find)
