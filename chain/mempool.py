"""Transactions that wait for a block.

Pure: the time, and the answer to "would it be valid now?", come from outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chain.errors import ChainError, Expired, InvalidTransaction, MempoolFull, NotYet
from chain.params import Params
from chain.schema import Address, Cid, Hash
from chain.transactions import Signed, VoteCheckpoint, VoteModel, check_envelope

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
    votes: int = 1_000
    """Places beyond these bounds that only checkpoint votes and votes may take, so that a flood stops neither
    finality nor adoption."""
    sender_quota: int = 64
    """What one sender gets into a block before all others had their turn."""


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
        self._waiting: dict[Cid, Waiting] = {}
        self._senders: dict[Address, int] = {}
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
    def size(self) -> int:
        """Bytes of all transactions."""
        return self._size

    def get(self, identifier: str) -> Waiting | None:
        return self._waiting.get(Cid(identifier))

    def add(self, signed: Signed, now: int, check: Check) -> bool:
        """Take a transaction in; False where its id waits already. `now`: time of the block it could be in.

        Raises what check_envelope and `check` raise (but NotYet, with which it is held), and MempoolFull.
        """
        if signed.id in self._waiting:
            return False
        self._check_room(signed)
        check_envelope(signed, self._params, self._genesis, now)
        held = _held(signed, check)
        self._waiting[signed.id] = Waiting(signed, next(self._arrivals), held)
        self._senders[signed.sender] = self._senders.get(signed.sender, 0) + 1
        self._size += len(signed.data)
        return True

    def remove(self, identifiers: Iterable[str]) -> None:
        """Forget transactions that are in a block now; unknown ids are no matter."""
        for identifier in identifiers:
            waiting = self._waiting.pop(Cid(identifier), None)
            if waiting is None:
                continue
            sender = waiting.signed.sender
            self._size -= len(waiting.signed.data)
            self._senders[sender] -= 1
            if not self._senders[sender]:
                del self._senders[sender]

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

        Checkpoint votes first (by target height), then votes, then the rest by arrival; in each class what
        goes beyond a sender's quota comes after everybody else's.
        """
        taken: dict[tuple[int, Address], int] = {}
        ranked = []
        for waiting in sorted(self._waiting.values(), key=_precedence):
            rank = _rank(waiting.signed)
            turn = taken.get((rank, waiting.signed.sender), 0)
            taken[rank, waiting.signed.sender] = turn + 1
            ranked.append((rank, turn >= self._limits.sender_quota, waiting.signed))
        ranked.sort(key=lambda entry: entry[:2])  # stable: inside a class and a turn the order stays
        return tuple(signed for _, _, signed in ranked)

    def _check_room(self, signed: Signed) -> None:
        limits = self._limits
        reserve = limits.votes if _rank(signed) < _REST else 0
        if len(self._waiting) >= limits.transactions + reserve:
            raise MempoolFull(
                f"fewer than {limits.transactions} waiting transactions", str(len(self._waiting))
            )
        room = limits.size + reserve * self._params.max_transaction_bytes
        if self._size + len(signed.data) > room:
            raise MempoolFull(f"at most {limits.size} bytes of waiting transactions", str(self._size))
        if self._senders.get(signed.sender, 0) >= limits.per_sender + reserve:
            raise MempoolFull(
                f"fewer than {limits.per_sender} waiting transactions of one sender", signed.sender
            )


_REST = 2


def _rank(signed: Signed) -> int:
    """The class in which a block takes it."""
    if isinstance(signed.payload, VoteCheckpoint):
        return 0
    return 1 if isinstance(signed.payload, VoteModel) else _REST


def _precedence(waiting: Waiting) -> tuple[int, int]:
    payload = waiting.signed.payload
    height = payload.target_height if isinstance(payload, VoteCheckpoint) else 0
    return height, waiting.arrival


def _held(signed: Signed, check: Check) -> NotYet | None:
    try:
        check(signed)
    except NotYet as error:
        return error
    return None
