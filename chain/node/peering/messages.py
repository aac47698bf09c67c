"""What peers say to each other: frozen dataclasses, each field with its bounds.

Requests (``Ask...``) are answered by exactly one message of the class that ``ANSWERS`` names; the rest is told
without being asked. Nothing here says who sent it: that is the transport's to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chain import schema
from chain.blocks import HEADER_BYTES, Block, Header
from chain.errors import InvalidEncoding
from chain.schema import Cid, Hash, Items, Range, Text
from chain.transactions import Signed

#: Version of this protocol; peers of another version are refused.
VERSION = 1
#: Headers in one message, and hashes in a locator.
MAX_HEADERS = 512
MAX_LOCATOR = 64
#: Bodies asked for in one message. The answer has fewer where they are large.
MAX_BODIES = 16
#: Ids of pending transactions in one page of an inventory, or asked for at once.
MAX_IDS = 1024
#: Transactions in one message.
MAX_TRANSACTIONS = 1024
#: Addresses in one message.
MAX_ADDRESSES = 32
MAX_URL = 255

Url = Annotated[
    str,
    Text(
        0,
        MAX_URL,
        r"(https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]{2,39}\]):[1-9][0-9]{0,4})?",
        "http://HOST:PORT in lowercase, or nothing",
    ),
]
"""Where a node is reached: scheme, host in lowercase and port, without a path."""
HeaderText = Annotated[
    str, Text(2 * HEADER_BYTES, 2 * HEADER_BYTES, rf"[0-9a-f]{{{2 * HEADER_BYTES}}}", "a header in hexadecimal")
]
Work = Annotated[str, Text(1, 78, r"0|[1-9][0-9]{0,77}", "a number below 2^256 in decimal")]
Height = Annotated[int, Range(0, 2**53)]


@dataclass(frozen=True)
class _Address:
    url: Url


def url_of(text: str) -> str:
    """An address as operators write it: a slash at its end does not matter. Raises InvalidEncoding."""
    found = schema.from_object(_Address, {"url": text.removesuffix("/")}).url
    if not found or int(found.rsplit(":", 1)[1]) > 65_535:
        raise InvalidEncoding("http://HOST:PORT in lowercase", repr(text[:100]))
    return found


def host_of(url: str) -> str:
    """The host that an address names."""
    return url.partition("://")[2].rpartition(":")[0]


@dataclass(frozen=True)
class Status:
    """Where a node's head is, and what its state says of finality: what the choice between branches looks at."""

    height: Height
    head: Hash
    work: Work
    """Expected hashes of the branch from genesis."""
    above: Work
    """Those above the justified block."""
    justified_height: Height
    justified: Hash
    final_height: Height
    final: Hash


@dataclass(frozen=True)
class Hello:
    """The first thing each side says."""

    version: Annotated[int, Range(0, 2**31)]
    genesis: Hash
    node: Annotated[str, Text(32, 32, r"[0-9a-f]{32}", "32 lowercase hexadecimal digits")]
    """Random for each run of a node, so that it knows itself."""
    url: Url
    """Where it can be reached; empty: nowhere, it asks and is not told."""
    status: Status


@dataclass(frozen=True)
class AskHeaders:
    """What follows on the head's branch after the first block of the locator that is on it."""

    locator: Annotated[tuple[Hash, ...], Items(1, MAX_LOCATOR)]
    """Ids of blocks, the highest first, thinning out towards genesis, which is last."""


@dataclass(frozen=True)
class Headers:
    """Headers, each the parent of the next. As an answer: fewer than MAX_HEADERS where the branch ends."""

    status: Status
    headers: Annotated[tuple[HeaderText, ...], Items(0, MAX_HEADERS)]

    def unpacked(self) -> list[Header]:
        """Raises InvalidEncoding."""
        return [Header.unpack(bytes.fromhex(each)) for each in self.headers]


@dataclass(frozen=True)
class AskBlocks:
    """Bodies of blocks."""

    ids: Annotated[tuple[Hash, ...], Items(1, MAX_BODIES, unique=True)]


@dataclass(frozen=True)
class Packed:
    """A block's bytes as the store has them, not read yet."""

    data: bytes


@dataclass(frozen=True)
class Blocks:
    """Blocks: those asked for, in that order, as far as they are there and fit; or new ones, parents first."""

    blocks: tuple[Block | Packed, ...]

    def read(self, limit: int) -> list[Block]:
        """All of them as blocks. Raises InvalidEncoding and InvalidSignature."""
        return [Block.decode(each.data, limit) if isinstance(each, Packed) else each for each in self.blocks]


@dataclass(frozen=True)
class AskTransactions:
    """Pending transactions by their ids."""

    ids: Annotated[tuple[Cid, ...], Items(1, MAX_IDS, unique=True)]


@dataclass(frozen=True)
class Transactions:
    """Signed transactions: those asked for that still wait, or new ones."""

    transactions: tuple[Signed, ...]


@dataclass(frozen=True)
class AskInventory:
    """Compare where we are: status and, page by page, pending transactions."""

    status: Status
    start: Annotated[int, Range(0, 2**31)]
    """How many pending transactions to pass over."""


@dataclass(frozen=True)
class Inventory:
    """Its answer."""

    status: Status
    pending: Annotated[tuple[Cid, ...], Items(0, MAX_IDS)]
    """Ids of pending transactions, oldest first."""
    next: Annotated[int, Range(0, 2**31)]
    """Where the next page starts; 0 after the last."""


@dataclass(frozen=True)
class AskPeers:
    """Addresses of other nodes."""


@dataclass(frozen=True)
class Peers:
    """Addresses at which nodes of this network answered."""

    urls: Annotated[tuple[Url, ...], Items(0, MAX_ADDRESSES)]


@dataclass(frozen=True)
class Offer:
    """Waiting transactions that are too large to be sent to everybody: who wants them asks."""

    ids: Annotated[tuple[Cid, ...], Items(1, MAX_IDS, unique=True)]


Request = AskHeaders | AskBlocks | AskTransactions | AskInventory | AskPeers
Answer = Headers | Blocks | Transactions | Inventory | Peers
Message = Request | Answer | Offer

#: The answer to each request.
ANSWERS: dict[type[Request], type[Answer]] = {
    AskHeaders: Headers,
    AskBlocks: Blocks,
    AskTransactions: Transactions,
    AskInventory: Inventory,
    AskPeers: Peers,
}
#: What may also come without being asked for.
TOLD: tuple[type[Message], ...] = (Headers, Blocks, Transactions, Offer)
