"""How others see that a worker is alive: a key in Redis that goes away with it.

Only liveness: what a worker did is read from the chain. The pool's process writes the key once it can
train; the service keeps it, so that a long training does not make the worker look dead.
"""

from __future__ import annotations

import json
import threading
import time

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from runtime.logs import get_logger

#: Seconds after which a worker that no longer says anything is gone, and between two signs of life.
TTL = 15
INTERVAL = 5.0
#: Seconds between two looks for the key that the pool's process writes.
LOOK = 0.2

log = get_logger("workers.heartbeat")


def key_of(genesis: str, address: str) -> str:
    """The worker's key, by the hash of its network's genesis block: networks may share a Redis."""
    return f"assay:worker:{genesis[:16]}:{address}"


def announce(url: str, genesis: str, address: str, name: str, pid: int, environment: str) -> None:
    """Write the worker's key: it can take tasks from now on. `url` as redis-py writes it.

    `since` (ms since 1970) tells the scheduler that what this worker held before died with an earlier process.
    A Redis that is away is waited for (tasks come from it, too), for a minute. Raises `redis.RedisError`.
    """
    since = int(time.time() * 1000)
    document = json.dumps(
        {"address": address, "name": name, "pid": pid, "environment": environment, "since": since}
    )
    with _client(url) as client:
        client.set(key_of(genesis, address), document, ex=TTL)


def withdraw(url: str, genesis: str, address: str) -> None:
    """Remove the worker's key; where Redis is away, it expires by itself."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            client.delete(key_of(genesis, address))
    except redis.RedisError as error:
        log.debug("heartbeat not removed", address=address, error=str(error))


def keep(url: str, genesis: str, address: str, stop: threading.Event) -> None:
    """Keep the worker's key until `stop`, then remove it; also over a restart of Redis, which forgets it."""
    document: bytes | str | None = None
    key = key_of(genesis, address)
    with redis.Redis.from_url(url) as client:
        while not stop.wait(INTERVAL if document else LOOK):
            try:
                found = client.getex(key, ex=TTL)
                if found is not None:
                    document = found
                elif document is not None:
                    client.set(key, document, ex=TTL)
            except redis.RedisError as error:
                log.warning("no heartbeat", error=str(error))
                stop.wait(INTERVAL)
    withdraw(url, genesis, address)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, retry=Retry(ConstantBackoff(1.0), 60), retry_on_error=[redis.ConnectionError, redis.TimeoutError]
    )
