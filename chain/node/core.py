"""The node without its shell: no threads, no sockets; clock, store and transport come from outside.

Whoever owns a :class:`Node` calls it from one thread at a time.  What it acknowledges is on the disk by
then, and on the disk before it is in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from chain import pacing
from chain.blocks import Block
from chain.errors import ChainError, NotYet, Unknown
from chain.mempool import Mempool
from chain.node.events import block_events
from chain.node.interface import Alone, Clock, Receipt, Task, Transport
from chain.node.loading import load, stored
from chain.node.looking import Looking
from chain.node.witness import Witness
from chain.params import Genesis, Params
from chain.schema import Address, Hash
from chain.state import BlockDraft, next_deadline
from chain.store import Snapshot, Store
from chain.transactions import Signed, VoteCheckpoint
from chain.tree import Entry, Kind, Result, Tree

#: Final blocks between two snapshots of the state.
SNAPSHOT_EVERY = 256
#: Age, in milliseconds, at which the next block's draft, against which transactions are checked, is made anew:
#: leases lapse and deadlines pass while nothing is mined.
DRAFT_MS = 50
#: Dropped transactions whose reason is remembered, and their bytes, at most.
DROPPED_KEPT = 10_000
DROPPED_BYTES = 16 * 1024 * 1024
#: Heights whose blocks, of all branches, are searched for contradicting votes when a node starts.
BLOCKS_SEEN = 64
#: Blocks whose miners count as present, in the order in which miners take turns.
RECENT_BLOCKS = 32


class Node(Looking):
    """One node's logic; what it inherits only looks, and any thread may."""

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

        Raises ``StoreError`` when the store is another network's or damaged.
        """
        self.genesis = genesis
        self.params = params
        self.miner = miner
        self._renewal_ms = pacing.renewal_ms(params)
        self._store = store
        self._clock = clock
        self.transport: Transport = Alone() if transport is None else transport
        self.chain = load(genesis, params, store)
        self.pool = Mempool(params, self.chain.genesis_id)
        self._dropped: OrderedDict[str, tuple[Signed, ChainError]] = OrderedDict()
        self._dropped_size = 0
        self._gone: list[str] = []  # dropped, and still among the store's pending ones
        self._seq = store.last_seq()
        self._snapshot_height = max((each.height for each in store.snapshots()), default=0)
        self._draft: BlockDraft | None = None
        self._draft_time = 0
        self._work_since: int | None = None
        self._votes_since = clock()
        self._miners: tuple[Hash, frozenset[Address]] | None = None
        self._votes: dict[Address, VoteCheckpoint] = {}
        self._next_expiry: int | None = None
        self._task: Task | None = None
        self._task_since = 0
        self._task_quorum = False
        self._numbers = 0
        self._head_since = clock()
        self.witness = Witness(self.chain.genesis_id)
        for kept in store.blocks_above(max(self.chain.final.height, self.head.height - BLOCKS_SEEN)):
            self._saw(Block.decode(kept.data, params.max_block_bytes).transactions)
        self._take_pending([data for _, data in store.pending()])

    # ------------------------------------------------------------------ transactions

    def receive_transaction(self, data: bytes) -> Receipt:
        """One of :meth:`receive_transactions`; raises its error."""
        answer = self.receive_transactions([data])[0]
        if isinstance(answer, ChainError):
            raise answer
        return answer

    def receive_transactions(self, items: Sequence[bytes | Signed]) -> list[Receipt | ChainError]:
        """Check signed transactions and keep the good ones; for each its receipt or the reason against it.

        All of them reach the disk in one write, before this returns.
        """
        now = self._clock()
        if now - self._draft_time > DRAFT_MS:
            self._refresh()
        answers: list[Receipt | ChainError] = []
        fresh: list[Signed] = []
        for data in items:
            try:
                signed = data if isinstance(data, Signed) else Signed.decode(data, self.params.largest_transaction)
                known = self._known(signed)
                if known is None:
                    self._saw([signed])
                    self._admit(signed, now)
                    fresh.append(signed)
                    known = Receipt(signed.id, "pending")
                answers.append(known)
            except ChainError as error:
                answers.append(error)
        if fresh:
            try:
                with self._store.write():
                    self._forget_gone()
                    self._store.put_pending([(each.id, now, each.data) for each in fresh])
            except BaseException:
                self.pool.remove([each.id for each in fresh])
                self._refresh()
                raise
            self._gone.clear()
            for signed in fresh:
                self._forget_dropped(signed.id)
            self.transport.transactions(fresh)
        return answers

    def _saw(self, transactions: Sequence[Signed]) -> None:
        """Take note of votes before anything is decided about them: one that is refused may prove misconduct."""
        state = self.head.state
        for signed in transactions:
            self.witness.saw(signed, state)

    def _known(self, signed: Signed) -> Receipt | None:
        """The receipt of a transaction that is here already, signature and all."""
        standing = self.standing(signed.id)
        if standing is None or standing.status == "dropped":
            return None
        if standing.signed is not None and standing.signed.signature != signed.signature:
            signed.verify()
        return Receipt(signed.id, standing.status)

    def _admit(self, signed: Signed, now: int, again: bool = False) -> None:
        if self._draft is None:
            self._refresh()
        assert self._draft is not None  # noqa: S101 - _refresh makes it
        check = self._again if again else self._draft.add
        self.pool.add(signed, max(now, self.head.time + 1), check, known=again)
        if isinstance(signed.payload, VoteCheckpoint):
            self._votes_since = self._clock()
        self._note(signed)

    def _note(self, signed: Signed) -> None:
        """Count a waiting transaction in what decides when to mine."""
        waiting = self.pool.get(signed.id)
        held = waiting is None or waiting.held is not None
        payload = signed.payload
        if isinstance(payload, VoteCheckpoint):
            if not held:
                self._votes[signed.sender] = payload
            return
        if self._work_since is None and not held:
            self._work_since = self._clock()
        if self._next_expiry is None or signed.body.expires < self._next_expiry:
            self._next_expiry = signed.body.expires

    def _refresh(self) -> None:
        """Ask all that wait again, on the head as it is, at the time it is."""
        now = max(self._clock(), self.head.time + 1)
        self._draft, self._draft_time = self.chain.draft(now), now
        since, self._work_since, self._next_expiry = self._work_since, None, None
        self._votes = {}
        for dropped in self.pool.recheck(now, self._again):
            self._drop(dropped.signed, dropped.error)
        for waiting in self.pool:
            self._note(waiting.signed)
        self._keep_since(since)

    def _keep_since(self, since: int | None) -> None:
        """Work that waited before does so since then."""
        if since is not None and self._work_since is not None:
            self._work_since = since

    def _again(self, signed: Signed) -> None:
        """Check once more what was acknowledged: what it names may have left the branch, and may come back."""
        assert self._draft is not None  # noqa: S101 - made by who asks
        try:
            self._draft.add(signed)
        except Unknown as error:
            raise NotYet(error.expected, error.found, error.where) from error

    def _drop(self, signed: Signed, error: ChainError) -> None:
        self._forget_dropped(signed.id)
        self._dropped[signed.id] = (signed, error.detached())
        self._dropped_size += len(signed.data)
        self._gone.append(signed.id)
        while len(self._dropped) > DROPPED_KEPT or self._dropped_size > DROPPED_BYTES:
            self._forget_dropped(next(iter(self._dropped)))

    def _forget_dropped(self, identifier: str) -> None:
        found = self._dropped.pop(identifier, None)
        if found is not None:
            self._dropped_size -= len(found[0].data)

    def _forget_gone(self) -> None:
        self._store.drop_pending(self._gone)

    def _take_pending(self, items: Iterable[bytes]) -> None:
        """Back into the mempool what was acknowledged; what no longer applies is dropped with its reason."""
        now = self._clock()
        for data in items:
            signed = Signed.decode(data, self.params.largest_transaction)
            self._saw([signed])
            try:
                self._admit(signed, now, again=True)
            except ChainError as error:
                self._drop(signed, error)

    # ------------------------------------------------------------------ blocks

    def receive_block(self, block: Block) -> Result:
        """Take a block from a peer or a miner.

        Raises ``ConflictingFinality`` when two branches are final: the node has to stop and say so.
        """
        tree, result = self.chain.prepare(block, self._clock())
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
                self._store.set_disconnected(entry.height, entry.id, _transactions(entry))
            for entry in result.connected:
                self._store.set_connected(entry.height, entry.id, _transactions(entry))
            self._forget_gone()
            self._store.drop_pending(included)
            self._store.put_pending([(signed.id, self._clock(), signed.data) for signed in returned])
            self._store.put_events(events)
            if tree.final.height >= self._snapshot_height + SNAPSHOT_EVERY:
                snapshot = tree.final.state.snapshot()
                self._store.put_snapshot(Snapshot(tree.final.id, tree.final.height, snapshot))
        self.chain.commit(tree)
        for entry in result.accepted:
            self._saw(entry.block.transactions)
        self.witness.settled(self.chain.final.state)
        self._gone.clear()
        if tree.final.height >= self._snapshot_height + SNAPSHOT_EVERY:
            self._snapshot_height = tree.final.height
        self._seq += len(events)
        if result.connected:
            self._task = None
            self._head_since = self._clock()
            self.pool.remove(included)
            self._draft = None
            self._take_pending([signed.data for signed in returned])
            self._refresh()
        self.transport.blocks([entry.block for entry in result.accepted])

    # ------------------------------------------------------------------ mining

    def next_time(self) -> int | None:
        """When :meth:`on_time` has something to do; None: not before something comes.

        Milliseconds since 1970 UTC.  A block that is being mined counts when it is to be made anew.
        """
        times = [block.header.time - self.params.max_future_ms for block in self.chain.early]
        if self._next_expiry is not None:
            times.append(self._next_expiry)
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
        if self._next_expiry is not None and self._next_expiry <= now:
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
        )
        # A block follows its parent in time. While this clock is far behind the parent (it was set back), every
        # block made would be early here, held, and mined again at once.
        return None if due is None else max(due, head.time + 1 - self.params.max_future_ms)

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


def _transactions(entry: Entry) -> list[str]:
    """Ids of the block's transactions, in order."""
    return [signed.id for signed in entry.block.transactions]
