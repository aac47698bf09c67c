"""What is remembered of one peer, all of it bounded.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chain.blocks import Block
from chain.node.peering.limits import Bucket, Limits
from chain.node.peering.messages import (
    Answer,
    AskBlocks,
    AskHeaders,
    AskTransactions,
    Blocks,
    Headers,
    Hello,
    Request,
    Status,
    Transactions,
)
from chain.node.peering.quota import Quota
from chain.schema import Hash
from chain.transactions import Signed

#: New blocks whose headers are told at once; who missed more asks.
TOLD_BLOCKS = 32
#: Where a header's text has the parent's id: after the version's 4 bytes.
_PARENT = slice(8, 72)


class Recent:
    """A set that forgets the oldest beyond its bound."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, item: str) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._items))

    def discard(self, items: Iterable[str]) -> None:
        """Forget."""
        for item in items:
            self._items.pop(item, None)

    def add(self, items: Iterable[str]) -> None:
        """Remember."""
        for item in items:
            self._items[item] = None
        while len(self._items) > self._most:
            self._items.popitem(last=False)


class Queue:
    """Transactions to be told to a peer; the oldest leave where it is full."""

    def __init__(self, most: int, size: int) -> None:
        self._most, self._room = most, size
        self._items: OrderedDict[str, Signed] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, signed: Signed) -> None:
        """Behind the others."""
        if signed.id in self._items:
            return
        self._items[signed.id] = signed
        self._size += len(signed.data)
        while len(self._items) > self._most or self._size > self._room:
            self._size -= len(self._items.popitem(last=False)[1].data)

    def take(self, most: int, size: int) -> tuple[Signed, ...]:
        """The oldest, as many as fit, at least one."""
        found: list[Signed] = []
        total = 0
        while self._items and len(found) < most:
            total += len(next(iter(self._items.values())).data)
            if found and total > size:
                break
            found.append(self._items.popitem(last=False)[1])
        self._size -= sum(len(each.data) for each in found)
        return tuple(found)


class PeerRefused(Exception):  # noqa: N818 - says what happened
    """No connection with this peer; the text says why, for both sides' logs."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        """other_version, other_genesis, itself, discouraged, full."""


@dataclass(frozen=True)
class PeerView:
    """A peer, for operators."""

    id: str
    url: str
    reachable: bool
    since: int
    height: int
    head: Hash
    final_height: int


@dataclass(frozen=True)
class Asked:
    """A request that was not answered yet."""

    request: Request
    deadline: int


@dataclass
class Peer:
    """A node we are connected with."""

    id: str
    who: str
    """Under which name it is refused when it breaks a rule."""
    hello: Hello
    limits: Limits
    since: int
    reachable: bool
    """Messages can be sent to it without being asked."""
    host: str
    """Where it is: places are counted by hosts."""
    quota: Quota
    """What is left to it, or to its host, from earlier connections as well."""
    dialled: bool = False
    """We asked it."""

    def __post_init__(self) -> None:
        limits = self.limits
        self.status: Status = self.hello.status
        self.best: Hash | None = None
        """The highest header known to be on its branch: pending, or a block that is here."""
        self.asked: dict[type[Answer], Asked] = {}
        self.given = Bucket(*limits.messages, self.since)
        self.given_transactions = Bucket(*limits.transactions, self.since)
        # Half of what is allowed: the other side's clock and ours need not agree.
        self.sent = Bucket(limits.messages[0] / 2, limits.messages[1] / 2, self.since)
        self.blocks = Recent(limits.known_blocks)
        self.transactions = Recent(limits.known_transactions)
        self.queue = Queue(limits.queue, limits.queue_bytes)
        self.fresh: OrderedDict[str, Block] = OrderedDict()
        """New blocks to be told to it."""
        self.held: OrderedDict[str, Block] = OrderedDict()
        """Blocks it told of whose parents are not known."""
        self.offered = Recent(limits.offered)
        """Large transactions that it has and that are still to be asked for."""
        self.next_gossip = self.since
        self.next_inventory = self.since
        self.next_addresses = self.since
        self.page = 0
        self.heard = self.since
        self.slow_until = 0
        self.lacking: str | None = None
        """A head whose bodies it did not have when asked."""
        self.headers_at = 0
        """Not asked for headers before."""
        self.failures = 0
        self.unconnected = 0
        self.other_chain = False
        self.agreed: Hash | None = None
        """The newest of its final blocks that was found on our branch."""
        self.disputes = False
        """Its branch has a final block that contradicts ours."""

    def view(self) -> PeerView:
        """For operators."""
        status = self.status
        return PeerView(
            self.id, self.hello.url, self.reachable, self.since, status.height, status.head, status.final_height
        )

    def answered(self, message: Answer) -> Request | None:
        """The request that this is the answer to, which is then done with; None: it was not asked for."""
        asked = self.asked.get(type(message))
        if asked is None:
            return None
        request = asked.request
        if isinstance(message, Blocks) and isinstance(request, AskBlocks):
            asked_for = set(request.ids)
            if any(each.id not in asked_for for each in message.blocks if isinstance(each, Block)):
                return None  # told: new blocks may hold one that was asked for a moment ago
        elif isinstance(message, Transactions) and isinstance(request, AskTransactions):
            wanted = set(request.ids)
            if any(each.id not in wanted for each in message.transactions):
                return None
        elif isinstance(message, Headers) and isinstance(request, AskHeaders) and _is_news(message, request):
            return None
        del self.asked[type(message)]
        self.failures = 0
        return request


def _is_news(message: Headers, request: AskHeaders) -> bool:
    """Headers that do not follow on the locator: told, while an answer is still to come."""
    if not message.headers:
        return False
    parent = message.headers[0][_PARENT]
    return parent not in request.locator and len(message.headers) <= TOLD_BLOCKS
