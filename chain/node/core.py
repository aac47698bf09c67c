"""The node without its shell: no threads, no sockets; clock, store and transport come from outside.

Whoever owns a :class:`Node` calls it from one thread at a time.  What it acknowledges is on the disk by
then, and on the disk before it is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chain import pacing
from chain.blocks import Block
from chain.errors import ConflictingFinality
from chain.node import remembering
from chain.node.events import block_events
from chain.node.interface import Clock, Task, Transport
from chain.node.loading import load, stored
from chain.node.taking import Taking
from chain.node.writing import connect, disconnect
from chain.params import Genesis, Params
from chain.schema import Address, Hash
from chain.state import State, next_deadline
from chain.store import Snapshot, Store
from chain.tree import Entry, Kind, Result, Tree

#: Final blocks between two snapshots of the state, at most, and transactions: what a start has to replay
#: (:func:`_replayable`).
SNAPSHOT_EVERY = 256
SNAPSHOT_TRANSACTIONS = 16_384
#: Heights whose blocks, of all branches, are searched for contradicting votes when a node starts.
BLOCKS_SEEN = 64
#: Blocks whose miners count as present, in the order in which miners take turns.
RECENT_BLOCKS = 32


class Node(Taking):
    """One node's logic."""

    def __init__(
        self,
        genesis: Genesis,
        params: Params,
        store: Store,
        clock: Clock,
        miner: Address,
        transport: Transport | None = None,
    ) -> None:
        """Take up from ``store``, or begin with the genesis block where it is empty.

        Raises ``StoreError`` when the store is another network's or damaged, and ``ConflictingFinality`` when it has
        stopped for that before (see :mod:`chain.node.remembering`).
        """
        #: Transactions above the newest snapshot.
        chain, self._replayed = load(genesis, params, store)
        super().__init__(params, chain, store, clock, transport)
        self.genesis = genesis
        self.miner = miner
        self._renewal_ms = pacing.renewal_ms(params)
        self._seq = store.last_seq()
        self._snapshot_height = store.snapshot_height()
        self._miners: tuple[Hash, frozenset[Address]] | None = None
        self._task: Task | None = None
        self._task_since = 0
        self._task_quorum = False
        self._numbers = 0
        self._head_since = clock()
        conflict = remembering.conflict(store)
        if conflict is not None:
            raise conflict
        for kept in store.blocks_above(self.head.height - BLOCKS_SEEN):
            self._saw(Block.decode(kept.data, params.max_block_bytes).transactions)
        self._take_pending([data for _, data in store.pending()])

    # ------------------------------------------------------------------ blocks

    def receive_block(self, block: Block) -> Result:
        """Take a block from a peer or a miner.

        Raises ``ConflictingFinality`` when two branches are final: the node has to stop and say so.
        """
        try:
            tree, result = self.chain.prepare(block, self._clock())
        except ConflictingFinality as conflict:
            self._saw(block.transactions)
            remembering.keep_conflict(self._store, conflict, self._clock())
            self._keep_evidence()
            raise
        self._accept(tree, result)
        return result

    def receive_block_bytes(self, data: bytes) -> Result:
        """The same from ``Block.encode``'s bytes.  Raises ``InvalidEncoding`` and ``InvalidSignature``."""
        return self.receive_block(Block.decode(data, self.params.max_block_bytes))

    def _accept(self, tree: Tree, result: Result) -> None:
        if not result.accepted:
            self.chain.commit(tree)
            return
        included = {signed.id for entry in result.connected for signed in entry.block.transactions}
        returned = [
            signed
            for entry in reversed(result.disconnected)
            for signed in entry.block.transactions
            if signed.id not in included
        ]
        events = block_events(result.connected, result.disconnected, self._seq)
        with self._store.write():
            for entry in result.accepted:
                self._store.put_block(stored(entry))
            for entry in result.disconnected:
                disconnect(self._store, entry)
            for before, entry in zip(self._parents(result), result.connected, strict=True):
                connect(self._store, before, entry)
            self._forget_gone()
            self._store.drop_pending([each for each in included if each in self.pool])
            self._store.put_pending([(signed.id, self._clock(), signed.data) for signed in returned])
            self._store.put_events(events)
            replayed = self._replayed + _count(result.connected) - _count(result.disconnected)
            due = tree.final.height > self._snapshot_height and (
                tree.final.height >= self._snapshot_height + SNAPSHOT_EVERY or replayed >= _replayable(tree.final.state)
            )
            if due:
                snapshot = tree.final.state.snapshot()
                self._store.put_snapshot(Snapshot(tree.final.id, tree.final.height, snapshot))
        self.chain.commit(tree)
        self._replayed = replayed
        if due:
            self._snapshot_height = tree.final.height
            self._replayed = _count(self.chain.branch(tree.final.height))
        for entry in result.accepted:
            self._saw(entry.block.transactions)
        self.witness.settled(self.chain.final.state)
        self._gone.clear()
        self._seq = events[-1].last if events else self._seq
        if result.connected:
            self._task = None
            self._head_since = self._clock()
            self.pool.remove(included)
            self._draft = None
            self._take_pending([signed.data for signed in returned])
            self._refresh()
        self.transport.blocks([entry.block for entry in result.accepted])
        self._keep_evidence()

    def _parents(self, result: Result) -> list[State]:
        """The states that the connected blocks were made on."""
        if not result.connected:
            return []
        # As the tree was before: what it is to be may have forgotten this one already.
        first = self.chain.entry(result.connected[0].parent)
        if first is None:
            raise LookupError(f"the parent of block {result.connected[0].id} is not kept: the tree is damaged")
        return [first.state, *(entry.state for entry in result.connected[:-1])]

    # ------------------------------------------------------------------ mining

    def next_time(self) -> int | None:
        """When :meth:`on_time` has something to do; None: not before something comes.

        Milliseconds since 1970 UTC.  A block that is being mined counts when it is to be made anew.
        """
        times = [block.header.time - self.params.max_future_ms for block in self.chain.early]
        if self._next_look is not None:
            times.append(max(self._next_look, self._stale_at() + 1))
        if self._task is None:
            due = self._mining_time()
            if due is not None:
                times.append(due)
        elif self._renewal_ms is not None:
            times.append(self._task_since + self._renewal_ms)
        return min(times, default=None)

    def on_time(self) -> Task | None:
        """Do what is due; the block to be mined now.

        The same one until it is found or the head changes or, with a target interval, until it is outdated.
        """
        now = self._clock()
        for block in self.chain.due(now):
            self.receive_block(block)
        if self._next_look is not None and self._next_look <= now and self._stale(now):
            self._refresh()
        if self._task is not None and self._outdated(now):
            self._task = None
        if self._task is None:
            due = self._mining_time()
            if due is not None and due <= now:
                self._task, self._task_since, self._task_quorum = self._build(now), now, self._quorum()
        return self._task

    def _outdated(self, now: int) -> bool:
        """Whether the block being mined is to be made anew.

        Checkpoint votes make a block final only where those for it are in the very next one. So a quorum of them
        is taken up at once; everything else waits for its turn.
        """
        if self._renewal_ms is None:
            return False
        return not 0 <= now - self._task_since < self._renewal_ms or (not self._task_quorum and self._quorum())

    def _quorum(self) -> bool:
        """Whether the votes that wait complete a quorum on the head."""
        return pacing.completes_quorum(self.head.state, self.head.id, self._votes.items())

    def _mining_time(self) -> int | None:
        head = self.head
        self._not_later_than(self._clock())
        due = pacing.next_mining_time(
            head.state,
            head.id,
            params=self.params,
            head_since=self._head_since,
            work_since=self._work_since,
            votes=self._votes,
            votes_since=self._votes_since,
            deadline=next_deadline(head.state),
            rank=pacing.rank(head.id, self.miner, self._recent_miners()),
            voted=self._voted,
        )
        # A block follows its parent in time. While this clock is far behind the parent (it was set back), every
        # block made would be early here, held, and mined again at once.
        return None if due is None else max(due, head.time + 1 - self.params.max_future_ms)

    def _not_later_than(self, now: int) -> None:
        """Nothing has begun to wait in the future: the clock may have been set back."""
        self._head_since, self._votes_since = min(self._head_since, now), min(self._votes_since, now)
        if self._work_since is not None:
            self._work_since = min(self._work_since, now)

    def _recent_miners(self) -> frozenset[Address]:
        """Who mined the last blocks: what this node knows of the miners there are."""
        head = self.head
        if self._miners is None or self._miners[0] != head.id:
            found: set[Address] = set()
            entry: Entry | None = head
            for _ in range(RECENT_BLOCKS):
                if entry is None or entry.height == 0:
                    break
                found.add(entry.block.commitment.miner)
                entry = self.chain.entry(entry.parent)
            self._miners = (head.id, frozenset(found))
        return self._miners[1]

    def _build(self, now: int) -> Task:
        template = self.chain.build(self.pool.ordered(), self.miner, now)
        self._numbers += 1
        return Task(self._numbers, template.block)

    def mined(self, number: int, nonce: int) -> Result | None:
        """The miner's answer; None when the head has changed since it was asked."""
        task = self._task
        if task is None or task.number != number:
            return None
        header = replace(task.block.header, nonce=nonce)
        self._task = None
        result = self.receive_block(Block(header, task.block.commitment, task.block.transactions))
        if result.kind is not Kind.NEW_HEAD and result.reason is not None:
            raise result.reason
        return result


def _replayable(state: State) -> int:
    """How many transactions a node that starts may have to replay: a snapshot costs what there is in the state."""
    return max(SNAPSHOT_TRANSACTIONS, state.size // 4)


def _count(entries: Iterable[Entry]) -> int:
    """How many transactions the blocks hold."""
    return sum(len(entry.block.transactions) for entry in entries)
