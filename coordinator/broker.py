"""What the coordinator has to do with the broker: sending tasks by name, and seeing which workers live.

It names tasks and never imports the workers. Messages are JSON and hold ids only; losing them loses nothing.
Queues and heartbeats are named by the network, so that several may share a broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from coordinator.scheduler import Task
from runtime import strict_json
from runtime.broker import client_url


def heartbeats(genesis: str) -> str:
    """The pattern of the keys that a network's workers keep in Redis while they live."""
    return f"assay:worker:{genesis[:16]}:*"


class BrokerUnavailable(Exception):  # noqa: N818 - the failure's name, as users read it
    """Nobody answers at the broker's address."""


@dataclass(frozen=True)
class Worker:
    """A worker that says it lives; `environment` is the digest of its numeric environment, `since` when the
    process that trains began (ms since 1970, 0 where it does not say)."""

    address: str
    name: str
    environment: str
    since: int = 0


class Broker:
    """One broker. May be shared by threads. Its methods raise `BrokerUnavailable`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._redis: redis.Redis = redis.Redis.from_url(
            client_url(url), socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 1)
        )
        self._celery = Celery("assay", broker=url, set_as_current=False)
        self._celery.conf.update(
            task_serializer="json",
            accept_content=["json"],
            result_backend=None,
            task_ignore_result=True,
            broker_connection_timeout=3,
            broker_transport_options={
                "socket_timeout": 3,
                "socket_connect_timeout": 3,
                "max_retries": 1,  # the dispatcher tries again by itself
                "interval_start": 0,
                "interval_step": 0,
                "interval_max": 0,
            },
        )

    def send(self, task: Task, genesis: str) -> None:
        """Enqueue one task for the workers of the network with this genesis hash."""
        try:
            self._celery.send_task(task.name, kwargs=task.kwargs, queue=task.queue(genesis), retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            raise BrokerUnavailable(self._gone(error)) from error

    def ping(self) -> None:
        """Ask whether it is there."""
        try:
            self._redis.ping()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(self._gone(error)) from error

    def workers(self, genesis: str) -> list[Worker]:
        """The workers of a network that live, in the order of their addresses."""
        try:
            keys = sorted(self._redis.scan_iter(heartbeats(genesis), count=1000))
            values: list[Any] = self._redis.mget(keys) if keys else []
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(self._gone(error)) from error
        return [worker for worker in map(_worker, values) if worker is not None]

    def close(self) -> None:
        self._redis.close()
        self._celery.close()

    def _gone(self, error: BaseException) -> str:
        return f"no broker answers at {_without_password(self.url)} ({error}); start it, or correct --broker"


def _worker(value: bytes | None) -> Worker | None:
    """Anybody who reaches the broker can write a heartbeat: what is none is passed over."""
    try:
        found = strict_json.loads(value or b"null")
        texts = str(found["address"]), str(found["name"]), str(found["environment"])
        return Worker(*texts, since=int(found.get("since", 0)))
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
