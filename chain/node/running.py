"""A node as a process: its folder locked, its database opened, its service behind HTTP."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from chain.database import StoreError
from chain.errors import ConflictingFinality, InvalidEncoding
from chain.node import remembering
from chain.node.api import create_app
from chain.node.blocklog import BlockLog
from chain.node.core import Node
from chain.node.peering.operators import operator_token
from chain.node.peering.places import GREETINGS, MESSAGES
from chain.node.peering.shell import own_url
from chain.node.service import Service, clock
from chain.params import DEVELOPMENT, NETWORKS, Genesis
from chain.schema import Address
from chain.store import Store
from runtime import serving
from runtime.collecting import collect_rarely
from runtime.files import atomic_write
from runtime.logs import get_logger
from runtime.settings import DataFolder

#: Name of the database in the node's folder.
DATABASE = "chain.sqlite"
#: Largest request body, bytes, that is read at all; the API itself takes a transaction and no more.
MAX_BODY = 16 * 1024 * 1024

_log = get_logger(__name__)


def run(
    folder: Path,
    host: str,
    port: int,
    genesis: Genesis | None,
    miner: Address,
    stop: threading.Event,
    on_ready: Callable[[int], None] | None = None,
    *,
    peers: Sequence[str] = (),
    advertise: str | None = None,
    forget_conflict: bool = False,
) -> None:
    """Serve a node from a data folder until ``stop`` is set.

    Parameters
    ----------
    folder
        The data folder (:class:`runtime.settings.DataFolder`); the database is in its ``node`` folder, and so is
        ``genesis.json``, written where it is missing; ``blockchain.log`` beside that.
    host, port
        Where to listen; port 0 takes a free one.
    genesis
        The network's genesis; None takes the one that the database was made with.
    miner
        The address named in the blocks that this node mines.
    on_ready
        Called with the port once requests are answered.
    peers
        Addresses of other nodes, ``http://HOST:PORT``.
    advertise
        Where other nodes reach this one; None: where it listens, unless that is every address there is.
    forget_conflict
        Go on although the node has stopped because two branches were final.

    Raises ``StoreError`` for a folder in use, of another network or without a genesis, ``CannotListen``, and
    ``ConflictingFinality`` when two branches turn out to be final, or did so in an earlier run.
    """
    data = DataFolder(folder)
    listener = serving.listen(host, port)
    with listener, _locked(data.node), _opened(data.node / DATABASE) as store:
        genesis = _genesis(store, genesis)
        params = NETWORKS.get(genesis.network)
        if params is None:
            raise StoreError(f"the genesis names network {genesis.network!r}: expected one of {sorted(NETWORKS)}")
        if forget_conflict and remembering.forget_conflict(store):
            _log.warning("goes on although two branches were final; an operator said so")
        try:
            node = Node(genesis, params, store, clock, miner)
        except ConflictingFinality as error:
            _log.critical("the node does not start: it has seen two branches final", reason=str(error))
            raise
        _keep(genesis, data.genesis)
        collect_rarely()
        url = own_url(host, int(listener.getsockname()[1])) if advertise is None else advertise
        if not url:
            _log.warning(
                "other nodes cannot reach this one: what is new it learns only by asking, every 5 s",
                advice="name the address under which they reach it with --advertise http://HOST:PORT",
            )
        with closing(BlockLog(data.blockchain_log, store.events)) as log:
            service = Service(node, store, log, stop, _run_id(store), url, peers)
            # Before any other thread works: making its routes parses code, and so does printing a traceback, which
            # CPython 3.11 cannot do in two threads at once ("AST constructor recursion depth mismatch", gh-106905).
            app = create_app(service, operator_token(data.operator_token))
            service.start()

            def ready(port: int) -> None:
                _say_started(service, f"{host}:{port}")
                if on_ready is not None:
                    on_ready(port)

            try:
                serving.serve(
                    app,
                    host,
                    port,
                    threads=serving.THREADS + MESSAGES + GREETINGS,  # peers and everybody else wait for nobody's
                    max_body=MAX_BODY,
                    on_ready=ready,
                    stop=stop,
                    listener=listener,
                )
            finally:
                service.close()
                _log.info("node ends", height=node.head.height, final=node.chain.final.height)
        if service.error is not None:
            raise service.error


def _say_started(service: Service, listens: str) -> None:
    """Which chain it is, where the node stands on it, for whom it mines, and whom it can try to reach."""
    node, peering = service.node, service.peers.peering
    _log.info(
        "node",
        listens=listens,
        reached_at=peering.url,
        network=node.genesis.network,
        genesis=node.chain.genesis_id,
        height=node.head.height,
        final=node.chain.final.height,
        miner=node.miner,
        addresses_of_others=len(peering.addresses),
    )
    if node.genesis.network != DEVELOPMENT.name and not peering.addresses:
        _log.warning(
            "no other node is known yet: waits until one connects",
            advice="name one with --peers http://HOST:PORT, or while it runs with assay chain peers --add",
        )


def _genesis(store: Store, given: Genesis | None) -> Genesis:
    if given is not None:
        return given
    text = store.meta("genesis")
    if text is None:
        raise StoreError("the folder has no chain yet: start the node with the network's genesis file")
    try:
        return Genesis.from_json(text)
    except InvalidEncoding as error:
        raise StoreError(f"the genesis in the database cannot be read: {error}") from error


def _keep(genesis: Genesis, path: Path) -> None:
    """Have the file say the genesis of the chain that is in the database: the next start reads it, and auditors do."""
    try:
        said = Genesis.from_json(path.read_bytes())
    except (FileNotFoundError, InvalidEncoding):
        said = None
    if said != genesis:
        atomic_write(path, genesis.to_json().encode())


def _run_id(store: Store) -> str:
    found = store.meta("run")
    if found is None:
        found = secrets.token_hex(8)
        with store.write():
            store.set_meta("run", found)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other nodes off the database; the lock dies with the process."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder} is in use by another node: stop that one, or name another folder") from None
        yield
    finally:
        os.close(descriptor)
