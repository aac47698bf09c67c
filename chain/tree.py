"""What the tree of blocks is made of, all of it frozen, and questions that need no more than a tree.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Never

import immutables

from chain import work
from chain.blocks import Block, Header, genesis_block
from chain.errors import ChainError
from chain.params import Genesis, Params
from chain.schema import Hash
from chain.state import Event, State, genesis_state
from chain.transactions import Signed


class Kind(Enum):
    """What became of a block."""

    NEW_HEAD = "new_head"
    SIDE = "side"
    """Valid, on a branch that is not the head's."""
    ORPHAN = "orphan"
    """Its parent is not known; held."""
    KNOWN = "known"
    EARLY = "early"
    """Its time lies too far ahead; held."""
    INVALID = "invalid"


class Bare(Block):
    """A block without its body: of one that is final, or beside one that is, only the database needs that."""

    def __init__(self, block: Block) -> None:
        super().__init__(block.header, block.commitment, ())
        del self.__dict__["transactions"]

    def __getattr__(self, name: str) -> Never:
        if name == "transactions":
            raise LookupError(f"the body of block {self.id} is not kept in memory: read it from the database")
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Bare({self.id} at height {self.height})"


@dataclass(frozen=True, eq=False)
class Entry:
    """A valid block, with the state after it."""

    block: Block
    id: Hash
    height: int
    state: State
    work: int
    """Expected hashes of the branch from genesis up to and with this block."""
    events: tuple[Event, ...]
    recent: tuple[Header, ...] = ()
    """What the next block's target follows from (:func:`chain.work.window`), of blocks no longer kept as well."""

    @property
    def bare(self) -> bool:
        """Whether it is kept without transactions and events."""
        return isinstance(self.block, Bare)

    @property
    def parent(self) -> Hash:
        """Id of the block before."""
        return self.block.header.parent

    @property
    def time(self) -> int:
        """Block time, milliseconds since 1970 UTC."""
        return self.block.header.time


@dataclass(frozen=True)
class Result:
    """What :meth:`Blockchain.prepare` found."""

    kind: Kind
    reason: ChainError | None = None
    accepted: tuple[Entry, ...] = ()
    """Valid blocks that were not known before, parents first: this one and those that waited for it."""
    connected: tuple[Entry, ...] = ()
    """Blocks that are on the head's branch now and were not before, lowest first."""
    disconnected: tuple[Entry, ...] = ()
    """Blocks that were on the head's branch and are no longer, highest first."""


@dataclass(frozen=True)
class Template:
    """A block that lacks only its nonce."""

    block: Block
    dropped: tuple[tuple[Signed, ChainError], ...]
    """Transactions offered that do not apply here, each with the reason."""


@dataclass(frozen=True)
class Tree:
    """All that is known, frozen."""

    head: Entry
    final: Entry
    entries: immutables.Map[str, Entry]
    heights: immutables.Map[int, tuple[Hash, ...]]
    """Ids of all blocks kept at a height."""
    branch: immutables.Map[int, Hash]
    """The head's branch: of the blocks kept, and of those below that their states still speak of."""
    lowest: int
    """Height of the lowest block kept."""
    orphans: tuple[Block, ...] = ()
    early: tuple[Block, ...] = ()
    condemned: immutables.Map[str, ChainError] = field(default_factory=immutables.Map)


def genesis_entry(genesis: Genesis, params: Params) -> Entry:
    """Block 0: nobody mined it, and it is valid, justified and final by definition."""
    state = genesis_state(genesis, params)
    block = genesis_block(genesis, params, state.digest)
    return Entry(block, block.id, 0, state, 0, (), work.window(params, (), block.header))


def finality_of(entry: Entry, genesis: Hash) -> tuple[int, Hash, int, Hash]:
    """Justified height and id, final height and id, by the entry's own state."""
    if entry.height == 0:
        return 0, genesis, 0, genesis  # its own state cannot name it
    finality = entry.state.finality
    return (
        finality.justified_height,
        finality.justified_hash,
        finality.final_height,
        finality.final_hash,
    )


def ancestor_of(tree: Tree, entry: Entry) -> Callable[[int], Hash]:
    """Ids of blocks by height on the branch that ends in ``entry``; raises ``LookupError`` for others."""
    # Blocks off the head's branch, which are few; the rest is looked up.
    side: dict[int, Hash] = {}
    below: Entry | None = entry
    while below is not None and tree.branch.get(below.height) != below.id:
        side[below.height] = below.id
        below = tree.entries.get(below.parent)

    def lookup(height: int) -> Hash:
        if height in side:
            return side[height]
        found = tree.branch.get(height) if height <= entry.height else None
        if found is None:
            raise LookupError(f"height {height} is not between {tree.lowest} and {entry.height}")
        return found

    return lookup


def descends(tree: Tree, entry: Entry, from_: Entry) -> bool:
    """Whether ``from_`` is ``entry`` or one of its ancestors."""
    if entry.height < from_.height:
        return False
    try:
        return ancestor_of(tree, entry)(from_.height) == from_.id
    except LookupError:
        return False


def difference(old: Tree, new: Tree) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Blocks that came onto the head's branch, lowest first, and those that left it, highest first."""
    if old.head is new.head:
        return (), ()
    connected: list[Entry] = []
    entry = new.head
    while old.branch.get(entry.height) != entry.id:
        connected.append(entry)
        entry = new.entries[entry.parent]
    disconnected = [old.entries[old.branch[h]] for h in range(old.head.height, entry.height, -1)]
    return tuple(reversed(connected)), tuple(disconnected)


def settled(tree: Tree, above: int, new: Iterable[Entry]) -> Tree:
    """The tree without the bodies of blocks up to the final one, and of blocks on branches that leave that out.

    They may be of megabytes; the former never leave the head's branch, the latter never come onto it.

    ``above``: the height up to which they are gone already, but for the ``new`` entries.
    """
    final = tree.final.height
    ids = [block for height in range(above + 1, final + 1) for block in tree.heights.get(height, ())]
    ids += [entry.id for entry in new if entry.height <= final or not descends(tree, entry, tree.final)]
    if not ids:
        return tree
    with tree.entries.mutate() as entries:
        for block in ids:
            if not entries[block].bare:
                entries[block] = replace(entries[block], block=Bare(entries[block].block), events=())
        kept = entries.finish()
    return replace(tree, entries=kept, final=kept[tree.final.id], head=kept[tree.head.id])


def pruned(tree: Tree, lowest: int, genesis: Hash) -> Tree:
    """The tree without blocks below a height, but for the ids that votes above may still name."""
    root = tree.branch[lowest]
    kept: dict[str, Entry] = {}
    heights: dict[int, tuple[Hash, ...]] = {}
    for height in sorted(tree.heights):
        # A branch from below the lowest block leaves with the blocks it grew from.
        ids = tuple(
            block
            for block in tree.heights[height]
            if block == root or (height > lowest and tree.entries[block].parent in kept)
        )
        if height >= lowest and ids:
            heights[height] = ids
            kept.update((block, tree.entries[block]) for block in ids)
    # Votes in blocks on the lowest one may name blocks from the last one that is final by its state.
    _, _, named, _ = finality_of(kept[root], genesis)
    return replace(
        tree,
        entries=immutables.Map(kept),
        heights=immutables.Map(heights),
        branch=immutables.Map({h: block for h, block in tree.branch.items() if h >= named}),
        lowest=lowest,
        orphans=tuple(block for block in tree.orphans if block.commitment.height > lowest),
    )
