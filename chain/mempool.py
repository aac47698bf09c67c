"""Transactions that wait for a block.

Pure: the time, and the answer to "would it be valid now?", come from outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chain.errors import ChainError, Conflict, Expired, ExpiresTooLate, InvalidTransaction, MempoolFull, NotYet
from chain.params import Params
from chain.schema import Address, Hash
from chain.transactions import Attest, ReportMisconduct, Signed, VoteCheckpoint, VoteModel, check_envelope

Check = Callable[[Signed], None]
"""Raises InvalidTransaction unless the transaction is valid on the state at hand; NotYet keeps it waiting."""


@dataclass(frozen=True)
class Limits:
    """A node's own bounds; no rule of the chain."""

    transactions: int = 10_000
    """That wait in all."""
    size: int = 64 * 1024 * 1024
    """Their bytes in all."""
    per_sender: int = 1_000
    """Of one sender."""
    per_kind: int = 500
    """Of one sender and kind."""
    votes_per_sender: int = 1_000
    """Checkpoint votes, votes and attestations of one validator. They are counted apart from the rest, and for each
    validator apart, so that neither a flood of transactions nor a validator that floods stops finality or adoption."""
    votes_size: int = 16 * 1024 * 1024
    """Their bytes, of one validator."""
    reports: int = 64
    """Reports of misconduct, which have room of their own; of two about one validator the second is refused."""
    reports_size: int = 16 * 1024 * 1024
    """Their bytes in all."""
    sender_quota: int = 64
    """What one sender gets into a block of one kind before all others had their turn."""


@dataclass(frozen=True)
class Waiting:
    """One transaction in the mempool."""

    signed: Signed
    arrival: int
    """A serial number."""
    held: NotYet | None
    """Why it cannot be in the next block, where it cannot."""


@dataclass(frozen=True)
class Dropped:
    """A transaction that left the mempool without being in a block, and why."""

    signed: Signed
    error: ChainError


class Mempool:
    """At most one transaction for each id, in the order in which a block takes them."""

    def __init__(self, params: Params, genesis: Hash, limits: Limits | None = None) -> None:
        """`genesis`: the id of the network's genesis block."""
        self._params = params
        self._genesis = genesis
        self._limits = limits or Limits()
        self._waiting: dict[str, Waiting] = {}
        # How many wait, and their bytes: of a group or a kind, by sender and (None) in all.
        self._taken: dict[tuple[str, Address | None], tuple[int, int]] = {}
        self._size = 0
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        """In order of arrival."""
        return iter(self._waiting.values())

    @property
    def transactions(self) -> int:
        """How many of them are no votes on checkpoints."""
        return len(self) - self.checkpoint_votes

    @property
    def checkpoint_votes(self) -> int:
        """How many of them are votes on checkpoints. One that came too late for its block waits until its sender votes
        anew: a chain whose work is final stands still, and holds it."""
        return self._taken.get((VoteCheckpoint.kind, None), (0, 0))[0]

    @property
    def size(self) -> int:
        """Bytes of all transactions."""
        return self._size

    def get(self, identifier: str) -> Waiting | None:
        return self._waiting.get(identifier)

    def add(self, signed: Signed, now: int, check: Check, *, known: bool = False) -> Dropped | None:
        """Take a transaction in, if its id does not wait already; what had to make room for it.

        `now`: time of the block it could be in. `known`: it was acknowledged before (and was in a block since, or on
        the disk), so there is room for it. Raises what check_envelope and `check` raise (but NotYet, with which it is
        held), and MempoolFull.
        """
        if signed.id in self._waiting:
            return None
        overtaken = None if known else self._find_room(signed)
        try:
            check_envelope(signed, self._params, self._genesis, now)
            held = _held(signed, check)
        except ExpiresTooLate as error:  # a clock, or a branch, was ahead of this one: it passes
            if not known:
                raise
            held = NotYet(error.expected, error.found, error.where).detached()
        if overtaken is not None:
            self.remove([overtaken.signed.id])
        self._waiting[signed.id] = Waiting(signed, next(self._arrivals), held)
        self._count(signed, 1)
        return overtaken

    def remove(self, identifiers: Iterable[str]) -> None:
        """Forget transactions that are in a block now; unknown ids are no matter."""
        for identifier in identifiers:
            waiting = self._waiting.pop(identifier, None)
            if waiting is None:
                continue
            self._count(waiting.signed, -1)

    def recheck(self, now: int, check: Check) -> tuple[Dropped, ...]:
        """Ask again, in block order, after head or time have changed; what became invalid is dropped."""
        dropped = []
        for signed in self.ordered():
            waiting = self._waiting[signed.id]
            try:
                if signed.body.expires <= now and not isinstance(signed.payload, VoteCheckpoint):
                    raise Expired(f"an expiry after {now}", str(signed.body.expires), "body.expires")
                held = _held(signed, check)
            except InvalidTransaction as error:
                dropped.append(Dropped(signed, error))
                self.remove([signed.id])
            else:
                self._waiting[signed.id] = Waiting(signed, waiting.arrival, held)
        return tuple(dropped)

    def ordered(self) -> tuple[Signed, ...]:
        """All that wait, as a block should try them; also those held, as an earlier one may free them.

        Checkpoint votes first, by target height, and misconduct (after them: reports may be large, and made by whoever
        has keys to waste), then votes and attestations, then the rest by arrival; in each class what goes beyond a
        sender's quota of the kind comes after everybody else's.
        """
        taken: dict[tuple[str, Address], int] = {}
        ranked = []
        for waiting in sorted(self._waiting.values(), key=_precedence):
            rank = _rank(waiting.signed)
            turn = taken.get((waiting.signed.body.kind, waiting.signed.sender), 0)
            taken[waiting.signed.body.kind, waiting.signed.sender] = turn + 1
            ranked.append((rank, turn >= self._limits.sender_quota, waiting.signed))
        ranked.sort(key=lambda entry: entry[:2])  # stable: inside a class and a turn the order stays
        return tuple(signed for _, _, signed in ranked)

    def _count(self, signed: Signed, sign: int) -> None:
        group, size = _group(signed), sign * len(signed.data)
        self._size += size
        kind = signed.body.kind
        for key in ((group, signed.sender), (group, None), (kind, signed.sender), (kind, None)):
            number, total = self._taken.get(key, (0, 0))
            if number + sign:
                self._taken[key] = (number + sign, total + size)
            else:
                del self._taken[key]

    def _find_room(self, signed: Signed) -> Dropped | None:
        """What has to leave for it. Raises MempoolFull for the first bound that it would break.

        A reorganisation hands back all checkpoint votes of the branch that lost. They name blocks that may never be
        on a branch again, and only a newer vote of their sender on the chain is the end of them: so a newer one takes
        the place of the oldest held.
        """
        try:
            self._check_room(signed)
        except MempoolFull:
            target = _target(signed)
            older = [
                each
                for each in self._waiting.values()
                if each.held is not None and each.signed.sender == signed.sender and 0 < _target(each.signed) < target
            ]
            if not older:
                raise
            oldest = min(older, key=lambda each: _target(each.signed)).signed
            error = Conflict("its sender's newer checkpoint votes", f"one for height {_target(oldest)}")
            return Dropped(oldest, error)
        return None

    def _check_room(self, signed: Signed) -> None:
        """Raises MempoolFull for the first bound that it would break."""
        limits, group = self._limits, _group(signed)
        kind, sender = signed.body.kind, signed.sender
        if group == _VOTES:
            if isinstance(signed.payload, Attest):  # which are for all versions there are, and not as urgent
                self._bound(kind, sender, limits.per_kind, limits.votes_size, signed)
            self._bound(group, sender, limits.votes_per_sender, limits.votes_size, signed)
        elif group == _REPORTS:
            self._bound(group, None, limits.reports, limits.reports_size, signed)
        else:
            self._bound(kind, sender, limits.per_kind, limits.size, signed)
            self._bound(group, sender, limits.per_sender, limits.size, signed)
            self._bound(group, None, limits.transactions, limits.size, signed)

    def _bound(self, what: str, sender: Address | None, most: int, room: int, signed: Signed) -> None:
        number, total = self._taken.get((what, sender), (0, 0))
        whose = "" if sender is None else " of one sender"
        if number >= most:
            raise MempoolFull(f"fewer than {most} waiting {what}{whose}", sender or str(number))
        if total + len(signed.data) > room:
            raise MempoolFull(f"at most {room} bytes of waiting {what}{whose}", str(total))


_REST = 2
_LAST = 2**63
_VOTES, _REPORTS, _OTHERS = "votes", "reports", "transactions"


def _rank(signed: Signed) -> int:
    """The class in which a block takes it."""
    if isinstance(signed.payload, VoteCheckpoint | ReportMisconduct):
        return 0
    return 1 if isinstance(signed.payload, VoteModel | Attest) else _REST


def _group(signed: Signed) -> str:
    """What it shares room with: votes are only validators', each with room of its own."""
    if isinstance(signed.payload, VoteCheckpoint | VoteModel | Attest):
        return _VOTES
    return _REPORTS if isinstance(signed.payload, ReportMisconduct) else _OTHERS


def _precedence(waiting: Waiting) -> tuple[int, int]:
    return _target(waiting.signed) or _LAST, waiting.arrival


def _target(signed: Signed) -> int:
    """The height that a checkpoint vote is for, which is at least 1; 0 for everything else."""
    return signed.payload.target_height if isinstance(signed.payload, VoteCheckpoint) else 0


def _held(signed: Signed, check: Check) -> NotYet | None:
    try:
        check(signed)
    except NotYet as error:
        return error.detached()
    return None
