"""What a worker's process holds: its key, the node it talks to, its store and the sessions it has open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chain.client import NodeClient
from chain.keys import Key
from chain.state import Job
from ipfs.store import ContentStore

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


@dataclass
class WorkerContext:
    """One worker's process. Made after Celery forks: neither clients nor stores survive a fork."""

    key: Key
    client: NodeClient
    store: ContentStore
    cache: Path
    new_session: SessionFactory = open_session
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)

    def session(self, job: Job) -> Session:
        """The session of a job, opened on first use and kept while it is among the last few."""
        session = self._sessions.pop(job.id, None)
        if session is None:
            session = self.new_session(self._recipe(job), self.store, self.cache)
        self._sessions[job.id] = session
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _recipe(self, job: Job) -> Recipe:
        from learning.records import recipe_of

        model = self.client.model(job.model)
        if model is None:
            raise LookupError(f"job {job.id} names model {job.model}, which the node does not know: let it catch up")
        return recipe_of(job, model, self.client.dataset)

    def content(self, cid: str) -> bytes:
        """All of a model artifact's bytes, verified."""
        return self.store.read(cid)
