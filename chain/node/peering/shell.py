"""A node's peers as its service holds them: the protocol, its connections, and what is kept of them on disk."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from chain.node import remembering
from chain.node.core import Node
from chain.node.interface import Clock
from chain.node.peering.links import Links
from chain.node.peering.protocol import Peering
from chain.store import Store
from runtime.logs import get_logger

#: Key under which the store keeps the addresses that an operator added.
KEY = "peers"
#: Milliseconds between two writes of what was learned of others, at least: peers must not be able to wear the disk out.
SAVE_MS = 1_000

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
        self.peering.book.restore(remembering.book(store), clock())
        self._saved, self._saved_at = self.peering.book.changes, clock()

    def next_time(self) -> int | None:
        """When :meth:`on_time` has something to do, in milliseconds since 1970 UTC."""
        save = None if self._saved == self.peering.book.changes else self._saved_at + SAVE_MS
        times = (self.peering.next_time(), self.links.next_time(), save)
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
        if not 0 <= now - self._saved_at < SAVE_MS:
            self._save(now)

    def _save(self, now: int) -> None:
        book = self.peering.book
        if book.changes != self._saved:
            remembering.keep_book(self._store, book.content())
            self._saved, self._saved_at = book.changes, now

    def add(self, url: str) -> None:
        """An operator's peer: tried for ever, also after a restart."""
        kept = self._kept()
        if url not in kept:
            with self._store.write():
                self._store.set_meta(KEY, json.dumps([*kept, url]))
        self.peering.add(url)

    def remove(self, url: str) -> bool:
        """An operator's peer, or an address that was heard of, no more; whether it was known."""
        kept = self._kept()
        if url in kept:
            with self._store.write():
                self._store.set_meta(KEY, json.dumps([each for each in kept if each != url]))
        return self.peering.remove(url) or url in kept

    def _kept(self) -> list[str]:
        return list(json.loads(self._store.meta(KEY) or "[]"))

    def close(self) -> None:
        """No more messages."""
        self.links.close()
        with suppress(sqlite3.Error):
            self._save(self._clock())


def own_url(host: str, port: int) -> str:
    """Where a node that listens on ``host`` is reached; empty where that cannot be told."""
    shown = f"[{host}]" if ":" in host else host
    return "" if host in ("", "0.0.0.0", "::") else f"http://{shown.lower()}:{port}"


def _inform(event: str, /, **fields: object) -> None:
    _log.info(event, **fields)


def _warn(event: str, /, **fields: object) -> None:
    _log.warning(event, **fields)
