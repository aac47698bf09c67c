"""Messages as bytes: strict DAG-CBOR, each class under its own bound.

Blocks and signed transactions lie inside as the nodes they are everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain import schema
from chain.blocks import Block
from chain.encoding import read_raw, shown, write_raw
from chain.errors import InvalidEncoding
from chain.node.peering.messages import (
    MAX_BODIES,
    MAX_TRANSACTIONS,
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskPeers,
    AskTransactions,
    Blocks,
    Headers,
    Hello,
    Inventory,
    Message,
    Offer,
    Peers,
    Transactions,
)
from chain.params import Params
from chain.transactions import Signed

#: Bytes that blocks in one message, or transactions in one message, fill beside a first one that is larger.
BATCH_BYTES = 2 * 1024 * 1024
#: Bytes of all framing in a message.
_FRAME = 1024
#: The message's class by its name in a path.
NAMES: dict[str, type[Message]] = {
    "ask-headers": AskHeaders,
    "headers": Headers,
    "ask-blocks": AskBlocks,
    "blocks": Blocks,
    "ask-transactions": AskTransactions,
    "transactions": Transactions,
    "ask-inventory": AskInventory,
    "inventory": Inventory,
    "ask-peers": AskPeers,
    "peers": Peers,
    "offer": Offer,
}
PATHS: dict[type[Message], str] = {kind: name for name, kind in NAMES.items()}

_LIMITS: dict[type[Any], int] = {
    AskHeaders: 64 * 72,
    Headers: 512 * 184 + 1024,
    AskBlocks: 16 * 72,
    AskTransactions: 1024 * 48,
    AskInventory: 1024,
    Inventory: 1024 * 48 + 1024,
    AskPeers: 0,
    Peers: 32 * 264,
    Offer: 1024 * 48,
    Hello: 2048,
}


def limit_of(kind: type[Message] | type[Hello], params: Params) -> int:
    """The most bytes a message of this class may have."""
    if kind is Blocks:
        return BATCH_BYTES + params.max_block_bytes + _FRAME
    if kind is Transactions:
        return BATCH_BYTES + params.largest_transaction + _FRAME
    return _LIMITS[kind] + _FRAME


def encode(message: Message) -> bytes:
    """Its bytes. Raises InvalidEncoding for fields beyond their bounds."""
    if isinstance(message, Blocks):
        return b"\xa1\x66blocks" + _list([block.data for block in message.blocks])
    if isinstance(message, Transactions):
        return b"\xa1\x6ctransactions" + _list([signed.data for signed in message.transactions])
    return schema.to_bytes(message)


def decode(kind: type[Message], data: bytes, params: Params) -> Message:
    """A message of this class. Raises InvalidEncoding and InvalidSignature (a malformed one)."""
    limit = limit_of(kind, params)
    if kind is Blocks:
        items = _items(data, limit, "blocks", MAX_BODIES)
        return Blocks(tuple(Block.decode(each, params.max_block_bytes) for each in items))
    if kind is Transactions:
        items = _items(data, limit, "transactions", MAX_TRANSACTIONS)
        return Transactions(tuple(Signed.decode(each, params.largest_transaction) for each in items))
    return schema.from_bytes(kind, data, limit)


def _list(items: Sequence[bytes]) -> bytes:
    # The head of a list (RFC 8949, 3): major type 4 and the shortest form of the count, here below 2^16.
    count = len(items)
    if count < 24:
        head = bytes((0x80 | count,))
    else:
        head = bytes((0x98, count)) if count < 256 else b"\x99" + count.to_bytes(2, "big")
    return head + b"".join(items)


def _items(data: bytes, limit: int, name: str, most: int) -> list[bytes]:
    raw = read_raw(data, limit)
    if type(raw) is not dict or raw.keys() != {name}:
        raise InvalidEncoding(f"a map with the field {name}", shown(raw))
    items = raw[name]
    if type(items) is not list or len(items) > most:
        raise InvalidEncoding(f"a list of at most {most}", shown(items), name)
    return [write_raw(each) for each in items]
