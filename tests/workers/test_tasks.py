"""The tasks in a real worker: a Celery process on a real Redis, a real node, real content."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import redis

from workers.app import TRAIN, make_app, shared_queue
from workers.heartbeat import key_of
from workers.tasks import Losses

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time, os, signal
from pathlib import Path
from runtime import logs
from workers.service import run
from workers.settings import WorkerSettings

def open_session(recipe, store, cache):
    from learning.session import Session

    class Session_(Session):
        def train(self, round, partition, base):
            how = Path(sys.argv[6]).read_text()
            if how == "hungry":
                bytearray(8 * 2**30)
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "sleep":
                Path(sys.argv[6]).with_suffix(".asleep").touch()
                time.sleep(60)
            return super().train(round, partition, base)

    return Session_(recipe, store.open, cache)

logs.configure("worker")
name, node, store, broker, wallets, _, cache = sys.argv[1:]
settings = WorkerSettings(name, node, store, broker, Path(wallets), name, Path(cache), 2 * 2**30, open_session)
sys.exit(run(settings))
"""


def test_losses_are_counted_by_task() -> None:
    losses = Losses()
    one, other = {"job": "a", "partition": 0}, {"job": "a", "partition": 1}
    assert [losses.count(one), losses.count(other), losses.count(dict(reversed(one.items())))] == [1, 1, 2]


def test_only_so_many_are_remembered() -> None:
    losses = Losses()
    for number in range(losses.KEPT + 1):
        losses.count({"job": number})
    assert losses.count({"job": 0}) == 1
    assert losses.count({"job": losses.KEPT}) == 2


class Fleet:
    """A node in this process, a worker in one of its own; `how` it trains is read from a file by each training."""

    def __init__(self, folder: Path, broker: str, lab_module: Any) -> None:
        from chain.client import NodeClient
        from chain.node import running
        from chain.params import Genesis
        from chain.schema import Address
        from chain.wallets import Wallets

        self.lab_module = lab_module
        (folder / "lab").mkdir()
        self.lab = lab_module.Lab(folder / "lab")
        self.key = Wallets(folder / "wallets").create("worker")
        balances = sorted((key.address, 1_000_000) for key in (self.lab.owner, self.lab.alice, self.key))
        validators = tuple(key.address for key in self.lab.validators)
        genesis = Genesis("development", int(time.time() * 1000), validators, tuple(balances), "workers' tests")
        self.stop, ports = threading.Event(), Queue[int]()
        miner = Address("0x" + "ab" * 20)
        self.thread = threading.Thread(
            target=lambda: running.run(folder / "node", "127.0.0.1", 0, genesis, miner, self.stop, ports.put)
        )
        self.thread.start()
        self.node = NodeClient(f"http://127.0.0.1:{ports.get(timeout=30)}")
        self.lab.send = self._send
        self.how = folder / "how"
        self.how.write_text("")
        self.folder, self.broker = folder, broker
        self.log = folder / "worker.log"
        self.process = self.start()
        self.app = make_app(broker)
        self.lab.register()

    def start(self) -> subprocess.Popen[bytes]:
        arguments = ["worker", self.node.url, self.lab.where, self.broker, self.folder / "wallets", self.how]
        command = [sys.executable, "-c", SCRIPT, *map(str, arguments), str(self.folder / "cache")]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def _send(self, payload: Any, key: Any) -> str:
        sent = self.node.send(payload, key)
        self.node.wait_transaction(sent)
        return sent

    def job(self) -> str:
        fields: dict[str, Any] = {
            "dataset": "iris", "partitions": 2, "rounds": 1, "partitioning": '{"scheme":"disjoint"}',
            "estimator": self.lab_module.check_spec(self.lab_module.NAIVE_BAYES, "classification"),
            "aggregation": "merge", "minimum_updates": 2, "attempts": 2, "round_ms": 600_000, "vote_ms": 600_000,
        }  # fmt: skip
        job = self._send(self.lab_module.OpenJob("iris", **fields), self.lab.owner)
        self.until(lambda: self.node.job(job).seed is not None)
        return job

    def task(self, job: str, partition: int = 0) -> None:
        kwargs = {"job": job, "attempt": 0, "round": 0, "partition": partition}
        self.app.send_task(TRAIN, kwargs=kwargs, queue=shared_queue(self.node.genesis_hash()))

    def place(self, job: str, partition: int = 0) -> Any:
        return self.node.job(job).round_list[0].partitions[partition]

    def until(self, condition: Callable[[], bool]) -> None:
        try:
            self.lab_module.until(condition, 60)
        except AssertionError:
            raise AssertionError(self.log.read_text()[-3000:]) from None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.app.close()
        self.stop.set()
        self.thread.join(20)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, redis_url: str, lab_module: Any) -> Iterator[Fleet]:
    database = redis_url.rsplit("/", 1)[0] + "/2"  # the first is for tests that want an empty one
    found = Fleet(tmp_path_factory.mktemp("tasks"), database, lab_module)
    yield found
    found.end()


pytestmark = [pytest.mark.redis, pytest.mark.fleet]


def test_a_task_that_is_sent_twice_changes_nothing(fleet: Fleet) -> None:
    job = fleet.job()
    for nonsense in ({}, {"job": job, "attempt": "0", "round": 0, "partition": 0}, {"job": 7, "more": []}):
        fleet.app.send_task(TRAIN, kwargs=nonsense, queue=shared_queue(fleet.node.genesis_hash()))
    fleet.task(job)
    fleet.task(job)
    fleet.task(job, partition=1)  # queued behind them
    fleet.until(lambda: fleet.place(job, 1).update is not None)
    assert fleet.place(job).update.worker == fleet.key.address
    outcomes = [line for line in fleet.log.read_text().splitlines() if f"job={job}" in line and "partition=0" in line]
    assert len(outcomes) == 2
    # Too late by the chain's state, or by what waits for the next block.
    assert "done already" in outcomes[1] or "expected a partition without an update" in outcomes[1]
    assert fleet.log.read_text().count("is no task") == 3
    blocks = fleet.node.blocks(limit=50)["blocks"]
    told = [transaction["kind"] for block in blocks for transaction in block["transactions"]]
    assert told.count("submit_update") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes RLIMIT_DATA and does not hold it")
def test_a_training_that_wants_too_much_memory_says_so_in_the_job(fleet: Fleet) -> None:
    fleet.how.write_text("hungry")
    job = fleet.job()
    fleet.task(job)
    fleet.until(lambda: fleet.place(job).failures != ())
    (failure,) = fleet.place(job).failures
    assert (failure.code, failure.worker) == ("out_of_memory", fleet.key.address)
    fleet.how.write_text("")
    fleet.task(job, partition=1)
    fleet.until(lambda: fleet.place(job, 1).update is not None)


def test_a_training_process_that_is_killed_is_told_of_and_the_second_time_for_good(fleet: Fleet) -> None:
    fleet.how.write_text("die")
    job = fleet.job()
    fleet.task(job)
    fleet.until(lambda: fleet.place(job).failures != ())
    (failure,) = fleet.place(job).failures
    assert (failure.code, failure.worker) == ("unavailable", fleet.key.address)
    fleet.task(job)
    fleet.until(lambda: len(fleet.place(job).failures) == 2)
    assert fleet.place(job).failures[-1].code == "worker_lost"
    fleet.how.write_text("")
    fleet.task(job, partition=1)
    fleet.until(lambda: fleet.place(job, 1).update is not None)


def test_its_log_is_one_form_without_celery_s_own_voice(fleet: Fleet) -> None:
    lines = fleet.log.read_text().splitlines()
    assert any("event=train" in line for line in lines)
    for silly in ("superuser", "Hitting Ctrl", "shutdown (MainProcess)", "celery@"):
        assert not any(silly in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_also_while_it_trains(fleet: Fleet, number: signal.Signals) -> None:
    fleet.how.write_text("sleep")
    asleep = fleet.how.with_suffix(".asleep")
    asleep.unlink(missing_ok=True)
    job = fleet.job()
    fleet.task(job)
    fleet.until(asleep.exists)
    children = Path(f"/proc/{fleet.process.pid}/task/{fleet.process.pid}/children")
    pool = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    begun = time.monotonic()
    fleet.process.send_signal(number)
    assert fleet.process.wait(10) == 0
    assert time.monotonic() - begun < 5
    fleet.until(lambda: not any(_alive(pid) for pid in pool))
    with redis.Redis.from_url(fleet.broker) as connection:
        assert connection.get(key_of(fleet.node.genesis_hash(), fleet.key.address)) is None
    fleet.how.write_text("")
    fleet.process = fleet.start()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(") ", 1)[1][0] != "Z"
