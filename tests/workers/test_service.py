"""The service around a worker: which network it works for, and how it waits for its node."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from chain.schema import Address
from chain.wallets import Wallets
from coordinator.broker import Broker
from coordinator.scheduler import Task
from workers.service import _warn_who_may_not_send

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from runtime import logs
from workers.service import run
from workers.settings import WorkerSettings

logs.configure("worker")
name, node, broker, folder = sys.argv[1:]
folder = Path(folder)
sys.exit(run(WorkerSettings(name, node, str(folder / "store"), broker, folder / "wallets", name, folder / name)))
"""


class Worker:
    """A worker's process; its log is its own."""

    def __init__(self, folder: Path, name: str, node: str, broker: str) -> None:
        self.address = Wallets(folder / "wallets").ensure(name).address
        self.log = folder / f"{name}.log"
        command = [sys.executable, "-c", SCRIPT, name, node, broker, str(folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def says(self, text: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if text in line]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, str, str], Worker]]:
    started: list[Worker] = []

    def one(name: str, node: str, broker: str) -> Worker:
        started.append(Worker(tmp_path, name, node, broker))
        return started[-1]

    yield one
    for worker in started:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture
def listen() -> Iterator[Callable[[int, str], None]]:
    """Begin to answer on a port like a node of a network, which knows its genesis and is busy with all else."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def begin(port: int, genesis: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"genesis": genesis} if self.path == "/chain" else {"detail": "busy"}).encode()
                self.send_response(200 if self.path == "/chain" else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """In silence."""

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))

    yield begin
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_it_waits_for_its_node_a_signal_ends_it(
    start: Callable[..., Worker], lab_module: Any, port: int, number: signal.Signals
) -> None:
    worker = start("lonely", f"http://127.0.0.1:{port}", "redis://127.0.0.1:1/0")
    lab_module.until(lambda: worker.says("waiting for the node"), 30)
    worker.process.send_signal(number)
    assert worker.process.wait(10) == 0


def test_a_second_worker_with_the_key_is_refused_until_the_first_has_ended(
    start: Callable[..., Worker], lab_module: Any, port: int
) -> None:
    """Each would take the other's claims for its own."""
    node = f"http://127.0.0.1:{port}"
    first = start("lonely", node, "redis://127.0.0.1:1/0")
    lab_module.until(lambda: first.says("waiting for the node"), 30)
    second = start("lonely", node, "redis://127.0.0.1:1/0")
    assert second.process.wait(30) == 1
    assert second.says(f"in use by another worker, whose claims it shares (process {first.process.pid})")
    first.process.kill()
    first.process.wait()
    third = start("lonely", node, "redis://127.0.0.1:1/0")
    lab_module.until(lambda: len(third.says("waiting for the node")) == 2, 30)  # all write to one log


#: The CID of something: workers refuse a task about what can be no job.
JOB = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"


@pytest.mark.redis
@pytest.mark.fleet
def test_two_networks_on_one_database_see_neither_each_other_s_workers_nor_their_tasks(
    start: Callable[..., Worker],
    listen: Callable[[int, str], None],
    redis_url: str,
    lab_module: Any,
    port: int,
    other_port: int,
) -> None:
    database = redis_url.rsplit("/", 1)[0] + "/3"
    networks = {"here": "0123456789abcdef" * 4, "there": "f" * 64}
    ports = {"here": port, "there": other_port}
    workers = {name: start(name, f"http://127.0.0.1:{ports[name]}", database) for name in networks}
    for name, genesis in networks.items():
        lab_module.until(lambda worker=workers[name]: worker.says("waiting for the node"), 30)
        listen(ports[name], genesis)
    broker = Broker(database)
    try:
        for name, genesis in networks.items():
            lab_module.until(lambda genesis=genesis: broker.workers(genesis), 60)
            assert [worker.address for worker in broker.workers(genesis)] == [workers[name].address]
        for partition in range(4):
            broker.send(Task(JOB, 0, 0, partition), networks["here"])
        broker.send(Task(JOB, 0, 0, None, worker=workers["there"].address), networks["here"])  # is nobody here
        broker.send(Task(JOB, 0, 0, 9), networks["there"])
        lab_module.until(lambda: len(workers["here"].says("event=train")) == 4, 60)
        lab_module.until(lambda: workers["there"].says("event=train"), 60)
        assert "partition=9" in workers["there"].says("event=train")[0]
        assert not any("partition=9" in line for line in workers["here"].says("event=train"))
        assert not any(worker.says("event=aggregate") for worker in workers.values())
        workers["here"].process.send_signal(signal.SIGTERM)
        assert workers["here"].process.wait(10) == 0
        assert broker.workers(networks["here"]) == []
        assert [worker.address for worker in broker.workers(networks["there"])] == [workers["there"].address]
        with redis.Redis.from_url(database) as connection:
            left = [key.decode() for key in connection.scan_iter("assay.*")]
        assert left == [f"assay.0123456789abcdef.{workers['there'].address}"], "nobody took it"
    finally:
        broker.close()


def test_a_worker_whose_wallet_may_not_send_says_so_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    address = Address("0x" + "ab" * 20)
    for why in (None, "a sender owns at least 1000"):
        node: Any = SimpleNamespace(may_not_send={address: why}.get)
        _warn_who_may_not_send(node, "worker-1", address)
    (record,) = caplog.records
    text = str(record.msg) + caplog.text
    assert "a sender owns at least 1000" in text
    assert f"assay wallet send FROM {address}" in text
