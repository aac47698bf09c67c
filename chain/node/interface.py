"""What a node takes from outside and hands out: its clock, its transport, its receipts and its tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chain.blocks import Block
from chain.errors import ChainError
from chain.transactions import Signed

#: Milliseconds since 1970 UTC.
Clock = Callable[[], int]
Status = Literal["pending", "included", "final", "dropped"]


class Transport(Protocol):
    """How what is new here reaches other nodes; called after it is on the disk."""

    def transactions(self, signed: Sequence[Signed]) -> None:
        """Transactions that were not known before."""

    def blocks(self, blocks: Sequence[Block]) -> None:
        """Valid blocks that were not known before, parents first."""


class Alone:
    """The transport of a node without peers."""

    def transactions(self, signed: Sequence[Signed]) -> None:
        """Nobody to tell."""

    def blocks(self, blocks: Sequence[Block]) -> None:
        """Nobody to tell."""


@dataclass(frozen=True)
class Receipt:
    """A transaction is on this node's disk: waiting, or in a block already."""

    transaction: str
    status: Status


@dataclass(frozen=True)
class Standing:
    """Where a transaction stands."""

    status: Status
    height: int | None = None
    block: str | None = None
    signed: Signed | None = None
    error: ChainError | None = None
    """Why it was dropped, or why it cannot be in the next block yet."""


@dataclass(frozen=True)
class Task:
    """A block that lacks its nonce, and the number by which the miner's answer names it."""

    number: int
    block: Block
