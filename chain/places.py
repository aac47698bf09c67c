"""Where the transactions of the newest blocks stand, of which the database has no rows yet.

Ids are random: a row for each, written with its block, changes a page of its own somewhere in the table, and that was
most of what it cost to keep a block. So places stay in memory until the next snapshot of the state is written, and go
to the database with it, in order. Nothing can be lost by that: a node that starts replays the blocks above its
snapshot and remembers their places again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Id, height, position: at one height the head's branch has one block.
Row = tuple[str, int, int]

_Block = tuple[str, int, tuple[str, ...]]
"""A block's id, its height, and the ids of its transactions, in order."""


@dataclass(frozen=True)
class Place:
    """Where in the head's branch a transaction stands."""

    block: str
    height: int
    position: int


class Places:
    """Changes count once they are committed. One thread changes it, any may ask."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._found: dict[str, _Block] = {}
        self._coming: dict[str, _Block | None] = {}
        self._written = -1  # the height up to which rows were handed out

    def get(self, transaction: str) -> Place | None:
        """The place of a transaction, if it is known here."""
        found = self._found.get(transaction)
        return None if found is None else Place(found[0], found[1], found[2].index(transaction))

    def connect(self, height: int, block: str, transactions: Sequence[str]) -> None:
        """The block comes onto the head's branch."""
        self._coming.update(dict.fromkeys(transactions, (block, height, tuple(transactions))))

    def disconnect(self, block: str, transactions: Sequence[str]) -> None:
        """The block leaves the head's branch; what another one holds by now stays."""
        for each in transactions:
            found = self._coming[each] if each in self._coming else self._found.get(each)
            if found is not None and found[0] == block:
                self._coming[each] = None

    def take(self, height: int) -> list[Row]:
        """The rows of all blocks up to a height, ordered by id; once committed, they are forgotten here."""
        self._written = height
        known = {**self._found, **self._coming}
        blocks = {each[0]: each for each in known.values() if each is not None and each[1] <= height}
        return sorted(
            (each, at, position)
            for block, at, transactions in blocks.values()
            for position, each in enumerate(transactions)
            if known.get(each) is blocks[block]
        )

    def commit(self) -> None:
        """What was said since the last time is on the disk, or will be found again there."""
        for each, block in self._coming.items():
            if block is None:
                self._found.pop(each, None)
            else:
                self._found[each] = block
        self._coming = {}
        if self._written >= 0:
            self._found = {each: block for each, block in self._found.items() if block[1] > self._written}
            self._written = -1

    def forget(self) -> None:
        """What was said since the last time is not so after all."""
        self._coming, self._written = {}, -1
