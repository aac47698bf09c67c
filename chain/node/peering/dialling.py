"""Which addresses a node calls, and when.  Pure."""

from __future__ import annotations

from chain.node.interface import Clock
from chain.node.peering.book import Address, Book
from chain.node.peering.limits import Limits
from chain.node.peering.peer import Peer


class Dialling:
    """The part of :class:`chain.node.peering.protocol.Peering` that looks for peers."""

    def __init__(self, book: Book, limits: Limits, clock: Clock, url: str) -> None:
        """``url``: where others reach this node, empty: nowhere."""
        self.book, self.limits, self.url, self._clock = book, limits, url, clock
        self.peers: dict[str, Peer] = {}

    def add(self, url: str) -> None:
        """An operator names a node: tried for ever, and forgiven."""
        if url != self.url:
            self.book.forgive(url)
            self.book.add(url, trusted=True)

    def dials(self, busy: frozenset[str] = frozenset()) -> list[str]:
        """Addresses to connect to now; ``busy``: those that are being tried."""
        return self.book.due(self._clock(), self._taken(busy), self._wanted(busy))

    def next_dial(self, busy: frozenset[str] = frozenset()) -> int | None:
        """When :meth:`dials` has something."""
        return self.book.next_try(self._taken(busy), self._wanted(busy) > 0)

    def _taken(self, busy: frozenset[str]) -> frozenset[str]:
        # Not what those say of themselves that were not reached there: it may be somebody else's address.
        there = {peer.hello.url for peer in self.peers.values() if peer.reachable}
        return busy | there | self.peers.keys() | {self.url}

    def _wanted(self, busy: frozenset[str]) -> int:
        """How many addresses of others to try: also those who came by themselves could all be one's own."""
        peers = self.peers.values()
        reachable, chosen = sum(peer.reachable for peer in peers), sum(peer.dialled for peer in peers)
        return max(self.limits.dialled - reachable, self.limits.chosen - chosen) - len(busy)

    def dial_failed(self, url: str, reason: str, *, itself: bool = False) -> None:
        """Nobody there, or nobody to talk to; ``itself``: it is this node."""
        if itself:
            self.book.remove(url)
        self.book.failed(url, self._clock(), reason)

    @property
    def addresses(self) -> list[Address]:
        """What is known of other nodes' addresses."""
        return list(self.book)
