"""How others see that a worker is alive: a key in Redis that goes away with it.

Only liveness: what a worker did is read from the chain. The pool's process writes the key once it can
train; the service keeps it, so that a long training does not make the worker look dead.
"""

from __future__ import annotations

import json
import threading
import time

import redis

from runtime.logs import get_logger

PREFIX = "assay:worker:"
#: Seconds after which a worker that no longer says anything is gone, and between two signs of life.
TTL = 15
INTERVAL = 5.0

log = get_logger("workers.heartbeat")


def announce(url: str, address: str, name: str, pid: int, environment: str) -> None:
    """Write the worker's key: it can take tasks from now on. `url` as redis-py writes it.

    `since` (ms since 1970) tells the scheduler that what this worker held before died with an earlier process.
    """
    since = int(time.time() * 1000)
    document = json.dumps(
        {"address": address, "name": name, "pid": pid, "environment": environment, "since": since}
    )
    with redis.Redis.from_url(url) as client:
        client.set(PREFIX + address, document, ex=TTL)


def keep(url: str, address: str, stop: threading.Event) -> None:
    """Keep the worker's key until `stop`, then remove it; also over a restart of Redis, which forgets it."""
    client = redis.Redis.from_url(url)
    document: bytes | str | None = None
    while not stop.wait(INTERVAL if document else 0.2):
        try:
            found = client.getex(PREFIX + address, ex=TTL)
            if found is not None:
                document = found
            elif document is not None:
                client.set(PREFIX + address, document, ex=TTL)
        except redis.RedisError as error:
            log.warning("no heartbeat", error=str(error))
    try:
        client.delete(PREFIX + address)
    except redis.RedisError:  # it expires by itself
        log.debug("heartbeat not removed", address=address)
    client.close()
