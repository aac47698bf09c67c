"""How a node takes up its chain from the database: from the newest snapshot, or from genesis."""

from __future__ import annotations

from chain.blockchain import Blockchain
from chain.blocks import Block, Header
from chain.database import StoreError
from chain.params import Genesis, Params
from chain.schema import Hash
from chain.state import State
from chain.store import Store, StoredBlock
from chain.tree import Entry
from chain.work import window, window_size


def stored(entry: Entry) -> StoredBlock:
    """A block as the database keeps it."""
    return StoredBlock(entry.id, entry.height, entry.work, entry.block.encode())


def load(genesis: Genesis, params: Params, store: Store) -> tuple[Blockchain, int]:
    """The tree as the store has it, replayed from the newest snapshot or from genesis, and how many transactions were.

    Raises ``StoreError`` when the store is another network's or damaged.
    """
    chain = Blockchain(genesis, params)
    first = store.branch_at(0)
    if first is None:
        with store.write():
            store.set_meta("genesis", genesis.to_json())
            store.put_block(stored(chain.head))
            store.set_connected(0, chain.head.id, [])
        return chain, 0
    if first != chain.genesis_id:
        raise StoreError(
            f"the database holds the chain of genesis {first}, this network's is {chain.genesis_id}: "
            "name another data folder, or start with the genesis this one was made with: without --genesis, and with "
            "DATA/node/genesis.json set aside, the node takes it from the database and writes that file again"
        )
    root = _root(params, store)
    if root is not None:
        below = _below(store, root)
        chain = Blockchain(genesis, params, root, below)
    replayed = 0
    contents: dict[str, tuple[int, list[str]]] = {}
    for kept in store.blocks_above(chain.head.height):
        block = Block.decode(kept.data, params.max_block_bytes)
        if chain.entry(block.header.parent) is not None:
            chain.add(block, block.header.time)
            replayed += len(block.transactions)
            contents[kept.id] = kept.height, [signed.id for signed in block.transactions]
    expected = store.branch_at(chain.head.height)
    if expected != chain.head.id:
        raise StoreError(
            f"the database's head at height {chain.head.height} is {expected}, replaying its blocks gives "
            f"{chain.head.id}: the file is damaged, or was written under other rules; restore a copy"
        )
    for each, (height, transactions) in contents.items():
        if store.branch_at(height) == each:
            store.remember(height, each, transactions)
    return chain, replayed


def _below(store: Store, root: Entry) -> dict[int, Hash]:
    """Ids of the blocks under ``root`` that votes above it may still name."""
    found = {}
    for height in range(root.state.finality.final_height, root.height):
        block = store.branch_at(height)
        if block is not None:
            found[height] = Hash(block)
    return found


def _root(params: Params, store: Store) -> Entry | None:
    """The newest undamaged snapshot as the entry to replay from."""
    for snapshot in store.snapshots():
        stored = store.block(snapshot.block)
        if stored is None:
            continue
        block = Block.decode(stored.data, params.max_block_bytes)
        state = State.from_snapshot(snapshot.data)
        if state.digest == block.commitment.state and store.branch_at(stored.height) == block.id:
            recent = _recent(params, store, stored.height)
            return Entry(block, block.id, stored.height, state, stored.work, (), recent)
    return None


def _recent(params: Params, store: Store, height: int) -> tuple[Header, ...]:
    """The headers up to a height of the head's branch that the next target follows from."""
    found: tuple[Header, ...] = ()
    for each in range(max(0, height + 1 - window_size(params)), height + 1):
        block = store.branch_at(each)
        stored = None if block is None else store.block(block)
        if stored is None:
            raise StoreError(f"the database lacks the block at height {each}: the file is damaged; restore a copy")
        found = window(params, found, Block.decode(stored.data, params.max_block_bytes).header)
    return found
