"""A whole network in this process for the coordinator to talk to: a real node over HTTP, four keys that vote on
checkpoints and models, an embedded store, and the workers' own functions run by the tasks that are sent."""

# ruff: noqa: E402 - the numeric pins come before anything that imports numpy

from __future__ import annotations

from runtime import numeric

numeric.pin()  # before anything imports numpy

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

import pytest

from chain.client import NodeClient, NodeError, NodeRefused
from chain.finality import next_vote
from chain.keys import Key
from chain.node import running
from chain.params import Genesis
from chain.schema import Address
from chain.state import Job, record_digest
from chain.transactions import VoteModel, body_of, sign
from chain.wallets import Wallets
from coordinator import service
from coordinator.broker import Worker
from coordinator.client import Client
from coordinator.outbox import Outbox
from coordinator.scheduler import Task
from coordinator.settings import Settings
from ipfs import open_store
from runtime.serving import serve
from workers.aggregate import aggregate_round
from workers.context import WorkerContext
from workers.train import train_partition

ROOT = Path(__file__).parents[2]


def key_number(number: int) -> Key:
    return Key(number.to_bytes(32, "big"))


VALIDATORS = [key_number(n) for n in range(1, 5)]
WORKERS = [key_number(21), key_number(22)]
OUTSIDER = key_number(31)


@dataclass
class Quorum:
    """Four validators that trust everybody: they vote on every head, and for every candidate while `approving`."""

    node: NodeClient
    environment: str
    approving: threading.Event

    def run(self, stop: threading.Event) -> None:
        last: dict[str, object] = {}
        for _ in self.node.follow(stop, wait=1.0):
            with contextlib.suppress(NodeError):
                if self.approving.is_set():
                    for view in self.node.job_views("open"):
                        self._approve(view.value)
                view = self.node.finality()
                for key in VALIDATORS:
                    vote = next_vote(view.value, view.head, view.height, last.get(key.address))  # type: ignore[arg-type]
                    if vote is not None:
                        last[key.address] = vote
                        genesis, salt = self.node.genesis_hash(), f"{view.height:032x}"
                        with contextlib.suppress(NodeRefused):
                            self.node.submit(sign(body_of(vote, key.address, genesis, salt, 0), key))

    def _approve(self, job: Job) -> None:
        candidate = job.candidate
        if job.state != "voting" or candidate is None:
            return
        model = self.node.model(job.model)
        assert model is not None
        before = self.node.version(model.name, model.in_service) if model.in_service else None
        for key in VALIDATORS:
            vote = VoteModel(
                job=job.id,
                attempt=job.attempt,
                candidate=candidate.artifact,
                compared=model.in_service,
                record=record_digest(job),
                decision="approve",
                score=candidate.score,
                baseline=before.score if before is not None else None,
                replayed=job.update_ids,
                disproved=(),
                missing=(),
                asked="",
                mode="bytes",
                environment=self.environment,  # type: ignore[arg-type]
                reason="replayed",
            )
            with contextlib.suppress(NodeError):
                self.node.send(vote, key)


class MemoryBroker:
    """In the broker's place: tasks go to `run`, one after the other, in a thread; two workers live."""

    def __init__(self) -> None:
        self.tasks: Queue[Task] = Queue()
        self.sent: list[Task] = []
        self.halted = threading.Event()

    def send(self, task: Task, genesis: str) -> None:
        self.sent.append(task)
        self.tasks.put(task)

    def workers(self, genesis: str) -> list[Worker]:
        return [Worker(key.address, "test", "") for key in WORKERS]

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to let go of."""

    def work(self, contexts: dict[str, WorkerContext], stop: threading.Event) -> None:
        """Do what is sent: updates by the workers in turn, aggregates by whom the task names."""
        everybody = list(contexts.values())
        while not stop.is_set():
            try:
                task = self.tasks.get(timeout=0.1)
            except Empty:
                continue
            if self.halted.is_set():
                continue
            if task.partition is None:
                aggregate_round(contexts[task.worker or ""], task.job, task.attempt, task.round)
            else:
                context = everybody[task.partition % len(everybody)]
                train_partition(context, task.job, task.attempt, task.round, task.partition)


@dataclass
class Network:
    """`client` talks to the coordinator at `url`; while `broker.halted`, workers drop what they are sent, and without
    `approving` nobody votes on models. `outsider` is an account of nobody's."""

    url: str
    client: Client
    node: NodeClient
    broker: MemoryBroker
    settings: Settings
    approving: threading.Event
    outsider: Key
    workers: list[Key]

    def dataset(self, name: str = "iris", target: str = "species", file: str = "iris.csv") -> None:
        self.client.add_dataset(name, target, path=ROOT / "datasets" / file)

    def adopted(self, job: str) -> dict[str, object]:
        """The job's last document, once it is closed and final."""
        documents = list(self.client.watch(job))
        assert documents[-1]["state"] == "adopted", documents[-1]
        return dict(documents[-1])


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    from learning.environment import environment_id

    data = tmp_path_factory.mktemp("network")
    wallet = Wallets(data / "wallets").create("coordinator")
    people = [wallet, *WORKERS, OUTSIDER]
    genesis = Genesis(
        network="development",
        time=int(time.time() * 1000),
        validators=tuple(sorted(key.address for key in VALIDATORS)),
        balances=tuple(sorted((key.address, 1_000_000) for key in people)),
        note="coordinator's tests",
    )
    stop, threads = threading.Event(), list[threading.Thread]()

    def start(run: Callable[[], object], name: str) -> None:
        threads.append(threading.Thread(target=run, name=name, daemon=True))
        threads[-1].start()

    node_port: Queue[int] = Queue()
    miner = Address("0x" + "ab" * 20)
    start(lambda: running.run(data, "127.0.0.1", 0, genesis, miner, stop, node_port.put), "node")
    node = NodeClient(f"http://127.0.0.1:{node_port.get(timeout=30)}")
    approving = threading.Event()
    approving.set()
    start(lambda: Quorum(node, environment_id(), approving).run(stop), "validators")

    settings = Settings(data=data, node=node.url)
    outbox = Outbox(settings.folder / "outbox.sqlite")
    broker = MemoryBroker()
    parts = service.assemble(settings, outbox, stop, broker)  # type: ignore[arg-type]
    ports: Queue[int] = Queue()
    app = service.create_app(parts.services)
    start(lambda: serve(app, "127.0.0.1", 0, on_ready=ports.put, stop=stop), "coordinator")
    url = f"http://127.0.0.1:{ports.get(timeout=30)}"
    for name, run in parts.threads.items():
        start(run, name)
    contexts = {
        key.address: WorkerContext(key, node, open_store(settings.store_address), data / f"cache-{i}")
        for i, key in enumerate(WORKERS)
    }
    for context in contexts.values():
        context.cache.mkdir()
    start(lambda: broker.work(contexts, stop), "workers")
    with Client(url) as client:
        ready = client.wait_ready(60)
        assert ready["ready"], {name: part["reason"] for name, part in ready["parts"].items()}
        yield Network(url, client, node, broker, settings, approving, OUTSIDER, WORKERS)
    stop.set()
    parts.services.follower.wake()
    for thread in threads:
        thread.join(15)
    parts.close()
    assert [thread.name for thread in threads if thread.is_alive()] == []


@pytest.fixture(scope="session")
def iris(network):
    """The network with Iris registered and one version of `iris-nb` in service; the document of its job."""
    network.dataset()
    bayes = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}
    return network.adopted(network.client.train("iris-nb", "iris", bayes))
