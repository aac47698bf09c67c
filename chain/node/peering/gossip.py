"""Telling peers what is new: at once, and what follows within a moment together.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chain.blocks import Block
from chain.node.core import Node
from chain.node.peering.codec import BATCH_BYTES
from chain.node.peering.limits import Limits
from chain.node.peering.messages import MAX_TRANSACTIONS, Blocks, Headers, Message, Offer, Status, Transactions
from chain.node.peering.peer import TOLD_BLOCKS, Peer
from chain.node.peering.quota import cost_of
from chain.transactions import Signed

Send = Callable[[str, Message], None]

#: New blocks that are told whole rather than by their headers, and their bytes.
PUSHED_BLOCKS = 3
PUSHED_BYTES = 64 * 1024
#: Bytes from which on a transaction is offered rather than sent: most of those who are told have it from others.
OFFERED_BYTES = 16 * 1024


class Gossip:
    """What each peer is still to be told."""

    def __init__(
        self, node: Node, limits: Limits, peers: Mapping[str, Peer], send: Send, status: Callable[[], Status]
    ) -> None:
        self._node, self._limits, self._peers, self._send, self._status = node, limits, peers, send, status

    def transactions(self, signed: Sequence[Signed], now: int) -> None:
        """New ones."""
        for peer in self._peers.values():
            if peer.reachable:
                for each in signed:
                    if each.id not in peer.transactions:
                        peer.queue.add(each)
        self.tell(now)

    def blocks(self, blocks: Sequence[Block], now: int) -> None:
        """New ones; those on the head's branch are told."""
        told = [block for block in blocks if self._node.branch_at(block.height) == block.id]
        for peer in self._peers.values():
            for block in told:
                # Who is far ahead of it has it or another one; comparing heads settles which.
                if peer.reachable and block.id not in peer.blocks and block.height + 2 >= peer.status.height:
                    peer.fresh[block.id] = block
            while len(peer.fresh) > TOLD_BLOCKS:
                peer.fresh.popitem(last=False)
        self.tell(now)

    def tell(self, now: int) -> None:
        """Send what waits to those whose turn it is."""
        for peer in list(self._peers.values()):
            if now < peer.next_gossip or not (peer.queue or peer.fresh):
                continue
            blocks = [
                block
                for block in peer.fresh.values()
                if block.id not in peer.blocks and self._node.branch_at(block.height) == block.id
            ]
            small = len(blocks) <= PUSHED_BLOCKS and sum(len(block.data) for block in blocks) <= PUSHED_BYTES
            headers = tuple(block.header.pack().hex() for block in last_run(blocks))
            news = Blocks(tuple(blocks)) if small else Headers(self._status(), headers)
            if blocks and peer.sent.take(now, cost_of(news)):
                self._send(peer.id, news)
                peer.blocks.add(block.id for block in blocks)
                peer.next_gossip = now + self._limits.gossip_ms
            peer.fresh.clear()
            if peer.queue and peer.sent.take(now):
                items = peer.queue.take(MAX_TRANSACTIONS, BATCH_BYTES)
                fresh = tuple(each for each in items if each.id not in peer.transactions)
                peer.transactions.add(each.id for each in fresh)
                sent = tuple(each for each in fresh if len(each.data) < OFFERED_BYTES)
                offered = tuple(each.id for each in fresh if len(each.data) >= OFFERED_BYTES)
                if sent:
                    self._send(peer.id, Transactions(sent))
                if offered:
                    self._send(peer.id, Offer(offered))
                if fresh:
                    peer.next_gossip = now + self._limits.gossip_ms


def last_run(blocks: Sequence[Block]) -> list[Block]:
    """The highest of some blocks of one branch, down to the first whose parent is not among them.

    The peer may have had some in between from others; told headers follow on each other.
    """
    run: list[Block] = []
    for block in sorted(blocks, key=lambda block: block.height, reverse=True):
        if run and run[-1].header.parent != block.id:
            break
        run.append(block)
    return run[::-1]
