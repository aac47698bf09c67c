"""The worker as a service: a Celery worker with one training process."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning

from chain.client import NodeClient, NodeError
from chain.schema import Address
from runtime import guard, numeric
from runtime.logs import get_logger
from runtime.settings import only_one
from workers import heartbeat, tasks
from workers.app import make_app, own_queue, shared_queue
from workers.settings import WorkerSettings

log = get_logger("workers.service")

#: Seconds after which a node that is away is asked again which network it is of.
RETRY = 0.5


def run(settings: WorkerSettings) -> int:
    """Work until SIGTERM or SIGINT, which end a training at once: the lease and the task outlive it.

    Queues and heartbeat are named by the network of the worker's node, which is waited for. Returns the exit status,
    if ever: a signal ends the process with status 0. Raises `WalletError`, and `FolderInUseError` where another worker
    has the key.
    """
    guard.watch_parent()
    numeric.pin()
    address = settings.load_key().address
    taken = f"the wallet {settings.wallet} in {settings.wallets} is in use by another worker, whose claims it shares"
    with only_one(settings.wallets / f".{settings.wallet}.working", taken, "name another with --name or --wallet"):
        return _work(settings, address)


def _work(settings: WorkerSettings, address: Address) -> int:
    _end_on_signals(lambda: None)
    node = settings.open_client()
    genesis = _network_of(node)
    _warn_who_may_not_send(node, settings.wallet, address)
    app = make_app(settings.broker)
    tasks.register(app, settings, genesis)
    heartbeat.withdraw(settings.redis, genesis, address)  # a predecessor's, which may have been killed
    stop = threading.Event()
    keeper = threading.Thread(
        target=heartbeat.keep, args=(settings.redis, genesis, address, stop), name="heartbeat", daemon=True
    )
    _end_on_signals(lambda: heartbeat.withdraw(settings.redis, genesis, address))
    worker = _celery_worker(app, settings.name, [shared_queue(genesis), own_queue(genesis, address)])
    log.info("worker", name=settings.name, address=address, node=settings.node, store=settings.store)
    keeper.start()
    try:
        worker.start()
    except SystemExit:
        log.error("Celery's worker ended by itself", exitcode=worker.exitcode)
    stop.set()
    keeper.join(timeout=2)
    return int(worker.exitcode or 1)


def _network_of(node: NodeClient) -> str:
    """The hash of its genesis block, once it answers."""
    told = False
    while True:
        try:
            return node.genesis_hash()
        except NodeError as error:
            if not told:
                log.warning("waiting for the node", node=node.url, reason=str(error))
            told = True
        time.sleep(RETRY)


def _warn_who_may_not_send(node: NodeClient, name: str, address: Address) -> None:
    """Say once at the start that its claims will be refused; it works as soon as that has changed."""
    try:
        why = node.may_not_send(address)
    except NodeError as error:
        log.debug("cannot tell whether the wallet may send", reason=str(error))
        return
    if why is not None:
        advice = f"send it that (`assay wallet send FROM {address} AMOUNT`), or --wallet NAME, a validator's for one"
        log.warning("can claim nothing, as its wallet may not send", wallet=name, reason=why, advice=advice)


def _celery_worker(app: Celery, name: str, queues: list[str]) -> Any:
    # What Celery warns of is that a worker of the superuser's might unpickle; these take JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Logging is configured already, here and in the pool's process; a receiver keeps Celery from doing it again.
    signals.setup_logging.connect(_leave_logging_alone, weak=False)
    for chatty in ("celery", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    class Worker(app.Worker):  # type: ignore[misc]  # Celery has no types
        def install_platform_tweaks(self, _worker: object) -> None:
            """Leave the signals to us: Celery's handlers print beside the log, and only set a flag, which nobody
            reads while the pool's process starts."""

    return Worker(
        pool="prefork",
        concurrency=1,
        hostname=f"{name}@%h",
        queues=queues,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _leave_logging_alone(**_: object) -> None:
    """Take the place of Celery's own set-up."""


def _end_on_signals(last: Callable[[], None]) -> None:
    """On SIGTERM, SIGINT and SIGHUP do what is last and end this process at once, also while Celery starts; with status
    1 when the pool's process says that it cannot train.

    Nothing is lost with it: claims, updates and what is left to do are on the chain. The pool's process ends with
    its parent (`runtime.guard`).
    """
    service = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        try:
            if os.getpid() == service:  # and no copy that is just being forked
                last()
                log.info("worker ends", signal=signal.Signals(number).name)
        finally:
            os._exit(int(number == tasks.CANNOT_TRAIN))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, tasks.CANNOT_TRAIN):
        signal.signal(number, end)
