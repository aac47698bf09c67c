"""What a node's process finds in its folder and its database before it starts."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.errors import InvalidEncoding
from chain.params import Genesis
from chain.store import Store, StoreError

#: Key under which the store keeps the peers that an operator added.
PEERS = "peers"


def take_genesis(store: Store, given: Genesis | None) -> Genesis:
    """The given genesis, or the one that the database was made with. Raises ``StoreError``."""
    if given is not None:
        return given
    text = store.meta("genesis")
    if text is None:
        raise StoreError("the folder has no chain yet: start the node with the network's genesis file")
    try:
        return Genesis.from_json(text)
    except InvalidEncoding as error:
        raise StoreError(f"the genesis in the database cannot be read: {error}") from error


def own_url(host: str, port: int) -> str:
    """Where a node that listens on ``host`` is reached; empty where that cannot be told."""
    shown = f"[{host}]" if ":" in host else host
    return "" if host in ("", "0.0.0.0", "::") else f"http://{shown.lower()}:{port}"


def stored_peers(store: Store) -> list[str]:
    """Peers that operators added, from the database."""
    return list(json.loads(store.meta(PEERS) or "[]"))


def run_id(store: Store) -> str:
    """Names this database's numbering of events."""
    found = store.meta("run")
    if found is None:
        found = secrets.token_hex(8)
        with store.write():
            store.set_meta("run", found)
    return found


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """The database, closed at the end."""
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other nodes off the database; the lock dies with the process."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder} is in use by another node: stop that one, or name another folder") from None
        yield
    finally:
        os.close(descriptor)
