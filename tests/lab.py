"""A chain and a store in memory, with real work on them: what tests of workers and validators talk to.

`Lab` is in a node's place (the methods of `chain.client.NodeClient` that these rooms use), each transaction in a
block of its own, checked by the state transition; datasets, statistics and models are real and lie in an embedded
store. Both rooms' conftest.py take the fixtures below from here.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import numeric

numeric.pin()  # before anything imports numpy

from chain.client import NodeRefused, View  # noqa: E402
from chain.encoding import cid_of  # noqa: E402
from chain.errors import ChainError, InvalidTransaction, NotYet  # noqa: E402
from chain.keys import Key  # noqa: E402
from chain.params import DEVELOPMENT, Genesis, Params  # noqa: E402
from chain.schema import Cid, Hash  # noqa: E402
from chain.state import (  # noqa: E402
    BlockDraft,
    Dataset,
    Job,
    Model,
    State,
    Version,
    genesis_state,
    version_key,
)
from chain.transactions import (  # noqa: E402
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    VoteCheckpoint,
    body_of,
    check_envelope,
    sign,
)
from ipfs import open_store  # noqa: E402
from learning.environment import environment_id  # noqa: E402
from learning.estimators import check_spec, resolve_aggregation  # noqa: E402
from learning.records import recipe_of  # noqa: E402
from learning.registration import compute_statistics, describe_dataset  # noqa: E402
from learning.session import Session  # noqa: E402
from workers.aggregate import aggregate_round  # noqa: E402
from workers.context import WorkerContext  # noqa: E402
from workers.train import train_partition  # noqa: E402

ROOT = Path(__file__).parents[1]
START = 1_700_000_000_000
NAIVE_BAYES = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}
LOGISTIC = {"class": "sklearn.linear_model.LogisticRegression", "params": {}}
KNN = {"class": "sklearn.neighbors.KNeighborsClassifier", "params": {}}
OTHER_ENVIRONMENT = Hash("f" * 64)


def key_of(name: str) -> Key:
    return Key(hashlib.sha256(name.encode()).digest())


def cid(text: str) -> Cid:
    """The CID of something that nobody has."""
    return Cid(cid_of(text.encode()))


class Lab:
    def __init__(self, folder: Path, params: Params = DEVELOPMENT) -> None:
        self.folder = folder
        self.params = params
        self.validators = [key_of(f"validator {n}") for n in range(4)]
        self.owner, self.alice, self.bob, self.carol = map(key_of, ("owner", "alice", "bob", "carol"))
        people = [self.owner, self.alice, self.bob, self.carol]
        self.genesis = Genesis(
            params.name, START, tuple(k.address for k in self.validators),
            tuple(sorted((k.address, 1_000_000) for k in people)), "a lab",
        )  # fmt: skip
        self.state: State = genesis_state(self.genesis, params)
        self.ids = [Hash("1" * 64)]
        self.final_height: int | None = None
        """None: all is final at once."""
        self.sent: list[Payload] = []
        self.away: Exception | None = None
        """Raised by whatever is asked of the node."""
        self.environment = environment_id()
        self.where = str(folder / "store")
        self.store = open_store(self.where)
        self._salts = 0

    # ---------------------------------------------------------------- the chain

    def block(self, *transactions: Signed, after: int = 1) -> None:
        draft = BlockDraft(
            self.state,
            parent=self.ids[-1],
            height=self.state.height + 1,
            time=self.state.time + after,
            params=self.params,
            ancestor=lambda height: self.ids[height],
        )
        for signed in transactions:
            check_envelope(signed, self.params, self.ids[0], self.state.time + after)
            draft.add(signed)
        self.state, _ = draft.finish()
        self.ids.append(Hash(hashlib.sha256(f"{self.ids[-1]}{self.state.digest}".encode()).hexdigest()))

    # ---------------------------------------------------------------- in a node's place

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away

    def view(self, value: Any) -> View[Any]:
        height = self.state.height
        final = height if self.final_height is None else self.final_height
        return View(value, height, self.ids[-1], final, final >= height)

    def genesis_hash(self) -> str:
        return self.ids[0]

    def prepare(self, payload: Payload, key: Key, **_: Any) -> Signed:
        self._salts += 1
        expires = 0 if isinstance(payload, VoteCheckpoint) else self.state.time + 600_000
        return sign(body_of(payload, key.address, self.ids[0], f"{self._salts:032x}", expires), key)

    def submit(self, signed: Signed) -> str:
        self._answer()
        signed = Signed.decode(signed.data)  # as it comes over the wire
        try:
            self.block(signed)
        except NotYet:
            pass  # it stays pending, which is 202; nobody here looks at it again
        except (InvalidTransaction, ChainError) as error:
            raise NodeRefused(409, {"code": error.code, "detail": str(error)}) from error
        self.sent.append(signed.payload)
        return signed.id

    def send(self, payload: Payload, key: Key, **_: Any) -> str:
        return self.submit(self.prepare(payload, key))

    def wait_transaction(self, transaction: str, until: str = "included", timeout: float = 30) -> dict[str, Any]:
        self._answer()
        return {"transaction": transaction, "status": until}

    def job(self, job: str) -> Job | None:
        self._answer()
        return self.state.jobs.get(job)

    def jobs(self) -> list[Job]:
        return [self.state.jobs[key] for key in self.state.open_jobs]

    def job_views(self, state: str = "open") -> list[View[Job]]:
        self._answer()
        return [self.view(job) for job in self.jobs()]

    def model(self, name: str) -> Model | None:
        self._answer()
        return self.state.models.get(name)

    def model_view(self, name: str) -> View[Model] | None:
        found = self.model(name)
        return None if found is None else self.view(found)

    def dataset(self, name: str) -> Dataset | None:
        self._answer()
        return self.state.datasets.get(name)

    def version(self, name: str, number: int) -> Version | None:
        self._answer()
        return self.state.versions.get(version_key(name, number))

    def version_view(self, name: str, number: int) -> View[Version] | None:
        found = self.version(name, number)
        return None if found is None else self.view(found)

    # ---------------------------------------------------------------- what jobs need

    def register(self, name: str = "iris", target: str = "species", **changes: Any) -> Lab:
        """A dataset that comes with Assay, and a model `name` on it; `changes` of the model's registration, or
        `manifest` and `rows` of the dataset's."""
        data = (ROOT / "datasets" / f"{name}.csv").read_bytes()
        described = describe_dataset(io.BytesIO(data), target, None)
        data_cid = self.store.add(data)
        manifest = changes.pop("manifest", described.manifest_bytes)
        statistics = compute_statistics(
            self.store.open, data_cid, described.manifest_bytes, target, described.task, name, 200_000
        )
        self.send(
            RegisterDataset(
                name, Cid(data_cid), Cid(self.store.add(manifest)), described.rows, target, described.task
            ),
            self.owner,
        )
        fields: dict[str, Any] = {
            "datasets": (name,), "task": described.task, "metric": "accuracy", "direction": 1,
            "minimum_improvement": 0, "audit_fraction": 1_000_000, "holdout_fraction": 200_000,
            "holdout_dataset": None, "statistics": Cid(self.store.add(statistics)),
            "environments": (Hash(self.environment),), "openers": (), "workers": (),
        }  # fmt: skip
        self.send(RegisterModel(name, **(fields | changes)), self.owner)
        return self

    def open(self, estimator: dict[str, Any] | None = None, name: str = "iris", **changes: Any) -> Job:
        """A job whose seed is drawn."""
        task = self.state.models[name].task
        spec = check_spec(estimator or NAIVE_BAYES, task)
        fields: dict[str, Any] = {
            "dataset": name, "estimator": spec, "partitions": 2, "rounds": 1,
            "partitioning": '{"scheme":"disjoint"}', "aggregation": resolve_aggregation(spec, "auto"),
            "minimum_updates": 2, "attempts": 2, "round_ms": 600_000, "vote_ms": 600_000,
        }  # fmt: skip
        job = self.send(OpenJob(name, **(fields | changes)), self.owner)
        self.block()
        return self.state.jobs[job]

    def now(self, job: Job) -> Job:
        return self.state.jobs[job.id]

    def context(self, key: Key, **changes: Any) -> WorkerContext:
        cache = self.folder / f"cache-{key.address}"
        cache.mkdir(exist_ok=True)
        return WorkerContext(key, self, self.store, cache, **changes)  # type: ignore[arg-type]

    def session(self, job: Job) -> Session:
        model = self.state.models[job.model]
        return Session(recipe_of(job, model, self.state.datasets.get), self.store.open, self.folder)

    def train(self, job: Job, key: Key, partition: int) -> str:
        job = self.now(job)
        return train_partition(self.context(key), job.id, job.attempt, len(job.round_list) - 1, partition)

    def aggregate(self, job: Job, key: Key) -> str:
        job = self.now(job)
        return aggregate_round(self.context(key), job.id, job.attempt, len(job.round_list) - 1)

    def work(self, job: Job, workers: list[Key] | None = None) -> Job:
        """Honest workers do what is left until a candidate is up."""
        keys = workers or [self.alice, self.bob]
        while self.now(job).state == "training":
            for place in self.now(job).round_list[-1].partitions:
                if place.update is None:
                    outcome = self.train(job, keys[place.index % len(keys)], place.index)
                    assert outcome == "submitted", outcome
            outcome = self.aggregate(job, keys[0])
            assert outcome == "submitted", outcome
        return self.now(job)

    def adopt(self, job: Job) -> Job:
        """Three validators approve without a look."""
        from validators.judge import Judgement, judge
        from validators.replay import Replayer

        job = self.now(job)
        model = self.state.models[job.model]
        replay = Replayer(self.session(job), self.store, self.environment).replay(job)
        version = self.version(model.name, model.in_service)
        baseline = version.score if version is not None else None
        for key in self.validators[:3]:
            self.send(judge(job, model, self.environment, lambda: Judgement(replay, baseline)), key)
        return self.now(job)

    def honest_update(self, job: Job, partition: int) -> SubmitUpdate:
        """What an honest worker would submit for a partition of the newest round."""
        job = self.now(job)
        index = len(job.round_list) - 1
        base = job.round_list[index - 1].aggregates[0].artifact if index else None
        trained = self.session(job).train(index, partition, self.store.read(base) if base else None)
        assert job.seed is not None
        return SubmitUpdate(
            job.id, job.attempt, index, partition, job.seed, base, Cid(self.store.add(trained.artifact)),
            trained.rows, trained.score, trained.milliseconds, Hash(self.environment),
        )  # fmt: skip

    def submit_update(self, job: Job, key: Key, partition: int, **lies: Any) -> str:
        """Claim a partition and submit an honest update with `lies` in it; its id."""
        job = self.now(job)
        self.send(ClaimPartition(job.id, job.attempt, len(job.round_list) - 1, partition), key)
        return self.send(replace(self.honest_update(job, partition), **lies), key)

    def honest_aggregate(self, job: Job, round_: int | None = None) -> SubmitAggregate:
        job = self.now(job)
        index = len(job.round_list) - 1 if round_ is None else round_
        updates = job.round_list[index].updates
        aggregated = self.session(job).aggregate(index, [(self.store.read(u.artifact), u.rows) for u in updates])
        return SubmitAggregate(
            job.id, job.attempt, index, tuple(u.id for u in updates), Cid(self.store.add(aggregated.artifact)),
            aggregated.score, Hash(self.environment),
        )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another thread or process does."""
    import threading
    import time

    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


@pytest.fixture(scope="session")
def lab_module() -> Any:
    """Keys, specs and helpers of this file."""
    return sys.modules[__name__]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A chain and a store in memory on which nothing is registered."""
    return Lab(tmp_path)


@pytest.fixture
def iris(lab: Lab) -> Lab:
    """The same with dataset and model `iris`."""
    return lab.register()
