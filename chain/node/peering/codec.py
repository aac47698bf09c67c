"""Messages as bytes: strict DAG-CBOR, each class under its own bound.

Blocks and signed transactions lie inside as the nodes they are everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from chain import schema
from chain.blocks import BEFORE_HEADER, Block
from chain.encoding import read_raw, shown, split_list, write_raw
from chain.errors import ChainError, InvalidEncoding
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
from chain.packing import pack_items, pack_text
from chain.params import Params
from chain.transactions import BEFORE_BODY, Signed

Item = TypeVar("Item")

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
        return b"\xa1\x66blocks" + pack_items([block.data for block in message.blocks])
    if isinstance(message, Transactions):
        return b"\xa1\x6ctransactions" + pack_items([signed.data for signed in message.transactions])
    return schema.to_bytes(message)


def decode(kind: type[Message], data: bytes, params: Params) -> Message:
    """A message of this class. Raises InvalidEncoding and InvalidSignature (a malformed one)."""
    limit = limit_of(kind, params)
    if kind is Blocks:
        largest = params.max_block_bytes
        return Blocks(_all(data, limit, "blocks", MAX_BODIES, BEFORE_HEADER, lambda each: Block.decode(each, largest)))
    if kind is Transactions:
        most = params.largest_transaction
        return Transactions(
            _all(data, limit, "transactions", MAX_TRANSACTIONS, BEFORE_BODY, lambda each: Signed.decode(each, most))
        )
    return schema.from_bytes(kind, data, limit)


def _all(
    data: bytes, limit: int, name: str, most: int, begin: bytes, read: Callable[[bytes], Item]
) -> tuple[Item, ...]:
    """The items of a message that is a list of them: read where they seem to begin and, if one is not whole then,
    as parts of the whole (see `split_list`)."""
    head = b"\xa1" + pack_text(name)
    items = split_list(data, len(head), begin) if data.startswith(head) and len(data) <= limit else None
    if items is not None and len(items) <= most:
        with suppress(ChainError):
            return tuple([read(each) for each in items])
    return tuple([read(each) for each in _items(data, limit, name, most)])


def _items(data: bytes, limit: int, name: str, most: int) -> list[bytes]:
    raw = read_raw(data, limit)
    if type(raw) is not dict or raw.keys() != {name}:
        raise InvalidEncoding(f"a map with the field {name}", shown(raw))
    items = raw[name]
    if type(items) is not list or len(items) > most:
        raise InvalidEncoding(f"a list of at most {most}", shown(items), name)
    return [write_raw(each) for each in items]
