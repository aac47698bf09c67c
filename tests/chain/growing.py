"""Blocks by hand, for trees of them without a node: valid ones, and forged ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

from chain import work
from chain.blockchain import Blockchain
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.finality import choose_vote
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.state import BlockDraft
from chain.transactions import Signed, Transfer, VoteCheckpoint, body_of, sign
from chain.tree import Entry

START = 1_700_000_000_000
NOW = START + 1000
EASY = replace(DEVELOPMENT, initial_target=work.compact_of(work.MAX_TARGET))
VALIDATORS = [Key(bytes([n]) * 32) for n in range(1, 5)]
RICH, POOR = Key(b"\x0b" * 32), Key(b"\x0c" * 32)
MINER = Address("0x" + "ab" * 20)
GENESIS = Genesis("development", START, tuple(sorted(k.address for k in VALIDATORS)), ((RICH.address, 10_000),), "")
_salts = itertools.count(1)


def mined(header: Header) -> Header:
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**24)
    assert nonce is not None
    return replace(header, nonce=nonce)


def signed(chain: Blockchain, payload, key: Key) -> Signed:
    expires = 0 if isinstance(payload, VoteCheckpoint) else NOW + 60_000
    return sign(body_of(payload, key.address, chain.genesis_id, f"{next(_salts):032x}", expires), key)


def transfer(chain: Blockchain, amount: int = 5) -> Signed:
    return signed(chain, Transfer(POOR.address, amount), RICH)


def block_on(chain: Blockchain, parent: Entry, transactions=(), time: int | None = None) -> Block:
    """A valid block on any parent."""
    time = parent.time + 1 if time is None else time
    draft = BlockDraft(
        parent.state, parent=parent.id, height=parent.height + 1, time=time, params=chain.params,
        ancestor=chain.ancestor(parent),
    )  # fmt: skip
    for each in transactions:
        draft.add(each)
    commitment = Commitment(parent.height + 1, MINER, draft.finish()[0].digest)
    root = merkle_root(commitment, transactions)
    header = Header(1, parent.id, root, time, chain.params.initial_target, 0)
    return Block(mined(header), commitment, tuple(transactions))


def extend(chain: Blockchain, parent: Entry, transactions=(), time: int | None = None) -> Entry:
    """Add a block and return its entry."""
    block = block_on(chain, parent, transactions, time)
    assert chain.add(block, NOW).reason is None
    entry = chain.entry(block.id)
    assert entry is not None
    return entry


def votes(chain: Blockchain, entry: Entry, keys=VALIDATORS) -> list[Signed]:
    vote = choose_vote(entry.state, entry.id, None)
    assert vote is not None
    return [signed(chain, vote, key) for key in keys]


def finalise(chain: Blockchain, parent: Entry) -> Entry:
    """A transfer and two blocks of votes on it: its block is final by the last one's state."""
    worked = extend(chain, parent, [transfer(chain)])
    justifying = extend(chain, worked, votes(chain, worked))
    return extend(chain, justifying, votes(chain, justifying))


def forged(block: Block, *, transactions=None, commitment=None, root=None, **fields) -> Block:
    """``block`` with something else in it, and everything that depends on it redone, the work too."""
    transactions = block.transactions if transactions is None else tuple(transactions)
    commitment = replace(block.commitment, **(commitment or {}))
    root = merkle_root(commitment, transactions) if root is None else root
    header = replace(block.header, root=root, **fields)
    return Block(mined(header), commitment, transactions)
