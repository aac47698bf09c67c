"""The part of a node that takes transactions: what waits, what was dropped and why, and what waits again.

Called from the node's one thread; what it acknowledges is on the disk by then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from chain.blockchain import Blockchain
from chain.errors import ChainError, Conflict, ExpiresTooLate, InsufficientBalance, NotYet, Unknown
from chain.mempool import Mempool
from chain.node import remembering
from chain.node.interface import Alone, Clock, Receipt, Transport
from chain.node.listing import Listing
from chain.node.looking import Looking
from chain.node.witness import Witness
from chain.params import Params
from chain.schema import Address
from chain.state import BlockDraft
from chain.store import Store
from chain.transactions import Signed, VoteCheckpoint, VoteModel

#: Age, in milliseconds, at which the next block's draft, against which transactions are checked, is made anew:
#: leases lapse and deadlines pass while nothing is mined.  At least so many for each transaction that waits, since all
#: of them are checked again: that takes about a twentieth of it.
DRAFT_MS = 50
DRAFT_MS_EACH = 1
#: Dropped transactions whose reason is remembered, and their bytes, at most.
DROPPED_KEPT = 10_000
DROPPED_BYTES = 16 * 1024 * 1024


class Taking(Looking):
    """What it inherits only looks, and any thread may."""

    def __init__(
        self, params: Params, chain: Blockchain, store: Store, clock: Clock, transport: Transport | None
    ) -> None:
        """Nothing waits yet."""
        self.params = params
        self.chain = chain
        self.listing = Listing(store)
        self._store = store
        self._clock = clock
        self.transport: Transport = Alone() if transport is None else transport
        self.pool = Mempool(params, chain.genesis_id)
        self.witness = Witness(chain.genesis_id, remembering.evidence(store))
        self._evidence = self.witness.reports  # as they are on the disk
        self._dropped: OrderedDict[str, tuple[Signed, ChainError]] = OrderedDict()
        self._dropped_size = 0
        self._gone: list[str] = []  # dropped, and still among the store's pending ones
        self.drops = 0
        """How often something that waited was dropped."""
        self._draft: BlockDraft | None = None
        self._draft_time = 0
        self._work_since: int | None = None
        self._votes_since = clock()
        self._votes: dict[Address, VoteCheckpoint] = {}
        self._voted = 0  # the height of the highest block of another branch that a member's vote waits for
        self._next_look: int | None = None
        """When the first that waits expires, or the first whose expiry is too far away has come near enough."""

    def now(self) -> int:
        """Milliseconds since 1970 UTC, by this node's clock."""
        return self._clock()

    def receive_transactions(self, items: Sequence[bytes | Signed]) -> list[Receipt | ChainError]:
        """Check signed transactions and keep the good ones; for each its receipt or the reason against it.

        All of them reach the disk in one write, before this returns.
        """
        now = self._clock()
        if self._stale(now):
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
                answers.append(error.detached())  # its traceback would hold this frame, and so all the items
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
        self._keep_evidence()
        return answers

    def _saw(self, transactions: Sequence[Signed]) -> None:
        """Take note of votes before anything is decided about them: one that is refused may prove misconduct."""
        state = self.head.state
        for signed in transactions:
            if isinstance(signed.body.payload, (VoteCheckpoint, VoteModel)):  # it looks at nothing else
                self.witness.saw(signed, state)

    def _keep_evidence(self) -> None:
        """What was caught outlives the process until the chain has it."""
        if self.witness.reports is not self._evidence:
            found = self.witness.reports
            remembering.keep_evidence(self._store, found)
            self._evidence = found

    def _known(self, signed: Signed) -> Receipt | None:
        """The receipt of a transaction that is here already, signature and all."""
        standing = self.standing(signed.id)
        if standing is None or standing.status == "dropped":
            return None
        if standing.signed is not None and standing.signed.signature != signed.signature:
            signed.verify()
        return Receipt(signed.id, standing.status)

    def _admit(self, signed: Signed, now: int, again: bool = False) -> None:
        check = self._again if again else self._check
        overtaken = self.pool.add(signed, max(now, self.head.time + 1), check, known=again)
        if overtaken is not None:
            self._drop(overtaken.signed, overtaken.error)
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
            elif any(each.weight(signed.sender) for each in self.head.state.voting_sets):
                # Of a block that is there: else a single liar would set the pace, with votes for blocks of no branch.
                target = self.chain.entry(payload.target)
                if target is not None and target.height >= self.head.height:
                    self._voted = max(self._voted, target.height)
            return
        if self._work_since is None and not held:
            self._work_since = self._clock()
        look, near = signed.body.expires, signed.body.expires - self.params.max_expiry_ms
        if near > max(self._clock(), self.head.time + 1):
            look = near
        if self._next_look is None or look < self._next_look:
            self._next_look = look

    def _stale_at(self) -> int:
        """From when the time that has passed is reason to ask all that wait again."""
        return self._draft_time + max(DRAFT_MS, DRAFT_MS_EACH * len(self.pool))

    def _stale(self, now: int) -> bool:
        """Whether it is by now, or the clock was set back behind the draft."""
        return not self._draft_time <= max(now, self.head.time + 1) <= self._stale_at()

    def _refresh(self) -> None:
        """Ask all that wait again, on the head as it is, at the time it is."""
        now = max(self._clock(), self.head.time + 1)
        self._draft, self._draft_time = None, now
        since, self._work_since, self._next_look = self._work_since, None, None
        self._votes, self._voted = {}, 0
        for dropped in self.pool.recheck(now, self._again):
            self._drop(dropped.signed, dropped.error)
        for waiting in self.pool:
            self._note(waiting.signed)
        self._keep_since(since)

    def _drafted(self) -> BlockDraft:
        """The draft that transactions are checked against, at the time it is; not made before there are any."""
        if self._draft is None:
            now = max(self._clock(), self.head.time + 1)
            self._draft, self._draft_time = self.chain.draft(now), now
        return self._draft

    def _keep_since(self, since: int | None) -> None:
        """Work that waited before does so since then."""
        if since is not None and self._work_since is not None:
            self._work_since = since

    def _check(self, signed: Signed) -> None:
        """Whether the next block could hold it; of a job that has left the state, this node knows that it is over."""
        try:
            self._drafted().add(signed)
        except Unknown as error:
            if self._store.has_job(str(getattr(signed.payload, "job", ""))):
                expected = "a job that is open, or closed and not yet final"
                raise Conflict(expected, "one that is over for good", "body.payload.job") from error
            raise

    def _again(self, signed: Signed) -> None:
        """Check once more what was acknowledged: what it names, or what pays for it, may have left the branch or
        stand behind it in the order, and may come back; a branch or a clock that was ahead may have left its expiry
        too far away for now."""
        try:
            self._check(signed)
        except (Unknown, InsufficientBalance, ExpiresTooLate) as error:
            raise NotYet(error.expected, error.found, error.where) from error

    def _drop(self, signed: Signed, error: ChainError) -> None:
        self._forget_dropped(signed.id)
        self.drops += 1
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
