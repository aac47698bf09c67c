"""A coordinator that is killed: its successor on the same folder carries on from the chain."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from coordinator.client import Client
from ipfs import open_store
from runtime import broker as runtime_broker
from workers.aggregate import aggregate_round
from workers.context import WorkerContext
from workers.train import train_partition

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from coordinator.service import run
from coordinator.settings import Settings
from runtime.signals import stop_event
data, wallets, node, store, broker, port = sys.argv[1:]
run(Settings(Path(data), node, store, broker, wallets=Path(wallets), port=int(port)), stop_event())
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    server = runtime_broker.embedded()
    process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not server.ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield server.celery_url
    process.terminate()
    process.wait(10)
    server.remove()


class Coordinator:
    """A process of its own."""

    def __init__(self, network, data: Path, broker: str, port: int) -> None:
        settings = network.settings
        arguments = [data, settings.wallet_folder, settings.node, settings.store_address, broker, port]
        command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        self.client = Client(f"http://127.0.0.1:{port}")

    def end(self, how: signal.Signals) -> float:
        """Seconds that it took."""
        begun = time.monotonic()
        os.kill(self.process.pid, how)
        self.process.wait(20)
        self.client.close()
        return time.monotonic() - begun


def work(connection: redis.Redis, context: WorkerContext, stop: threading.Event, done: list[str]) -> None:
    """A worker that reads Celery's messages itself; `done` gets the outcome of each training."""
    shared = f"assay.{context.client.genesis_hash()[:16]}"
    queues = [shared, f"{shared}.{context.key.address}"]
    while not stop.is_set():
        found = connection.blpop(queues, timeout=1)
        if found is None:
            continue
        message = json.loads(found[1])  # type: ignore[index]
        ids = json.loads(base64.b64decode(message["body"]))[1]
        name = message["headers"]["task"]
        if name == "assay.train":
            done.append(train_partition(context, ids["job"], ids["attempt"], ids["round"], ids["partition"]))
        else:
            aggregate_round(context, ids["job"], ids["attempt"], ids["round"])


def test_killed_in_the_middle_of_a_job_with_all_messages_lost(network, broker: str, port: int, tmp_path: Path) -> None:
    network.dataset("iris-restart")
    network.broker.halted.set()  # the network's own workers stay out of this
    data = tmp_path / "data"
    connection = redis.Redis.from_url(runtime_broker.client_url(broker))
    key = network.workers[0]
    heartbeat = json.dumps({"address": key.address, "name": "w", "pid": 1, "environment": "e"})
    genesis = network.node.genesis_hash()[:16]
    connection.set(f"assay:worker:{genesis}:{key.address}", heartbeat)

    first = Coordinator(network, data, broker, port)
    ready = first.client.wait_ready(60)
    assert ready["ready"], ready
    estimator = "sklearn.tree.DecisionTreeClassifier"
    job = first.client.train("restarted", "iris-restart", estimator, partitions=8, idempotency_key="once")
    deadline = time.monotonic() + 20
    while connection.llen(f"assay.{genesis}") < 8:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.end(signal.SIGKILL)
    connection.delete(f"assay.{genesis}")

    second = Coordinator(network, data, broker, port)
    stop, done = threading.Event(), list[str]()
    context = WorkerContext(key, network.node, open_store(network.settings.store_address), tmp_path / "cache")
    context.cache.mkdir()
    worker = threading.Thread(target=work, args=(connection, context, stop, done))
    worker.start()
    try:
        second.client.wait_ready(60)
        again = second.client.train(
            "restarted", "iris-restart", estimator, partitions=8, idempotency_key="once"
        )
        assert again == job
        *_, last = second.client.watch(job)
        assert (last["state"], last["final"]) == ("adopted", True)
        assert done.count("submitted") == 8, done  # what a busy machine makes overdue is sent again, and left alone
        assert second.client.predict("restarted", [[5.1, 3.5, 1.4, 0.2]])["predictions"] == ["setosa"]
        with second.client._send("GET", f"/api/v1/jobs/{job}", stream=True):
            assert second.end(signal.SIGTERM) < 5
    finally:
        network.broker.halted.clear()
        stop.set()
        worker.join(10)
        if second.process.poll() is None:
            second.process.kill()
            second.process.wait()
        connection.close()
