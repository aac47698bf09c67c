"""Content by CID: one protocol, an embedded store and Kubo. Importing this package loads no HTTP client."""

import re
from pathlib import Path
from typing import TypeGuard

from ipfs.store import ContentStore, Stat

_KUBO = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/|https?://")

__all__ = ["ContentStore", "Stat", "is_kubo", "open_store"]


def is_kubo(where: str | Path) -> TypeGuard[str]:
    """Whether a store's name is an address of Kubo's, and no folder."""
    return isinstance(where, str) and _KUBO.match(where) is not None


def open_store(where: str | Path, timeout: float = 30.0) -> ContentStore:
    """The store at `where`: a multiaddr ("/ip4/127.0.0.1/tcp/5001") or "http://host:port" is a Kubo RPC
    address, anything else a folder of an embedded store, which is created. `timeout` is in seconds per
    request to Kubo; the connection is made at the first use, so a store may be opened before a fork."""
    if is_kubo(where):
        from ipfs.kubo import KuboStore

        return KuboStore(where, timeout)
    from ipfs.embedded import EmbeddedStore

    return EmbeddedStore(Path(where))
