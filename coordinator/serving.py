"""Predictions: the version in service of each model, loaded once, served only when it is final.

The learning libraries take a second to load, so `warm` does it in a thread once the service listens; a
prediction that comes earlier waits for it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.client import NodeClient, View
from chain.state.objects import Dataset, Model, Version
from coordinator.documents import ColumnDocument, Evaluation, Prediction
from coordinator.follower import Follower
from coordinator.problems import TYPE, bad_field, unknown
from ipfs.store import ContentStore
from runtime.logs import get_logger
from runtime.problems import Problem

if TYPE_CHECKING:
    from learning.predictor import Predictor

#: Models kept loaded; the one that was not asked for the longest goes first.
LOADED = 16
#: Manifests, statistics and evaluations kept; they are of fixed content and small.
KEPT = 256
#: Seconds that a prediction waits for the learning libraries.
WARM_SECONDS = 60.0

_log = get_logger(__name__)


@dataclass(frozen=True)
class Served:
    """A final version and its model."""

    model: Model
    version: Version


class Predictors:
    """May be shared by threads. `cache` is a folder that only this coordinator writes."""

    def __init__(self, node: NodeClient, store: ContentStore, follower: Follower, cache: Path) -> None:
        self._node = node
        self._store = store
        self._follower = follower
        self._cache = cache
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: OrderedDict[tuple[str, int, str], Predictor] = OrderedDict()
        self._served: dict[str, tuple[int, Served]] = {}
        self._kept: OrderedDict[tuple[str, ...], Any] = OrderedDict()
        self._warm = threading.Event()
        self.failure: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the learning libraries are loaded."""
        return self._warm.is_set()

    def warm(self) -> None:
        """Load the learning libraries and check their numeric pins; `failure` says what went wrong."""
        try:
            import learning.predictor
            import learning.registration
            import learning.session  # noqa: F401
            from runtime import numeric

            numeric.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, readiness says it
            self.failure = f"the learning libraries cannot be used: {error}"
            _log.error("cannot predict", reason=self.failure)
            return
        self._warm.set()

    def run(self, stop: threading.Event) -> None:
        """Warm up, then load each newly adopted version when it is final, before the first request for it."""
        self.warm()
        final_height = -2
        while self.ready and not stop.is_set():
            position = self._follower.position
            if position.final_height != final_height:
                final_height = position.final_height
                self._load_adopted()
            self._follower.wait(position.ticks, 30.0, stop)

    def _load_adopted(self) -> None:
        try:
            for model in self._node.models():
                if model.in_service:
                    self._predictor(self.served(model.name))
        except Exception as error:  # noqa: BLE001 - one model that cannot be loaded must not end this thread
            _log.warning("cannot load a version ahead of its first use", reason=str(error))

    # -- what is in service
    # -------------------------------------------------------------------------------------

    def served(self, name: str) -> Served:
        """The newest final version that is or was in service; 404 and 409 problems where there is none."""
        ticks = self._follower.position.ticks
        known = self._served.get(name)
        if known is not None and known[0] == ticks:
            return known[1]
        model = self._node.model(name)
        if model is None:
            raise unknown("model", name, "GET /api/v1/models lists them")
        number, found = model.in_service, None
        while number and (found is None or not found.final):
            found = self._node.version_view(name, number)
            number = found.value.replaces if found is not None else 0
        if found is None or not found.final:
            raise Problem(
                409,
                detail=f"model {name!r} has no final version yet; open a job and wait for its adoption to be final",
                type=TYPE + "no-version",
            )
        served = Served(model, found.value)
        if ticks > 0:  # without a page of events nobody would tell when this is over
            self._served[name] = (ticks, served)
        return served

    def predict(self, name: str, rows: Sequence[Any]) -> Prediction:
        """Predictions for rows, each an object or an array; 400 names the row and the feature at fault."""
        served = self.served(name)
        predictor = self._predictor(served)
        from learning.errors import InvalidData

        try:
            found = predictor.predict(list(rows))
        except InvalidData as error:
            raise bad_field("rows", str(error)) from None
        return {
            "predictions": list(found["predictions"]),
            "probabilities": found.get("probabilities"),
            "classes": found.get("classes") or None,
            "version": served.version.number,
            "cid": served.version.candidate,
        }

    def _predictor(self, served: Served) -> Predictor:
        self._wait_warm()
        key = (served.model.name, served.version.number, served.version.candidate)
        with self._lock:
            found = self._loaded.get(key)
            if found is not None:
                self._loaded.move_to_end(key)
                return found
        with self._loading:
            with self._lock:
                if key in self._loaded:
                    return self._loaded[key]
            found = self._load(served)
            with self._lock:
                self._loaded[key] = found
                while len(self._loaded) > LOADED:
                    self._loaded.popitem(last=False)
            _log.info("version loaded", model=key[0], version=key[1], cid=key[2])
            return found

    def _load(self, served: Served) -> Predictor:
        from learning.manifest import Manifest
        from learning.predictor import Predictor
        from learning.statistics import Statistics

        dataset = self._dataset(served.version.dataset)
        return Predictor(
            self._store.read(served.version.candidate),
            Manifest.from_bytes(self._store.read(dataset.manifest)),
            Statistics.from_bytes(self._store.read(served.model.statistics)),
            dataset.target,
            served.model.task,
        )

    def _dataset(self, name: str) -> Dataset:
        dataset = self._node.dataset(name)
        if dataset is None:
            raise unknown("dataset", name, "the node may be catching up; ask again")
        return dataset

    def _wait_warm(self) -> None:
        if self.failure is not None or not self._warm.wait(WARM_SECONDS):
            detail = self.failure or "the learning libraries are still being loaded; ask again"
            raise Problem(503, detail=detail, headers={"Retry-After": "2"})

    # -- what is computed once
    # --------------------------------------------------------------------------------------

    def evaluation(self, name: str) -> Evaluation:
        """The version in service on the holdout: all metrics of its task, computed here from the CIDs."""
        served = self.served(name)
        metrics = self._once(("evaluation", name, str(served.version.number)), lambda: self._evaluate(served))
        return {
            "model": name,
            "version": served.version.number,
            "cid": served.version.candidate,
            "metrics": metrics,
        }

    def _evaluate(self, served: Served) -> dict[str, Any]:
        from learning.records import recipe_of
        from learning.session import Session

        model, version = served.model, served.version
        job = self._node.job(version.job)
        if job is None:
            raise unknown("job", version.job, "the node may be catching up; ask again")
        recipe = recipe_of(job, model, self._node.dataset)
        return Session(recipe, self._store.open, self._cache).report(self._store.read(version.candidate))

    def columns(self, dataset: Dataset) -> list[ColumnDocument]:
        """A dataset's columns, from its manifest. Raises `ContentError`."""
        return self._once(("columns", dataset.manifest), lambda: self._columns(dataset))  # type: ignore[no-any-return]

    def _columns(self, dataset: Dataset) -> list[ColumnDocument]:
        self._wait_warm()
        from learning.manifest import Manifest

        manifest = Manifest.from_bytes(self._store.read(dataset.manifest))
        return [
            {
                "name": column.name,
                "type": column.type,
                "missing": column.missing,
                "categories": None if column.categories is None else len(column.categories),
            }
            for column in manifest.columns
        ]

    def statistics(self, dataset: Dataset) -> dict[str, Any]:
        """The statistics of all rows of a dataset (a model's own leave its holdout out). Raises `ContentError`."""
        return self._once(("statistics", dataset.data, dataset.target), lambda: self._statistics(dataset))  # type: ignore[no-any-return]

    def _statistics(self, dataset: Dataset) -> dict[str, Any]:
        self._wait_warm()
        import numpy as np

        from learning.manifest import Manifest
        from learning.statistics import compute
        from learning.tables import load_table

        manifest = Manifest.from_bytes(self._store.read(dataset.manifest))
        table = load_table(self._store.open, dataset.data, manifest, self._cache)
        rows = np.arange(table.rows, dtype=np.int64)
        found: dict[str, Any] = json.loads(compute(table, rows, dataset.target, dataset.task).to_bytes())
        return found

    def _once(self, key: tuple[str, ...], make: Any) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made


def at_time(
    look: Callable[[int], View[Version] | None], count: int, milliseconds: int
) -> View[Version] | None:
    """The version that was in service at a time: the newest of `count` that had been adopted by then.

    `look` shows one by its number. Later ones were adopted later, so a handful of looks finds it among any number.
    """
    low, high, found = 1, count, None
    while low <= high:
        middle = (low + high) // 2
        view = look(middle)
        if view is None or view.value.time > milliseconds:  # None: a reorganisation took it back meanwhile
            high = middle - 1
        else:
            low, found = middle + 1, view
    return found
