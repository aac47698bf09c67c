"""Two sites of one network in this process: each a real node over HTTP with services in threads, which an operator
connects and cuts apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from chain.blocks import Block
from chain.client import NodeClient, NodeError
from chain.keys import Key
from chain.node import running
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.store import Store
from chain.transactions import Signed
from chain.voting import VoteFile
from chain.wallets import Wallets
from coordinator import service as coordinator_service
from coordinator.broker import Worker
from coordinator.client import Client
from coordinator.outbox import Outbox
from coordinator.scheduler import Task
from coordinator.settings import Settings
from ipfs import open_store
from learning.environment import environment_id
from runtime.serving import serve
from runtime.settings import DataFolder
from validators import service as validator_service
from validators.ballots import Ballots
from validators.checkpoints import CheckpointVoter
from validators.models import ModelVoter
from validators.service import ValidatorSettings
from workers.aggregate import aggregate_round
from workers.context import WorkerContext
from workers.train import train_partition

WITHIN = 60.0


def until(what: Callable[[], Any], seconds: float = WITHIN) -> Any:
    """What `what` returns as soon as that is true."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(0.02)
    return found


class Pool:
    """In the broker's place: tasks wait in a queue until `open`; the site's workers do them one after the other."""

    def __init__(self, contexts: list[WorkerContext]) -> None:
        self.contexts = {context.key.address: context for context in contexts}
        self.open = threading.Event()
        self.outcomes: list[tuple[Task, str]] = []
        self._tasks: Queue[Task] = Queue()

    def send(self, task: Task, genesis: str) -> None:
        self._tasks.put(task)

    def workers(self, genesis: str) -> list[Worker]:
        return [Worker(address, "test", "") for address in self.contexts]

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to let go of."""

    def run(self, stop: threading.Event) -> None:
        everybody = list(self.contexts)
        while not stop.is_set():
            if not self.open.wait(0.1):
                continue
            try:
                task = self._tasks.get(timeout=0.1)
            except Empty:
                continue
            turn = everybody[(task.partition or 0) % len(everybody)]
            context = self.contexts[Address(task.worker or turn)]
            if task.partition is None:
                outcome = aggregate_round(context, task.job, task.attempt, task.round)
            else:
                outcome = train_partition(context, task.job, task.attempt, task.round, task.partition)
            self.outcomes.append((task, outcome))


@dataclass
class Site:
    """One organisation's node, reached through `node`."""

    folder: DataFolder
    node: NodeClient

    def token(self) -> str:
        return self.folder.operator_token.read_text().strip()

    def peers(self) -> int:
        return int(self.node.chain()["peers"])

    def settled(self) -> str | None:
        """The head's hash when everything but votes is final, else None."""
        view = self.node.finality()
        return view.head if view.value.settled else None

    def signed(self) -> Iterator[Signed]:
        """Every transaction in the node's database, of all branches and of those that wait."""
        store = Store(self.folder.node / running.DATABASE)
        try:
            for stored in store.blocks_above(0):
                yield from Block.decode(stored.data, DEVELOPMENT.max_block_bytes).transactions
            for _, data in store.pending():
                yield Signed.decode(data)
        finally:
            store.close()

    def branch(self) -> Iterator[Signed]:
        """The transactions on the head's branch, in order."""
        for height in range(1, int(self.node.chain()["height"]) + 1):
            data = self.node.raw_block(height)
            assert data is not None
            yield from Block.decode(data, DEVELOPMENT.max_block_bytes).transactions


@dataclass
class Network:
    """Makes sites, services and workers in `folder`; all of them have the same store. `close` ends all."""

    folder: Path
    wallets: Wallets
    genesis: Genesis
    stop: threading.Event = field(default_factory=threading.Event)
    sites: list[Site] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    def start(self, run: Callable[[], object], name: str) -> None:
        self._threads.append(threading.Thread(target=run, name=name, daemon=True))
        self._threads[-1].start()

    def key(self, name: str) -> Key:
        return self.wallets.ensure(name)

    def site(self, name: str, miner: str) -> Site:
        """Start a node that knows nobody."""
        ports: Queue[int] = Queue()
        data = DataFolder(self.folder / name)
        arguments = (data.path, "127.0.0.1", 0, self.genesis, Address(miner), self.stop, ports.put)
        self.start(lambda: running.run(*arguments), f"node {name}")
        self.sites.append(Site(data, NodeClient(f"http://127.0.0.1:{ports.get(timeout=WITHIN)}")))
        return self.sites[-1]

    def connect(self, one: Site, other: Site) -> None:
        """As an operator does."""
        one.node.add_peer(other.node.url, one.token())
        until(lambda: one.peers() == other.peers() == 1)

    def cut(self, one: Site, other: Site) -> None:
        """Each operator has its node forget the other one."""
        for mine, theirs in ((one, other), (other, one)):
            mine.node.remove_peer(theirs.node.url, mine.token())
        assert one.peers() == other.peers() == 0

    def validator(self, name: str, site: Site) -> None:
        """The service, as `assay validator` runs it."""
        folder, cache = self.folder / name, self.folder / f"cache-{name}"
        settings = ValidatorSettings(name, site.node.url, self.store, self.wallets.folder, name, folder, cache)
        self.start(lambda: validator_service.run(settings, self.stop), name)

    def half_validator(self, name: str, site: Site, judging: threading.Event) -> None:
        """One that always votes on checkpoints, on models only while `judging`, and attests nothing."""
        key, folder = self.key(name), self.folder / name
        (folder / "cache").mkdir(parents=True)
        client = NodeClient(site.node.url)
        ballots = Ballots(folder / "ballots")
        models = ModelVoter(client, key, open_store(self.store), folder / "cache", environment_id(), ballots)

        def run() -> None:
            with VoteFile(folder / "checkpoints.json", key.address, create=True) as votes:
                voter = CheckpointVoter(client, key, votes)
                for _ in client.follow(self.stop, wait=1):
                    try:
                        voter.consider()
                        if judging.is_set():
                            models.consider()
                    except NodeError:
                        continue

        self.start(run, name)

    def worker(self, name: str, site: Site) -> WorkerContext:
        cache = self.folder / f"cache-{name}"
        cache.mkdir()
        return WorkerContext(self.key(name), NodeClient(site.node.url), open_store(self.store), cache)

    def coordinator(self, site: Site, pool: Pool) -> Client:
        """The service with its threads, its HTTP API and its workers; a client of it."""
        settings = Settings(self.folder / "office", site.node.url, self.store, wallets=self.wallets.folder)
        outbox = Outbox(settings.folder / "outbox.sqlite")
        parts = coordinator_service.assemble(settings, outbox, self.stop, pool)  # type: ignore[arg-type]
        app, ports = coordinator_service.create_app(parts.services), Queue[int]()
        self.start(lambda: serve(app, "127.0.0.1", 0, on_ready=ports.put, stop=self.stop), "coordinator")
        for name, run in (*parts.threads.items(), ("workers", lambda: pool.run(self.stop))):
            self.start(run, name)
        client = Client(f"http://127.0.0.1:{ports.get(timeout=WITHIN)}")
        self._closing += [client.close, parts.close]
        assert client.wait_ready(WITHIN)["ready"]
        return client

    def close(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(15)
        for close in self._closing:
            close()
        assert [thread.name for thread in self._threads if thread.is_alive()] == []


def network(folder: Path, validators: list[str], people: list[str]) -> Network:
    """A network of the development kind whose people own coins."""
    wallets = Wallets(folder / "wallets")
    genesis = Genesis(
        "development", int(time.time() * 1000), tuple(wallets.create(name).address for name in validators),
        tuple(sorted((wallets.create(name).address, 1_000_000) for name in people)), "two sites",
    )  # fmt: skip
    return Network(folder, wallets, genesis)
