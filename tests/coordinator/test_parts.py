"""The coordinator's parts by themselves: who is answered, what is kept on disk, what is followed, what is sent."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chain.client import EventPage, NodeEvent
from chain.keys import Key
from coordinator import guard
from coordinator.broker import Broker, BrokerUnavailable
from coordinator.dispatch import Dispatcher
from coordinator.follower import Follower
from coordinator.problems import from_pydantic
from coordinator.routes.jobs import EVENTS, _happened
from coordinator.scheduler import Task
from coordinator.schemas import DatasetIn
from coordinator.serving import at_time
from coordinator.settings import RefusedAddress, Settings, is_loopback
from runtime import broker as runtime_broker

ROOT = Path(__file__).parents[2]
KEY = Key((7).to_bytes(32, "big"))
GENESIS, OTHER = "ab" * 32, "cd" * 32


# Who is answered


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST.", "a.localhost"]
)
def test_this_machine_s_own_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", "2130706433"]
)
def test_other_machines_names(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    with pytest.raises(RefusedAddress, match="loopback only"):
        Settings(data=tmp_path, host=host)


@pytest.mark.parametrize(
    ("host", "origin", "answered"),
    [
        ("127.0.0.1:5000", None, True),
        ("localhost", "http://localhost:8080", True),
        ("[::1]:5000", "http://127.0.0.1", True),
        ("rebound.example:5000", None, False),
        ("", None, False),
        ("127.0.0.1:5000", "https://evil.example", False),
        ("127.0.0.1:5000", "null", False),
        ("127.0.0.1@evil.example", None, False),
    ],
)
def test_only_requests_for_and_from_this_machine_are_answered(
    host: str, origin: str | None, answered: bool
) -> None:
    assert (guard.refusal(host, origin) is None) == answered


def test_the_service_loads_no_learning_library_and_no_worker() -> None:
    script = (
        "import sys, coordinator.service\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'sklearn', 'scipy', 'learning', 'workers', 'validators', 'web3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_the_client_loads_no_server() -> None:
    script = (
        "import sys, coordinator.client\n"
        "print(sorted({'flask', 'pydantic', 'celery', 'redis', 'chain'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


# The version at a time


@given(gaps=st.lists(st.integers(1, 9), max_size=20), at=st.integers(0, 200))
def test_the_version_in_service_at_a_time_is_found_by_few_looks(gaps: list[int], at: int) -> None:
    times = list(itertools.accumulate(gaps))
    looks: list[int] = []

    def look(number: int) -> Any:
        looks.append(number)
        return SimpleNamespace(value=SimpleNamespace(number=number, time=times[number - 1]))

    found = at_time(look, len(times), at)
    before = [number for number, time in enumerate(times, start=1) if time <= at]
    assert (found.value.number if found is not None else None) == (before[-1] if before else None)
    assert len(looks) <= len(times).bit_length()


# What happened to a job


@pytest.mark.parametrize(("others", "about", "told"), [(3, 0, False), (3, 1, True), (EVENTS, 0, True)])
def test_who_comes_back_to_a_job_is_shown_it_where_something_may_have_happened(
    others: int, about: int, told: bool
) -> None:
    class Node:
        def events(self, after: int, limit: int) -> EventPage:
            assert after == 7
            names = ["another"] * others + ["job"] * about
            found = [NodeEvent(8 + n, 3, "b", "vote", False, 0, {"job": name}) for n, name in enumerate(names)]
            return a_page(*found[:limit])

    assert _happened(Node(), "job", 7) is told  # type: ignore[arg-type]


# Follower


def event(height: int, kind: str, undone: bool = False) -> NodeEvent:
    return NodeEvent(height, height, "b", kind, undone, 0, {})


def a_page(*events: NodeEvent, next_: int = 1, run: str = "r", height: int = 9, final: int = 0) -> EventPage:
    return EventPage(events, next_, run, "head", height, final)


def test_the_oldest_event_that_is_not_final_is_known() -> None:
    now = [10.0]
    follower = Follower(None, lambda: now[0])  # type: ignore[arg-type]
    follower.take(a_page(event(3, "block"), event(3, "justified")))
    assert follower.position.unfinal_since is None
    follower.take(a_page(event(4, "job_opened")))
    now[0] = 12.0
    follower.take(a_page(event(5, "vote")))
    assert follower.position.unfinal_since == 10.0
    follower.take(a_page(final=4))
    assert follower.position.unfinal_since == 12.0
    follower.take(a_page(event(5, "vote", undone=True), final=4))
    assert follower.position.unfinal_since is None


def test_another_run_of_the_node_starts_over() -> None:
    follower = Follower(None, lambda: 1.0)  # type: ignore[arg-type]
    follower.take(a_page(event(4, "job_opened"), next_=50))
    follower.take(a_page(run="other", next_=2))
    assert (follower.position.seq, follower.position.unfinal_since) == (2, None)


def test_who_waits_is_woken_by_the_next_page() -> None:
    follower = Follower(None)  # type: ignore[arg-type]
    seen: list[int] = []
    waiter = threading.Thread(target=lambda: seen.append(follower.wait(0, 20)))
    waiter.start()
    follower.take(a_page())
    waiter.join(5)
    assert seen == [1]
    assert follower.wait(1, 0.01) == 1


# Broker and dispatcher


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    server = runtime_broker.embedded()
    process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not server.ready():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        yield server.celery_url
    finally:
        process.terminate()
        process.wait(10)
        server.remove()


def test_a_task_is_a_json_message_of_ids_in_its_queue(valkey: str) -> None:
    broker = Broker(valkey)
    broker.ping()
    broker.send(Task("bafyjob", 0, 1, 2), GENESIS)
    broker.send(Task("bafyjob", 0, 1, None, worker="0xabc"), GENESIS)
    with redis.Redis.from_url(runtime_broker.client_url(valkey)) as client:
        message = json.loads(client.lpop(f"assay.{GENESIS[:16]}"))  # type: ignore[arg-type]
        assert message["content-type"] == "application/json"
        assert message["headers"]["task"] == "assay.train"
        own = json.loads(client.lpop(f"assay.{GENESIS[:16]}.0xabc"))  # type: ignore[arg-type]
        assert own["headers"]["task"] == "assay.aggregate"
    broker.close()


def test_workers_are_seen_by_their_heartbeats_and_nonsense_is_passed_over(valkey: str) -> None:
    with redis.Redis.from_url(runtime_broker.client_url(valkey)) as client:
        document = {"address": "0x01", "name": "w", "pid": 1, "environment": "e"}
        ours, theirs = f"assay:worker:{GENESIS[:16]}", f"assay:worker:{OTHER[:16]}"
        client.set(f"{ours}:0x01", json.dumps(document), ex=15)
        client.set(f"{ours}:0x02", "nonsense", ex=15)
        client.set(f"{ours}:0x03", "[]", ex=15)
        client.set(f"{ours}:0x05", json.dumps(document)[:-1] + ', "since": 1e999}', ex=15)
        client.set(f"{ours}:0x06", "[" * 100_000, ex=15)
        client.set(f"{theirs}:0x04", json.dumps({**document, "address": "0x04"}), ex=15)
    broker = Broker(valkey)
    assert [worker.address for worker in broker.workers(GENESIS)] == ["0x01"]
    assert [worker.address for worker in broker.workers(OTHER)] == ["0x04"]
    broker.close()


def test_an_absent_broker_is_said_without_its_password() -> None:
    broker = Broker("redis://user:secret@127.0.0.1:1/0")
    for act in (broker.ping, lambda: broker.workers(GENESIS), lambda: broker.send(Task("j", 0, 0, 0), GENESIS)):
        with pytest.raises(BrokerUnavailable) as caught:
            act()
        assert "127.0.0.1:1" in str(caught.value)
        assert "secret" not in str(caught.value)
    broker.close()


class FlakyBroker:
    def __init__(self) -> None:
        self.sent: list[Task] = []
        self.away = False

    def workers(self, genesis: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(address="0x01", since=0)]

    def send(self, task: Task, genesis: str) -> None:
        if self.away and len(self.sent) >= 1:
            raise BrokerUnavailable("away")
        self.sent.append(task)


def test_what_the_broker_did_not_take_counts_as_not_sent() -> None:
    from chain.client import View
    from chain.schema import Address, Cid, Hash
    from chain.state.objects import Job, Partition, Round

    seed = Hash("ab" * 32)
    opened = Round(0, 0, 10**13, None, tuple(Partition(i) for i in range(3)))
    job = Job(
        Cid("bafyjob"), Address("0x" + "01" * 20), "m", "d", "{}", 3, 1, "{}", "average", 3, 1, 1, 1, 2, 0,
        seed=seed, seed_block=seed, round_list=(opened,),
    )  # fmt: skip
    node = SimpleNamespace(job_views=lambda state: [View(job, 5, "h", 5, True)], genesis_hash=lambda: GENESIS)
    broker = FlakyBroker()
    dispatcher = Dispatcher(node, Follower(None), broker)  # type: ignore[arg-type]
    broker.away = True
    with pytest.raises(BrokerUnavailable):
        dispatcher.step()
    broker.away = False
    assert 0 < dispatcher.step() <= 5
    assert [task.partition for task in broker.sent] == [0, 1, 2]
    dispatcher.step()
    assert len(broker.sent) == 3


def test_a_broker_that_is_away_is_said_before_there_is_a_task(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()

    class Away:
        def ping(self) -> None:
            raise BrokerUnavailable("no broker answers")

    def idle(state: str) -> list[Any]:
        stop.set()
        return []

    Dispatcher(SimpleNamespace(job_views=idle), Follower(None), Away()).run(stop)  # type: ignore[arg-type] # all it asks
    assert "no broker answers" in caplog.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Not A Name"}, "expected 1 to 64 of a-z 0-9 . _ -, a letter or digit first, came 'Not A Name'"),
        ({"cid": "bafy"}, "expected a CID (version 1 in base32, or Qm...), came 'bafy'; `assay dataset add FILE`"),
    ],
)
def test_a_name_or_cid_of_the_wrong_form_is_answered_with_what_was_expected_what_came_and_what_to_do(
    fields: dict[str, str], said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        DatasetIn.model_validate({"name": "x", "cid": "b" * 59, "target": "y"} | fields)
    assert said in str(from_pydantic(caught.value).to_dict()["detail"])
