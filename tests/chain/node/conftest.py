"""A network in one process: a node and four validators on a clock that only moves when the test says so."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chain import work
from chain.client import NodeClient
from chain.encoding import cid_of
from chain.finality import choose_vote
from chain.keys import Key
from chain.node.core import Node
from chain.node.running import run
from chain.params import DEVELOPMENT, Genesis, Params
from chain.schema import Address, Cid, Hash
from chain.state import Job, record_digest
from chain.store import Store
from chain.transactions import (
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    VoteCheckpoint,
    VoteModel,
    body_of,
    sign,
)
from tests.chain.node.taken import taken

START = 1_700_000_000_000
#: Two hashes a block: simulations are not about work.
EASY = replace(DEVELOPMENT, initial_target=work.compact_of(work.MAX_TARGET))
ENVIRONMENT = Hash("e" * 64)


def key_of(number: int) -> Key:
    return Key(number.to_bytes(32, "big"))


VALIDATORS = [key_of(n) for n in range(1, 5)]
OWNER = key_of(11)
WORKERS = [key_of(21), key_of(22)]
MINER = Address("0x" + "ab" * 20)
GENESIS = Genesis(
    network="development",
    time=START,
    validators=tuple(sorted(key.address for key in VALIDATORS)),
    balances=tuple(sorted((key.address, 1_000_000) for key in [OWNER, *WORKERS])),
    note="simulated",
)
_salts = itertools.count(1)


def content(name: str) -> Cid:
    """The CID of something on IPFS that nobody reads here."""
    return Cid(cid_of(name.encode()))


def mine(header):  # type: ignore[no-untyped-def]
    """The header with a nonce that meets its target."""
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    assert nonce is not None
    return replace(header, nonce=nonce)


@dataclass
class Sim:
    """Everything that happens, in order of time; milliseconds."""

    store: Store = field(default_factory=lambda: Store(None))
    params: Params = EASY
    genesis: Genesis = GENESIS
    now: int = START + 1
    latency: Callable[[int], int] = lambda _: 0
    alive: int = 4
    mining_ms: int = 3

    def __post_init__(self) -> None:
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.last: dict[str, VoteCheckpoint] = {}
        self.mining = 0
        self.start()

    def start(self) -> None:
        """(Re)start the node on its store."""
        self.node = Node(self.genesis, self.params, self.store, lambda: self.now, MINER)
        self.mining = 0

    def search(self, header):  # type: ignore[no-untyped-def]
        """The header with a nonce that meets its target."""
        return mine(header)

    def signed(self, payload: Payload, key: Key, expires: int | None = None) -> Signed:
        if isinstance(payload, VoteCheckpoint):
            expires = 0
        elif expires is None:
            expires = self.now + 600_000
        salt = f"{next(_salts):032x}"
        return sign(body_of(payload, key.address, self.node.chain.genesis_id, salt, expires), key)

    def send(self, payload: Payload, key: Key) -> str:
        return taken(self.node, self.signed(payload, key).data).transaction

    def after(self, ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + ms, next(self.count), do))

    def _mine(self, number: int, header) -> None:  # type: ignore[no-untyped-def]
        head = self.node.head.id
        self.node.mined(number, mine(header).nonce)
        if self.node.head.id != head:
            self._vote()

    def _vote(self) -> None:
        head = self.node.head
        for index, key in enumerate(VALIDATORS[: self.alive]):
            vote = choose_vote(head.state, head.id, self.last.get(key.address))
            if vote is not None:
                self.last[key.address] = vote
                data = self.signed(vote, key).data
                self.after(self.latency(index), lambda data=data: self.node.receive_transactions([data]))

    def step(self) -> bool:
        """Do the next thing; False when nothing is left to do."""
        task = self.node.on_time()
        if task is not None and task.number != self.mining:
            self.mining = task.number
            self.after(self.mining_ms, lambda: self._mine(task.number, task.block.header))
            return True
        due = self.node.next_time()
        queued = self.queue[0][0] if self.queue else None
        times = [time for time in (due, queued) if time is not None]
        if not times:
            return False
        self.now = max(self.now, min(times))
        if queued is not None and queued <= self.now:
            heapq.heappop(self.queue)[2]()
        return True

    def run(self, until: Callable[[], bool] | None = None, steps: int = 2000) -> None:
        """Go on until it is so, or, without a condition, until nothing is left to do."""
        for _ in range(steps):
            if until is not None and until():
                return
            if not self.step():
                assert until is None, "nothing is left to do, and it is still not so"
                return
        raise AssertionError(f"not done after {steps} steps, at height {self.node.head.height}")

    # ------------------------------------------------------------------ a job

    def job(self, identifier: str) -> Job:
        return self.node.head.state.jobs[identifier]

    def register(self) -> None:
        self.send(
            RegisterDataset("iris", content("iris"), content("manifest"), 150, "species", "classification"), OWNER
        )
        model = RegisterModel(
            "flowers", ("iris",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None,
            content("statistics"), (ENVIRONMENT,), (), (),
        )  # fmt: skip
        self.send(model, OWNER)

    def open_job(self, partitions: int = 4) -> str:
        spec = OpenJob(
            "flowers", "iris", '{"class":"sklearn.linear_model.Ridge","params":{}}', partitions, 1,
            '{"scheme":"disjoint"}', "average", partitions, 1, 60_000, 60_000,
        )  # fmt: skip
        return self.send(spec, OWNER)

    def train(self, job: str) -> None:
        """Claims, updates and an aggregate, as two workers would send them."""
        self.run(lambda: job in self.node.head.state.jobs and self.job(job).seed is not None)
        count = self.job(job).partitions
        for index in range(count):
            self.send(ClaimPartition(Cid(job), 0, 0, index), WORKERS[index % 2])
        self.run(lambda: all(p.lease for p in self.job(job).round_list[0].partitions))
        seed = self.job(job).seed
        assert seed is not None
        updates = [
            self.send(
                SubmitUpdate(Cid(job), 0, 0, i, seed, None, content(f"{job} {i}"), 30, 900_000, 20, ENVIRONMENT),
                WORKERS[i % 2],
            )
            for i in range(count)
        ]
        self.run(lambda: len(self.job(job).update_ids) == count)
        self.send(
            SubmitAggregate(
                Cid(job), 0, 0, tuple(Cid(each) for each in updates), content(f"{job} all"), 950_000, ENVIRONMENT
            ),
            WORKERS[0],
        )
        self.run(lambda: self.job(job).state == "voting")

    def approve(self, job: str) -> None:
        shown = self.job(job)
        assert shown.candidate is not None
        compared = self.node.head.state.models["flowers"].in_service
        for key in VALIDATORS[: self.alive]:
            vote = VoteModel(
                Cid(job), 0, shown.candidate.artifact, compared, record_digest(shown), "approve",
                shown.candidate.score, 900_000 if compared else None, shown.update_ids, (), (), "store", "bytes",
                ENVIRONMENT, "replayed all",
            )  # fmt: skip
            # The last one may find the job adopted by those before it.
            self.node.receive_transactions([self.signed(vote, key).data])

    def whole_job(self) -> str:
        """From nothing registered to adopted and final."""
        self.register()
        self.run(lambda: "flowers" in self.node.head.state.models)
        job = self.open_job()
        self.train(job)
        self.approve(job)
        self.run()
        return job


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def make_sim() -> Callable[..., Sim]:
    return Sim


@dataclass(frozen=True)
class Net:
    """What a test on real processes needs to know of its network."""

    validators: list[Key]
    owner: Key
    workers: list[Key]
    miner: Address
    params: Params

    def genesis(self) -> Genesis:
        return GENESIS


@pytest.fixture
def net() -> Net:
    return Net(VALIDATORS, OWNER, WORKERS, MINER, DEVELOPMENT)


@dataclass
class Served:
    """A node that serves HTTP from a thread of the test's process."""

    client: NodeClient
    folder: Path
    stop: threading.Event
    thread: threading.Thread

    @property
    def url(self) -> str:
        return self.client.url

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.client.close()


@pytest.fixture
def served(tmp_path: Path, net: Net) -> Iterator[Served]:
    stop, ready, ports = threading.Event(), threading.Event(), list[int]()

    def on_ready(port: int) -> None:
        ports.append(port)
        ready.set()

    thread = threading.Thread(
        target=run, args=(tmp_path / "data", "127.0.0.1", 0, net.genesis(), net.miner, stop, on_ready)
    )
    thread.start()
    assert ready.wait(20)
    found = Served(NodeClient(f"http://127.0.0.1:{ports[0]}", timeout=5), tmp_path / "data", stop, thread)
    yield found
    found.end()
