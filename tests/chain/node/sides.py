"""Blocks as another miner could have made them."""

from __future__ import annotations

from dataclasses import replace

from chain.blocks import Block, Commitment, Header, merkle_root
from chain.errors import InvalidTransaction
from chain.node.core import Node
from chain.state import BlockDraft


def side_block(node: Node, parent, transactions=(), time_: int | None = None, all_apply: bool = True) -> Block:
    """A valid block on any parent, as another miner could have made it, of those that apply if not all have to."""
    when = parent.time + 1 if time_ is None else time_
    draft = BlockDraft(
        parent.state, parent=parent.id, height=parent.height + 1, time=when, params=node.params,
        ancestor=node.chain.ancestor(parent),
    )  # fmt: skip
    chosen = []
    for each in transactions:
        try:
            draft.add(each)
        except InvalidTransaction:
            if all_apply:
                raise
        else:
            chosen.append(each)
    commitment = Commitment(parent.height + 1, node.miner, draft.finish()[0].digest)
    root = merkle_root(commitment, chosen)
    header = Header(1, parent.id, root, when, node.params.initial_target, 0)
    return Block(mined(header), commitment, tuple(chosen))


def mined(header: Header) -> Header:
    return next(h for n in range(10**6) if int((h := replace(header, nonce=n)).id, 16) < 0x7FFFFF << 232)
