"""The tree of blocks, the choice between its branches, and the building of new blocks.  Pure.

Everything the tree knows is in one frozen :class:`Tree` that shares what did not change with the one before.
:meth:`Blockchain.prepare` tells what a block would do; :meth:`Blockchain.commit` makes it so.  Between the
two the caller writes to disk, so memory is never ahead of it.

Fork choice: the highest justified block, as each branch's own last state tells it; then most work above that;
then the lowest hash.  Never a branch that leaves out the last final block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import immutables

from chain import work
from chain.blocks import (
    VERSION,
    Block,
    Commitment,
    Header,
    check_body,
    check_header,
    is_early,
    merkle_root,
)
from chain.errors import (
    BadParent,
    BadRoot,
    BadStateDigest,
    BadTransaction,
    ChainError,
    ConflictingFinality,
    InvalidBlock,
    InvalidTransaction,
)
from chain.params import Genesis, Params
from chain.schema import Address, Hash
from chain.state import BlockDraft, Event, State, apply_block
from chain.transactions import Signed
from chain.tree import (
    Entry,
    Kind,
    Result,
    Template,
    Tree,
    ancestor_of,
    descends,
    difference,
    finality_of,
    genesis_entry,
    pruned,
    settled,
)

#: Blocks below the last final one whose states are kept, to tell when a branch from there becomes final as
#: well.
KEPT_BELOW_FINAL = 128
#: Blocks forgotten at a time.
PRUNE_EVERY = 64
#: Blocks held because their parent is missing; the oldest is dropped for the next.
MAX_ORPHANS = 64
#: Blocks held because their time has not come.
MAX_EARLY = 16
#: Ids of blocks remembered as invalid; then the memory starts anew, at the cost of checking one again.
MAX_CONDEMNED = 4096
#: Bytes of a block's header, commitment and framing, and of the framing around each transaction, at most.
BLOCK_OVERHEAD = 512
TRANSACTION_OVERHEAD = 16


class Blockchain:
    """The tree of one network."""

    def __init__(
        self,
        genesis: Genesis,
        params: Params,
        root: Entry | None = None,
        below: Mapping[int, Hash] | None = None,
    ) -> None:
        """Start from the genesis block or, after a restart, from ``root``: a final block and its state.

        ``below`` has the ids of the blocks under ``root`` from the one that is final by its own state.
        """
        self.params = params
        self.genesis = genesis
        first = genesis_entry(genesis, params)
        self.genesis_block: Block = first.block
        self.genesis_id: Hash = first.id
        root = first if root is None else root
        self._tree = Tree(
            head=root,
            final=root,
            entries=immutables.Map({root.id: root}),
            heights=immutables.Map({root.height: (root.id,)}),
            branch=immutables.Map({**(below or {}), root.height: root.id}),
            lowest=root.height,
        )
        # The block built last and what it leads to, so that a block mined here is not applied twice.
        self._built: tuple[Block, State, tuple[Event, ...]] | None = None

    # ------------------------------------------------------------------ looking

    @property
    def head(self) -> Entry:
        """The block to build on."""
        return self._tree.head

    @property
    def final(self) -> Entry:
        """The last final block, as the head's state tells it."""
        return self._tree.final

    @property
    def ends(self) -> tuple[Entry, Entry]:
        """The head and the last final block, both of one moment: another thread may change them in between."""
        tree = self._tree
        return tree.head, tree.final

    @property
    def justified(self) -> Entry:
        """The highest justified block, as the head's state tells it."""
        return self._tree.entries.get(self.finality(self.head)[1], self._tree.final)

    @property
    def lowest(self) -> int:
        """Height of the lowest block whose state is kept in memory."""
        return self._tree.lowest

    @property
    def early(self) -> tuple[Block, ...]:
        """Blocks held until their time comes; see :meth:`due`."""
        return self._tree.early

    def entry(self, block: str) -> Entry | None:
        """The valid block with this id, if it is still kept."""
        return self._tree.entries.get(block)

    def at_height(self, height: int) -> Entry | None:
        """The block at this height of the head's branch, if it is still kept."""
        block = self._tree.branch.get(height)
        return None if block is None else self._tree.entries.get(block)

    def has_child(self, entry: Entry) -> bool:
        """Whether a block that is kept follows on this one, on any branch."""
        following = self._tree.heights.get(entry.height + 1, ())
        return any(self._tree.entries[block].parent == entry.id for block in following)

    def branch(self, above: int) -> list[Entry]:
        """The head's branch above a height, lowest first; what is no longer kept is left out."""
        start = max(above + 1, self._tree.lowest)
        return [self._tree.entries[self._tree.branch[h]] for h in range(start, self.head.height + 1)]

    def due(self, now: int) -> tuple[Block, ...]:
        """Early blocks whose time has come; add them again."""
        return tuple(b for b in self._tree.early if b.header.time <= now + self.params.max_future_ms)

    def ancestor(self, entry: Entry) -> Callable[[int], Hash]:
        """Ids of blocks by height on the branch that ends in ``entry``; raises ``LookupError`` for others."""
        return ancestor_of(self._tree, entry)

    def holds_final(self, entry: Entry) -> bool:
        """Whether the branch that ends in ``entry`` has the last final block in it."""
        return descends(self._tree, entry, self._tree.final)

    def finality(self, entry: Entry) -> tuple[int, Hash, int, Hash]:
        """Justified height and id, final height and id, by the entry's own state."""
        return finality_of(entry, self.genesis_id)

    # ------------------------------------------------------------------ adding

    def add(self, block: Block, now: int) -> Result:
        """:meth:`prepare` and :meth:`commit` in one."""
        tree, result = self.prepare(block, now)
        self.commit(tree)
        return result

    def commit(self, tree: Tree) -> None:
        """Make a prepared tree the current one."""
        self._tree = tree

    def prepare(self, block: Block, now: int) -> tuple[Tree, Result]:
        """What the tree would be with ``block``, and what that means.

        ``now``: milliseconds since 1970 UTC.  An invalid block is a result, with its reason.  Raises
        :class:`ConflictingFinality` when the block proves that two branches are final.
        """
        old = self._tree
        tree, kind, reason = self._take(old, block, now)
        accepted: list[Entry] = []
        if kind is Kind.SIDE:
            accepted.append(tree.entries[block.id])
            tree = self._take_waiting(tree, accepted, now)
        tree = self._choose(tree, accepted)
        connected, disconnected = difference(old, tree)
        if connected and kind is Kind.SIDE and tree.branch.get(accepted[0].height) == accepted[0].id:
            kind = Kind.NEW_HEAD
        tree = settled(tree, old.final.height, accepted)
        return self._prune(tree), Result(kind, reason, tuple(accepted), connected, disconnected)

    def _take(self, tree: Tree, block: Block, now: int) -> tuple[Tree, Kind, ChainError | None]:
        """Put a block where it belongs: among the entries (``SIDE``), the orphans, the early, or nowhere."""
        placed, kind, reason = self._place(tree, block, now)
        if kind is not Kind.EARLY and any(held.id == block.id for held in placed.early):
            # Whatever became of it, its time has come: one that stayed would be due for ever.
            placed = replace(placed, early=tuple(held for held in placed.early if held.id != block.id))
        return placed, kind, reason

    def _place(self, tree: Tree, block: Block, now: int) -> tuple[Tree, Kind, ChainError | None]:
        if block.id in tree.entries:
            return tree, Kind.KNOWN, None
        known = tree.condemned.get(block.id)
        if known is not None:
            return tree, Kind.INVALID, known
        try:
            self._check_alone(block)
        except InvalidBlock as error:
            return tree, Kind.INVALID, error  # costs its sender nothing to make, so it is not remembered
        parent = tree.entries.get(block.header.parent)
        if parent is None:
            return self._without_parent(tree, block)
        try:
            check_header(block.header, parent.block.header, self._next_target(parent))
            if is_early(block.header, self.params, now):
                held = (*(b for b in tree.early if b.id != block.id), block)[-MAX_EARLY:]
                return replace(tree, early=held), Kind.EARLY, None
            entry = self._apply(tree, block, parent)
        except InvalidBlock as error:
            condemned = immutables.Map() if len(tree.condemned) >= MAX_CONDEMNED else tree.condemned
            return replace(tree, condemned=condemned.set(block.id, error.detached())), Kind.INVALID, error
        tree = replace(
            tree,
            entries=tree.entries.set(entry.id, entry),
            heights=tree.heights.set(entry.height, (*tree.heights.get(entry.height, ()), entry.id)),
        )
        return tree, Kind.SIDE, None

    def _without_parent(self, tree: Tree, block: Block) -> tuple[Tree, Kind, ChainError | None]:
        parent = block.header.parent
        if parent in tree.condemned:
            error = BadParent("a valid parent", f"the invalid block {parent}", "header.parent")
            return tree, Kind.INVALID, error
        if block.commitment.height <= tree.lowest:
            expected = f"a branch that holds the final block {tree.final.id} at height {tree.final.height}"
            found = f"one that leaves it below height {tree.lowest}"
            return tree, Kind.INVALID, BadParent(expected, found, "header.parent")
        orphans = (*(b for b in tree.orphans if b.id != block.id), block)[-MAX_ORPHANS:]
        return replace(tree, orphans=orphans), Kind.ORPHAN, None

    def _check_alone(self, block: Block) -> None:
        """What can be said of a block without its parent: its work is done, and the body is the header's own.

        Until both hold nothing may be held against the header: anybody can make such a block for nothing.
        """
        work.check(block.header, self.params)
        if block.root != block.header.root:
            raise BadRoot(f"a body whose root is {block.header.root}", block.root, "header.root")

    def _apply(self, tree: Tree, block: Block, parent: Entry) -> Entry:
        built = self._built
        if built is not None and replace(built[0].header, nonce=block.header.nonce) == block.header:
            state, events = built[1], built[2]  # the root commits to everything else
        else:
            check_body(block, self.params, self.genesis_id, parent.height + 1)
            try:
                state, events = apply_block(
                    parent.state,
                    parent.id,
                    block.header.time,
                    parent.height + 1,
                    block.commitment.miner,
                    block.transactions,
                    self.params,
                    ancestor_of(tree, parent),
                )
            except InvalidTransaction as error:
                raise BadTransaction(
                    "transactions that apply to the parent's state", index=error.index or 0, cause=error
                ) from error
        if state.digest != block.commitment.state:
            raise BadStateDigest(state.digest, block.commitment.state, "commitment.state")
        total = parent.work + work.work_of(block.header.target)
        recent = work.window(self.params, parent.recent, block.header)
        return Entry(block, block.id, parent.height + 1, state, total, events, recent)

    def _take_waiting(self, tree: Tree, accepted: list[Entry], now: int) -> Tree:
        """Add the orphans whose parents have come, and theirs."""
        while True:
            ready = [b for b in tree.orphans if b.header.parent in tree.entries]
            if not ready:
                return tree
            tree = replace(tree, orphans=tuple(b for b in tree.orphans if b not in ready))
            for block in ready:
                tree, kind, _ = self._take(tree, block, now)
                if kind is Kind.SIDE:
                    accepted.append(tree.entries[block.id])

    # ------------------------------------------------------------------ choosing

    def _choose(self, tree: Tree, accepted: Sequence[Entry]) -> Tree:
        """Move the head to the best of the new entries, if it is better."""
        for entry in accepted:
            if descends(tree, entry, tree.final):
                if self._rank(tree, entry) > self._rank(tree, tree.head):
                    tree = self._set_head(tree, entry)
                continue
            _, _, height, block = self.finality(entry)
            if height >= tree.final.height or tree.branch.get(height, block) != block:
                raise ConflictingFinality(
                    f"the final block {tree.final.id} at height {tree.final.height} on every branch",
                    f"block {block} at height {height}, final by the branch of block {entry.id}",
                )
        return tree

    def _rank(self, tree: Tree, entry: Entry) -> tuple[int, int, int]:
        """What makes a branch better; the highest wins."""
        height, block, _, _ = self.finality(entry)
        justified = tree.entries.get(block)
        below = justified.work if justified is not None else 0
        return height, entry.work - below, -int(entry.id, 16)

    def _set_head(self, tree: Tree, head: Entry) -> Tree:
        branch = tree.branch
        with branch.mutate() as mutation:
            for height in range(head.height + 1, tree.head.height + 1):
                del mutation[height]
            entry = head
            while mutation.get(entry.height) != entry.id:
                mutation[entry.height] = entry.id
                entry = tree.entries[entry.parent]
            branch = mutation.finish()
        _, _, _, final = self.finality(head)
        # A root taken from a snapshot may be final by a later state only.
        known = tree.entries.get(final)
        newer = known is not None and known.height > tree.final.height
        return replace(tree, head=head, branch=branch, final=known if newer and known else tree.final)

    def _prune(self, tree: Tree) -> Tree:
        lowest = max(tree.lowest, tree.final.height - KEPT_BELOW_FINAL)
        return tree if lowest < tree.lowest + PRUNE_EVERY else pruned(tree, lowest, self.genesis_id)

    # ------------------------------------------------------------------ building

    def _next_target(self, parent: Entry) -> int:
        return work.next_target(self.params, parent.recent)

    def build(self, transactions: Iterable[Signed], miner: Address, time: int) -> Template:
        """A block on the head with those of ``transactions`` that apply, in their order.

        ``time`` is now, in milliseconds since 1970 UTC; the block's is later where the head's forces it to
        be.
        """
        head, params = self.head, self.params
        time = max(time, head.time + 1)
        draft = self.draft(time)
        chosen: list[Signed] = []
        dropped: list[tuple[Signed, ChainError]] = []
        room = params.max_block_bytes - BLOCK_OVERHEAD
        for signed in transactions:
            size = len(signed.data) + TRANSACTION_OVERHEAD
            if size > room or len(chosen) >= params.max_block_transactions:
                continue
            try:
                draft.add(signed)
            except InvalidTransaction as error:
                dropped.append((signed, error))
                continue
            chosen.append(signed)
            room -= size
        state, events = draft.finish()
        commitment = Commitment(height=head.height + 1, miner=miner, state=state.digest)
        header = Header(
            version=VERSION,
            parent=head.id,
            root=merkle_root(commitment, tuple(chosen)),
            time=time,
            target=self._next_target(head),
            nonce=0,
        )
        block = Block(header, commitment, tuple(chosen))
        self._built = (block, state, events)
        return Template(block, tuple(dropped))

    def draft(self, time: int) -> BlockDraft:
        """A draft of the block after the head, made at ``time``; for asking what would apply."""
        head = self.head
        return BlockDraft(
            head.state,
            parent=head.id,
            height=head.height + 1,
            time=max(time, head.time + 1),
            params=self.params,
            ancestor=self.ancestor(head),
        )
