"""The coordinator's process: listen first, then follow the chain, send tasks and load the learning libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from chain.client import NodeClient
from chain.keys import Key
from chain.wallets import Wallets
from coordinator import network
from coordinator.app import create_app
from coordinator.broker import Broker
from coordinator.context import Services
from coordinator.dispatch import Dispatcher
from coordinator.follower import Follower
from coordinator.ledger import Ledger
from coordinator.outbox import Outbox
from coordinator.permission import Permission
from coordinator.readiness import Readiness
from coordinator.serving import Predictors
from coordinator.settings import Settings
from ipfs import open_store
from runtime import numeric
from runtime.logs import get_logger
from runtime.serving import listen, serve
from runtime.settings import only_one

#: Seconds that the threads are given to end when the service stops; they are daemons after that.
STOP_SECONDS = 2.0
#: Seconds before a thread that failed begins anew.
AGAIN_SECONDS = 1.0

_log = get_logger(__name__)


def run(settings: Settings, stop: threading.Event, on_ready: Callable[[int], None] | None = None) -> int:
    """Serve until `stop` is set; the port. `on_ready` is told the port once connections are accepted.

    Raises `FolderInUseError`, `CannotListen`, `chain.errors.WalletError`, `sqlite3.Error`. An absent node, store
    or broker is waited for.
    """
    taken = f"{settings.data} is in use by another coordinator, whose outbox and wallet no second one may share"
    with only_one(settings.folder / "lock", taken, "name another folder with --data"):
        return _served(settings, stop, on_ready)


def _served(settings: Settings, stop: threading.Event, on_ready: Callable[[int], None] | None) -> int:
    numeric.pin()
    listener = listen(settings.host, settings.port)
    outbox = Outbox(settings.folder / "outbox.sqlite")
    broker = Broker(settings.broker) if settings.broker else None
    parts = assemble(settings, outbox, stop, broker)
    found = parts.services
    app = create_app(found)
    started = [
        threading.Thread(target=_kept_up, args=(name, run, stop), name=name, daemon=True)
        for name, run in parts.threads.items()
    ]

    def ready(port: int) -> None:
        for thread in started:
            thread.start()
        _log.info("coordinator answers", host=settings.host, port=port, wallet=found.ledger.address)
        if on_ready is not None:
            on_ready(port)

    try:
        most = settings.longest_body
        return serve(app, settings.host, settings.port, max_body=most, on_ready=ready, stop=stop, listener=listener)
    finally:
        stop.set()
        found.follower.wake()
        for thread in started:
            if thread.ident is not None:
                thread.join(STOP_SECONDS / len(started))
        parts.close()


def _kept_up(name: str, run: Callable[[], None], stop: threading.Event) -> None:
    """Run a thread's work; begin it anew after an error that nobody foresaw, which must not end it in silence."""
    while not stop.is_set():
        try:
            run()
        except Exception as error:  # noqa: BLE001
            if stop.is_set():  # what it needed is closed
                _log.debug("thread ends with the coordinator", thread=name, exc_info=error)
                return
            _log.error("thread failed, beginning anew", thread=name, exc_info=error)
            stop.wait(AGAIN_SECONDS)
        else:
            return


@dataclass(frozen=True)
class Parts:
    """`threads`: what is to run in a thread each until the stop; `close` lets go of everything after that."""

    services: Services
    threads: dict[str, Callable[[], None]]
    close: Callable[[], None]


def assemble(settings: Settings, outbox: Outbox, stop: threading.Event, broker: Broker | None) -> Parts:
    """All parts of a coordinator; nothing is started. Raises `WalletError`."""
    node = NodeClient(settings.node)
    store = open_store(settings.store_address)
    ledger = Ledger(node, hosted_key(settings), outbox)
    follower = Follower(node)
    cache = settings.folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    predictors = Predictors(node, store, follower, cache)
    # Readiness is asked often and must answer soon, also when the node hangs.
    permission = Permission(node, settings.key, ledger.address)
    asked = NodeClient(settings.node, timeout=3)
    readiness = Readiness(asked, store, broker, ledger, follower, predictors, permission)
    found = Services(settings, node, store, ledger, follower, predictors, readiness, threading.Lock(), stop)
    threads: dict[str, Callable[[], None]] = {
        "follower": lambda: follower.run(stop),
        "outbox": lambda: ledger.run(follower, stop),
        "predictors": lambda: predictors.run(stop),
        "readiness": lambda: readiness.run(stop),
        "permission": lambda: permission.run(follower, stop),
        "network": lambda: network.tell(node, settings.folder / "genesis", stop),
    }
    if broker is not None:
        dispatcher = Dispatcher(node, follower, broker)
        threads["dispatcher"] = lambda: dispatcher.run(stop)

    def close() -> None:
        if broker is not None:
            broker.close()
        outbox.close()
        store.close()

    return Parts(found, threads, close)


def hosted_key(settings: Settings) -> Key:
    """The wallet that signs for the convenience routes, made at the first start. Raises `WalletError`."""
    return Wallets(settings.wallet_folder).ensure(settings.key)
