"""The worker as a service: a Celery worker with one training process."""

from __future__ import annotations

import contextlib
import threading

from runtime import guard, numeric
from runtime.logs import get_logger
from workers import heartbeat, tasks
from workers.app import QUEUE, make_app, own_queue
from workers.settings import WorkerSettings

log = get_logger("workers.service")


def run(settings: WorkerSettings) -> int:
    """Work until SIGTERM or SIGINT, which end a training at once: the lease and the task outlive it.

    Returns the exit status.
    """
    guard.watch_parent()
    numeric.pin()
    address = settings.load_key().address
    app = make_app(settings.broker)
    tasks.register(app, settings)
    stop = threading.Event()
    keeper = threading.Thread(
        target=heartbeat.keep, args=(settings.redis, address, stop), name="heartbeat", daemon=True
    )
    worker = app.Worker(
        pool="prefork",
        concurrency=1,
        hostname=f"{settings.name}@%h",
        queues=[QUEUE, own_queue(address)],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        quiet=True,
    )
    log.info("worker", name=settings.name, address=address, node=settings.node, store=settings.store)
    keeper.start()
    with contextlib.suppress(SystemExit):
        worker.start()
    stop.set()
    keeper.join(timeout=2)
    return int(worker.exitcode or 0)
