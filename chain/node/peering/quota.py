"""What messages cost, and what is left of it to whom: also to those who connect anew.  Pure."""

from __future__ import annotations

from collections import OrderedDict

from chain.blocks import Block
from chain.node.core import Node
from chain.node.peering.limits import Bucket, Limits
from chain.node.peering.messages import (
    Answer,
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskTransactions,
    Blocks,
    Headers,
    Inventory,
    Message,
    Transactions,
)
from chain.schema import Hash

#: Identities and hosts whose quotas are kept.
KEPT = 1024
#: Bytes of a header and of an id in a message.
_HEADER, _ID = 184, 48


class Quota:
    """What one address that answers, or one host where there is none, may still do, however often it connects.

    A peer's own rates are measured from its greeting on, and who exceeds those breaks a rule. Nodes of one host share
    this, and who connects again may have used it up: beyond it nothing is done, and nobody is punished.
    """

    def __init__(self, limits: Limits, now: int) -> None:
        self.messages = Bucket(*limits.messages, now)
        self.transactions = Bucket(*limits.transactions, now)
        self.answered = Bucket(*limits.answered, now)
        """Bytes."""
        self.forks = Bucket(*limits.forks, now)
        """Blocks beside others, as :func:`weight_of` weighs them."""
        self.disputed = Bucket(*limits.disputed, now)
        """Blocks of branches that leave out our final block."""
        self.pending: dict[str, None] = {}
        """Waiting transactions that were brought."""


class Quotas:
    """Those of all that were here lately."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[str, Quota] = OrderedDict()

    def of(self, name: str, now: int) -> Quota:
        """The quota kept under a name, the address of a peer or its host."""
        found = self._kept.pop(name, None) or Quota(self._limits, now)
        self._kept[name] = found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


def cost_of(message: Message) -> float:
    """What it costs to deal with, in units of the cheapest."""
    if isinstance(message, AskHeaders):
        return 3.0  # up to 512 are read
    if isinstance(message, AskBlocks):
        return 1 + len(message.ids) / 8
    if isinstance(message, AskTransactions):
        return 1 + len(message.ids) / 128
    if isinstance(message, Headers):
        return 1 + len(message.headers) / 64
    if isinstance(message, Blocks):
        return 1 + len(message.blocks) / 2
    return 2.0 if isinstance(message, AskInventory) else 1.0


def size_of(answer: Answer) -> int:
    """About how many bytes it has."""
    if isinstance(answer, Blocks):
        return sum(len(block.data) for block in answer.blocks)
    if isinstance(answer, Transactions):
        return sum(len(signed.data) for signed in answer.transactions)
    if isinstance(answer, Headers):
        return _HEADER * len(answer.headers)
    return _ID * len(answer.pending) if isinstance(answer, Inventory) else 0


def weight_of(block: Block, most: float) -> float:
    """How much a block beside others counts, ``most`` at most: 1 where it is empty. A full one takes a second of the
    writer's time and 14 MiB of memory."""
    return min(1 + len(block.transactions) // 128 + len(block.data) // (128 * 1024), most)


def forks_off(node: Node, parent: Hash, told: bool) -> bool:
    """Whether a block after ``parent``, which is here, stands beside others.

    Such blocks can be made without end where work is cheap, and all that are valid are kept until the final block is
    above them. Honest nodes tell of few, and a whole branch that is asked for because it is better has one.
    """
    if told:
        return parent != node.head.id
    entry = node.chain.entry(parent)
    return entry is not None and node.chain.has_child(entry)
