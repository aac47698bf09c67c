"""Answers to what peers ask: read from the node alone, bounded, nothing changed."""

from __future__ import annotations

import itertools

from chain.blockchain import Blockchain
from chain.blocks import Block
from chain.node.core import Node
from chain.node.peering.codec import BATCH_BYTES
from chain.node.peering.messages import (
    MAX_HEADERS,
    MAX_IDS,
    Answer,
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskTransactions,
    Blocks,
    Headers,
    Inventory,
    Packed,
    Status,
    Transactions,
)
from chain.schema import Hash
from chain.transactions import Signed
from chain.tree import Entry

#: Ids of a locator that are one block apart, before they thin out.
DENSE = 10


def status_of(chain: Blockchain, entry: Entry) -> Status:
    """What a node with this head says of itself."""
    justified_height, justified, final_height, final = chain.finality(entry)
    kept = chain.entry(justified)
    above = entry.work - (0 if kept is None else kept.work)
    return Status(
        entry.height, entry.id, str(entry.work), str(above), justified_height, justified, final_height, final
    )


def rank_of(status: Status) -> tuple[int, int, int]:
    """What makes one branch better than another, as the chain's own choice has it; the highest wins."""
    return status.justified_height, int(status.above), -int(status.head, 16)


def locator(node: Node) -> tuple[Hash, ...]:
    """Ids of the head's branch: dense at the head, then thinning out; the last final block; genesis."""
    heights: list[int] = []
    height, step = node.head.height, 1
    while height > 0:
        heights.append(height)
        if len(heights) >= DENSE:
            step *= 2
        height -= step
    heights.append(node.chain.final.height)
    found = []
    for each in sorted({*heights, 0}, reverse=True):
        block = node.branch_at(each)
        if block is not None:
            found.append(Hash(block))
    return tuple(found)


def answer(node: Node, asked: AskHeaders | AskBlocks | AskTransactions | AskInventory) -> Answer:
    """What the node has of it."""
    if isinstance(asked, AskHeaders):
        return headers(node, asked)
    if isinstance(asked, AskBlocks):
        return blocks(node, asked)
    return transactions(node, asked) if isinstance(asked, AskTransactions) else inventory(node, asked)


def headers(node: Node, asked: AskHeaders) -> Headers:
    """What follows the first of the locator's blocks that is on our branch; without one, nothing."""
    status = status_of(node.chain, node.head)
    for block in asked.locator:
        height = node.height_on_branch(block)
        if height is not None:
            return Headers(status, node.headers(height, MAX_HEADERS))
    return Headers(status, ())


def blocks(node: Node, asked: AskBlocks) -> Blocks:
    """Those of the blocks that are here, up to the first that is not or does not fit."""
    found: list[Block | Packed] = []
    size = 0
    for block in asked.ids:
        entry = node.chain.entry(block)
        if entry is not None and entry.bare:
            entry = None
        data = node.block_bytes(block) if entry is None else entry.block.data
        if data is None:
            break
        size += len(data)
        if found and size > BATCH_BYTES:
            break
        found.append(Packed(data) if entry is None else entry.block)
    return Blocks(tuple(found))


def transactions(node: Node, asked: AskTransactions) -> Transactions:
    """Those that still wait and fit."""
    found: list[Signed] = []
    size = 0
    for identifier in asked.ids:
        waiting = node.pool.get(identifier)
        if waiting is None:
            continue
        size += len(waiting.signed.data)
        if found and size > BATCH_BYTES:
            break
        found.append(waiting.signed)
    return Transactions(tuple(found))


def inventory(node: Node, asked: AskInventory) -> Inventory:
    """Our status and a page of what waits."""
    page = [waiting.signed.id for waiting in itertools.islice(node.pool, asked.start, asked.start + MAX_IDS)]
    following = asked.start + len(page)
    return Inventory(
        status_of(node.chain, node.head), tuple(page), following if following < len(node.pool) else 0
    )
