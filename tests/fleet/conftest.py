"""Whole fleets of real processes, for tests that kill them: `fleets` starts them and leaves none behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from chain.blocks import Block
from chain.client import NodeClient
from chain.params import DEVELOPMENT, Genesis
from chain.transactions import SubmitUpdate
from coordinator.client import Client, CoordinatorUnavailable, Problem
from coordinator.documents import JobDocument
from runtime.settings import DataFolder
from tests.ports import held

ASSAY = (sys.executable, "-P", "-m", "cli.main")
SLOW_UP = (sys.executable, "-P", str(Path(__file__).with_name("slow_up.py")))
IRIS = Path(__file__).parents[2] / "datasets" / "iris.csv"
BAYES = "sklearn.naive_bayes.GaussianNB"
FLOWER = [5.1, 3.5, 1.4, 0.2]
SECONDS = 3.0
READY_WITHIN = 90.0
STOP_WITHIN = 20.0
LOOK = 0.02


def until(what: Callable[[], Any], seconds: float, why: Callable[[], str] = str) -> Any:
    """What `what` returns as soon as that is true; fails after `seconds`, and says `why`."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {why()}"
        time.sleep(LOOK)
    return found


def _name(process: psutil.Process) -> str:
    """What a process of a fleet is: `worker-1`, `worker-1 pool`, `node`, `node miner`, `broker`, ..."""
    line = process.cmdline()
    text = " ".join(line)
    if "unixsocket" in text or ".sock" in text.partition(" --broker")[0] or "valkey-server" in text:
        return "broker"
    if "--name" in line:
        return line[line.index("--name") + 1]
    return next((word for word in ("node", "coordinator") if word in line), "unknown")


def alive(process: psutil.Process) -> bool:
    """Whether it still runs: neither gone nor waiting to be buried."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Fleet:
    """`assay up` on a folder: start it, kill parts of it, stop it, start it again."""

    folder: DataFolder
    port: int
    program: tuple[str, ...] = (*ASSAY, "up")
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Holds the port for it."""
    process: subprocess.Popen[bytes] | None = None
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """What the supervisor printed."""
        return self.folder.path.parent / f"{self.folder.path.name}.out"

    def start(self, *program: str) -> Fleet:
        """Start it, from now on with another program if one is given; do not wait."""
        self.program = program or self.program
        command = [*self.program, "--data", str(self.folder.path), "--port", str(self.port), *self.options]
        env = {**os.environ, **self.environment}
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        return self

    def ready(self) -> Fleet:
        """Wait until jobs can run."""

        def answers() -> bool:
            assert self.process is None or self.process.poll() is None, self.said()
            try:
                return bool(self.client.ready()["ready"])
            except CoordinatorUnavailable:
                return False

        until(answers, READY_WITHIN, self.said)
        self.look()
        return self

    def said(self) -> str:
        """The end of what the supervisor printed."""
        return self.output.read_text()[-3000:]

    # -- processes --------------------------------------------------------------------------------------

    def look(self) -> dict[str, psutil.Process]:
        """Its processes now, by name; all that were ever seen are remembered."""
        if self.process is None or self.process.poll() is not None:
            return {}
        found: dict[str, psutil.Process] = {}
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return {}
        for child in children:
            try:
                name, below = _name(child), child.children()
            except psutil.NoSuchProcess:
                continue
            found[name] = child
            found |= {f"{name} {'miner' if name == 'node' else 'pool'}": other for other in below}
        self.seen |= {process.pid: process for process in found.values()}
        return found

    def kill(self, name: str) -> int:
        """SIGKILL to one of its processes, waited for if it is just being started; its pid, which is gone then."""
        process: psutil.Process = until(lambda: self.look().get(name), 30.0, lambda: f"no {name}: {self.said()}")
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        until(lambda: not alive(process), 5.0, lambda: f"{name} lives")
        return int(process.pid)

    def end(self, number: int = signal.SIGTERM, within: float = STOP_WITHIN) -> float:
        """End the supervisor with a signal; the seconds until it and everything that it started were gone."""
        assert self.process is not None
        self.look()
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(within)
        until(lambda: not self.left(), within, lambda: f"still there: {self.left()}")
        return time.monotonic() - begun

    def left(self) -> list[str]:
        """Those that were seen and still run."""
        return [str(process) for process in self.seen.values() if alive(process)]

    # -- what it does -----------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """A new client of its coordinator."""
        return Client(f"http://127.0.0.1:{self.port}", timeout=10)

    @property
    def endpoints(self) -> dict[str, str]:
        return self.folder.read_endpoints()

    @property
    def node(self) -> NodeClient:
        """A new client of its node."""
        return NodeClient(self.endpoints["node"])

    @property
    def genesis(self) -> Genesis:
        return Genesis.from_json(self.folder.genesis.read_text())

    def assay(self, *arguments: str) -> str:
        """What `assay ARGUMENTS` prints; it must succeed."""
        found = subprocess.run([*ASSAY, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def dataset(self, name: str = "iris", path: Path = IRIS, target: str = "species") -> str:
        """Add and register a file, as a user would; its CID."""
        printed = self.assay("dataset", "add", str(path), "--data", str(self.folder.path), "--json")
        cid = str(json.loads(printed)["cid"])
        self.client.add_dataset(name, target, cid=cid)
        return cid

    def job(self, job: str) -> JobDocument | None:
        """The job now, None while the coordinator or its node is away."""
        try:
            return self.client.job(job)
        except (CoordinatorUnavailable, Problem):
            return None

    def when(self, job: str, is_so: Callable[[JobDocument], bool], seconds: float = 60.0) -> JobDocument:
        """The job as soon as something about it is so."""
        last: list[JobDocument | None] = [None]

        def look() -> JobDocument | None:
            last[0] = self.job(job) or last[0]
            return last[0] if last[0] is not None and is_so(last[0]) else None

        found: JobDocument = until(look, seconds, lambda: json.dumps(last[0], indent=1) + self.said())
        return found

    def closed(self, job: str, seconds: float = 90.0) -> JobDocument:
        """The job once its end is final."""
        return self.when(job, lambda document: bool(document["closed"] and document["final"]), seconds)

    # -- trainings of `slow_worker.py` ------------------------------------------------------------------

    @property
    def trainings(self) -> list[dict[str, Any]]:
        """Every training that began: job, round, partition, time (ms), pid."""
        path = self.folder.path / "trainings.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def trained(self, job: str) -> Counter[tuple[int, int]]:
        """How often each (round, partition) of a job was begun."""
        return Counter((note["round"], note["partition"]) for note in self.trainings if note["job"] == job)

    def done(self, job: str) -> int:
        """How many partitions of the job are on the chain."""
        found = self.job(job)
        return sum(part["state"] == "done" for part in found["partitions"]) if found else 0

    def included(self, job: str) -> dict[tuple[int, int], int]:
        """(round, partition) -> time in ms of the block that holds its update, read from the blocks themselves."""
        node = self.node
        found: dict[tuple[int, int], int] = {}
        for height in range(1, int(node.chain()["height"]) + 1):
            data = node.raw_block(height)
            assert data is not None
            block = Block.decode(data, DEVELOPMENT.max_block_bytes)
            for signed in block.transactions:
                update = signed.body.payload
                if isinstance(update, SubmitUpdate) and update.job == job:
                    found.setdefault((update.round, update.partition), block.header.time)
        return found

    def assert_nothing_trained_twice_over(self, job: str) -> None:
        """No training began of a partition whose update was in a block by then."""
        included = self.included(job)
        late = [
            note
            for note in self.trainings
            if note["job"] == job and note["time"] > included[note["round"], note["partition"]]
        ]
        assert not late, (late, included)


def _end_all(made: list[Fleet]) -> None:
    for fleet in made:
        fleet.look()
        if fleet.process is not None and fleet.process.poll() is None:
            fleet.process.terminate()
    for fleet in made:
        if fleet.process is not None:
            try:
                fleet.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                fleet.process.kill()
                fleet.process.wait()
        for process in filter(alive, fleet.seen.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        fleet.held.close()


Starter = Callable[..., Fleet]


def _slow(seconds: float) -> tuple[str, ...]:
    return (*SLOW_UP, "--seconds", str(seconds))


def _starter(folder: Path, made: list[Fleet]) -> Starter:
    def start(name: str = "fleet", *options: str, slow: float | None = None, **env: str) -> Fleet:
        program = _slow(slow) if slow is not None else (*ASSAY, "up")
        holding = contextlib.ExitStack()
        port = holding.enter_context(held())
        fleet = Fleet(DataFolder(folder / name), port, program, options, env, holding)
        made.append(fleet)
        return fleet.start()

    return start


@pytest.fixture
def fleets(tmp_path: Path) -> Iterator[Starter]:
    """`fleets(NAME, *OPTIONS, slow=SECONDS)` starts one, not yet ready; all have ended after the test."""
    made: list[Fleet] = []
    try:
        yield _starter(tmp_path, made)
    finally:
        _end_all(made)


@pytest.fixture(scope="session")
def _lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made: list[Fleet] = []
    try:
        fleet = _starter(tmp_path_factory.mktemp("fleets"), made)("lasting", slow=SECONDS).ready()
        fleet.dataset()
        yield fleet
    finally:
        _end_all(made)


@pytest.fixture
def fleet(_lasting: Fleet) -> Fleet:
    """The one that the session's tests share, for starting one takes long: its trainings take `SECONDS` longer than
    usual, and it knows the dataset iris. A test may kill any part of it, also all."""
    if _lasting.process is None or _lasting.process.poll() is not None:
        _lasting.start(*_slow(SECONDS))
    return _lasting.ready()
