"""What can be asked of a node without changing it, by any thread."""

from __future__ import annotations

from collections import OrderedDict

from chain.blockchain import Blockchain
from chain.blocks import Block, Header
from chain.errors import ChainError
from chain.happened import StoredEvent
from chain.mempool import Mempool
from chain.node.interface import Standing
from chain.node.listing import Listing
from chain.params import Params
from chain.store import Store
from chain.transactions import Signed
from chain.tree import Entry


class Looking:
    """The part of a node that only looks."""

    params: Params
    chain: Blockchain
    pool: Mempool
    listing: Listing
    _store: Store
    _dropped: OrderedDict[str, tuple[Signed, ChainError]]
    _gone: list[str]
    _seq: int

    @property
    def head(self) -> Entry:
        """The head."""
        return self.chain.head

    @property
    def seq(self) -> int:
        """Number of the last event."""
        return self._seq

    def events(self, after: int, limit: int) -> list[StoredEvent]:
        """Up to ``limit`` events with numbers above ``after``, of which all else that is shown here knows.

        A block is in the database a moment before it is the head. Who was told of it then, and looked, would find
        the state before it, and no event would ever tell them to look again.
        """
        newest = self._seq  # once: it may grow meanwhile, and what was left out would never be told
        return [each for each in self._store.events(after, limit) if each.seq <= newest]

    def standing(self, transaction: str) -> Standing | None:
        """Where a transaction stands; None when this node never saw it or has forgotten it."""
        waiting = self.pool.get(transaction)
        if waiting is not None:
            return Standing("pending", signed=waiting.signed, error=waiting.held)
        final = self.chain.final  # first: what is at or below it stays, what is final later may be of another branch
        place = self._store.included(transaction)
        if place is not None:
            block = self.block(place.block)
            signed = None if block is None else block.transactions[place.position]
            if place.height <= final.height:
                return Standing("final", place.height, place.block, signed)
            shown = self.chain.at_height(place.height)
            if shown is None or shown.id != place.block:  # as with events: the database is a moment ahead of the head
                return Standing("pending", signed=signed)
            return Standing("included", place.height, place.block, signed)
        dropped = self._dropped.get(transaction)
        if dropped is not None:
            return Standing("dropped", signed=dropped[0], error=dropped[1])
        return None

    def shown(self, transaction: str) -> Standing | None:
        """:meth:`standing` for other threads than the writer: between a block that leaves the head's branch and the
        mempool, what it held is nowhere but in the database."""
        found = self.standing(transaction)
        if found is not None or transaction in self._gone:
            return found
        data = self._store.pending_one(transaction)
        if data is None:
            return None
        return Standing("pending", signed=Signed.decode(data, self.params.largest_transaction))

    def block(self, block: int | str) -> Block | None:
        """A block by its id, or by its height on the head's branch."""
        found = self.block_bytes(block)
        return None if found is None else Block.decode(found, self.params.max_block_bytes)

    def block_bytes(self, block: int | str) -> bytes | None:
        """``Block.encode()`` of :meth:`block`."""
        identifier = self.branch_at(block) if isinstance(block, int) else block
        stored = None if identifier is None else self._store.block(identifier)
        return None if stored is None else stored.data

    def header(self, block: str) -> Header | None:
        """A block's header by its id, of any branch."""
        entry = self.chain.entry(block)
        if entry is not None:
            return entry.block.header
        found = self._store.header(block)
        return None if found is None else Header.unpack(bytes.fromhex(found))

    def height_on_branch(self, block: str) -> int | None:
        """The height of a block on the head's branch; None for all others."""
        entry = self.chain.entry(block)
        if entry is not None:
            return entry.height if self.on_branch(block, entry.height) else None
        return self._store.branch_height(block)

    def headers(self, above: int, limit: int) -> tuple[str, ...]:
        """Headers of the head's branch above a height, packed, in hexadecimal, lowest first."""
        return tuple(self._store.headers(above, limit))

    def branch_at(self, height: int) -> str | None:
        """Id of the block at this height of the head's branch."""
        entry = self.chain.at_height(height)
        if entry is not None:
            return entry.id
        return self._store.branch_at(height) if height <= self.head.height else None

    def on_branch(self, block: str, height: int) -> bool:
        """Whether the block is on the head's branch."""
        return self.branch_at(height) == block
