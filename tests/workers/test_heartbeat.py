"""Liveness in Redis: written by who can train, kept by the service, gone with both."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from workers import heartbeat
from workers.heartbeat import TTL, announce, keep, key_of, withdraw

pytestmark = pytest.mark.redis

ME = "0x" + "ab" * 20
HERE, THERE = "0123456789abcdef" * 4, "f" * 64
KEY = key_of(HERE, ME)


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as found:
        found.delete(KEY)
        yield found
        found.delete(KEY)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.02)
    monkeypatch.setattr(heartbeat, "LOOK", 0.02)


@pytest.fixture
def keeper(redis_url: str, connection: redis.Redis, quick: None) -> Iterator[threading.Event]:
    """The keeper, until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=keep, args=(redis_url, HERE, ME, stop))
    thread.start()
    yield stop
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_who_can_train_says_who_it_is_and_since_when(redis_url: str, connection: redis.Redis) -> None:
    before = int(time.time() * 1000)
    announce(redis_url, HERE, ME, "worker-1", 4711, "e" * 64)
    document = json.loads(connection.get(KEY))
    since = document.pop("since")
    assert before <= since <= int(time.time() * 1000)
    assert document == {"address": ME, "name": "worker-1", "pid": 4711, "environment": "e" * 64}
    assert 0 < connection.ttl(KEY) <= TTL


def test_the_coordinator_s_broker_finds_it(redis_url: str, connection: redis.Redis) -> None:
    from coordinator.broker import Broker

    announce(redis_url, HERE, ME, "worker-1", 4711, "e" * 64)
    broker = Broker(redis_url)
    try:
        assert ME in [worker.address for worker in broker.workers(HERE)]
        assert broker.workers(THERE) == [], "on another network it is nobody"
        withdraw(redis_url, THERE, ME)
        assert ME in [worker.address for worker in broker.workers(HERE)]
    finally:
        broker.close()


def test_nobody_is_said_to_live_before_the_pool_s_process_says_so(
    redis_url: str, connection: redis.Redis, keeper: threading.Event
) -> None:
    assert not keeper.wait(0.1)
    assert connection.get(KEY) is None


def test_it_is_kept_and_written_again_when_redis_forgot_it(
    redis_url: str, connection: redis.Redis, keeper: threading.Event, lab_module: Any
) -> None:
    announce(redis_url, HERE, ME, "worker-1", 4711, "e" * 64)
    connection.expire(KEY, 2)
    lab_module.until(lambda: connection.ttl(KEY) > 2)
    connection.delete(KEY)
    lab_module.until(lambda: connection.get(KEY) is not None)


def test_it_goes_with_the_service(
    redis_url: str, connection: redis.Redis, keeper: threading.Event, lab_module: Any
) -> None:
    announce(redis_url, HERE, ME, "worker-1", 4711, "e" * 64)
    connection.expire(KEY, 2)
    lab_module.until(lambda: connection.ttl(KEY) > 2)
    keeper.set()
    lab_module.until(lambda: connection.get(KEY) is None)


def test_a_redis_that_is_away_when_it_is_withdrawn_does_no_harm() -> None:
    withdraw("redis://127.0.0.1:1/0", HERE, ME)
