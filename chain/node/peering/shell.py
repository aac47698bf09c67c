"""A node's peers as its service holds them: the protocol, its connections, and what is kept of them on disk."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

from chain.node.core import Node
from chain.node.interface import Clock
from chain.node.peering.links import Links
from chain.node.peering.protocol import Peering
from chain.store import Store
from runtime.logs import get_logger

#: Key under which the store keeps the addresses that an operator added.
KEY = "peers"

_log = get_logger(__name__)


class Peers:
    """For the writer's thread."""

    def __init__(
        self,
        node: Node,
        store: Store,
        clock: Clock,
        post: Callable[[Callable[[], object]], None],
        url: str,
        seeds: Sequence[str],
    ) -> None:
        """``post`` has the writer do something; ``url``: where others reach this node, empty: nowhere."""
        self._store, self._clock = store, clock
        self.links = Links(post, node.params)
        self.peering = self.links.peering = Peering(
            node,
            clock,
            self.links.send,
            random.SystemRandom(),
            url=url,
            seeds=(*seeds, *self._kept()),
            dropped=self.links.dropped,
            log=_inform,
            warn=_warn,
        )

    def next_time(self) -> int | None:
        """When :meth:`on_time` has something to do, in milliseconds since 1970 UTC."""
        times = (self.peering.next_time(), self.links.next_time())
        return min((time for time in times if time is not None), default=None)

    def on_time(self) -> None:
        """Do what is due."""
        now = self._clock()
        due = self.peering.next_time()
        if due is not None and due <= now:
            self.peering.on_time()
        due = self.links.next_time()
        if due is not None and due <= now:
            self.links.dial()

    def add(self, url: str) -> None:
        """An operator's peer: tried for ever, also after a restart."""
        kept = self._kept()
        if url not in kept:
            with self._store.write():
                self._store.set_meta(KEY, json.dumps([*kept, url]))
        self.peering.add(url)

    def _kept(self) -> list[str]:
        return list(json.loads(self._store.meta(KEY) or "[]"))

    def close(self) -> None:
        """No more messages."""
        self.links.close()


def own_url(host: str, port: int) -> str:
    """Where a node that listens on ``host`` is reached; empty where that cannot be told."""
    shown = f"[{host}]" if ":" in host else host
    return "" if host in ("", "0.0.0.0", "::") else f"http://{shown.lower()}:{port}"


def _inform(event: str, /, **fields: object) -> None:
    _log.info(event, **fields)


def _warn(event: str, /, **fields: object) -> None:
    _log.warning(event, **fields)
