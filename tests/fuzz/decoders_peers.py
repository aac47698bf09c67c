"""What other nodes say: every message, the handshake, addresses, and the refusals that come back."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from chain import schema
from chain.blocks import Block
from chain.errors import InvalidEncoding, InvalidSignature
from chain.node.peering import links, posting
from chain.node.peering.codec import NAMES, decode, encode
from chain.node.peering.links import Greeting
from chain.node.peering.messages import (
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
    Packed,
    Peers,
    Status,
    Transactions,
    url_of,
)
from chain.params import DEVELOPMENT
from chain.transactions import Signed
from tests.fuzz.decoders import Decoder, as_text
from tests.fuzz.decoders_chain import CID, GENESIS, OTHER, RAW_CID, SIGNED, block, cbor, json
from tests.fuzz.mutate import Example

STATUS = Status(7, OTHER, "4096", "12", 5, GENESIS, 4, GENESIS)
HELLO = Hello(1, GENESIS, "0f" * 16, "http://127.0.0.1:7001", STATUS)
HEADER = block(()).header.pack().hex()
MESSAGES: tuple[Message, ...] = (
    AskHeaders((OTHER, GENESIS)), Headers(STATUS, (HEADER, HEADER)), AskBlocks((OTHER, GENESIS)),
    Blocks((block(SIGNED[:3]), block(()))), AskTransactions((CID, RAW_CID)), Transactions(tuple(SIGNED[:4])),
    AskInventory(STATUS, 0), Inventory(STATUS, (CID, RAW_CID), 1024), AskPeers(),
    Peers(("http://127.0.0.1:7001", "https://node.example:443")), Offer((CID, RAW_CID)),
)  # fmt: skip


def _again(value: Any, data: bytes) -> bool:
    """The message is written back from its fields alone."""
    if isinstance(value, Blocks):
        blocks = [one for one in value.blocks if isinstance(one, Block)]
        parts = (Signed(one.body, one.signature) for each in blocks for one in each.transactions)
        return encode(value) == data and all(part.data for part in parts)
    if isinstance(value, Transactions):
        value = Transactions(tuple(Signed(one.body, one.signature) for one in value.transactions))
    if isinstance(value, Headers):
        with suppress(InvalidEncoding):  # as who takes them declares (chain/node/peering/protocol.py)
            value.unpacked()
    return encode(value) == data


def _decode(kind: type[Message], data: bytes) -> Message:
    return decode(kind, data, DEVELOPMENT)


def _refusal(data: bytes) -> str:
    return str(posting._refusal(409, data))


def decoders() -> list[Decoder]:
    names = {kind: name for name, kind in NAMES.items()}
    found = [
        Decoder(f"peers/codec.{names[type(one)]}", partial(_decode, type(one)),
                cbor(encode(one)), (InvalidEncoding, InvalidSignature),
                ("chain.node.peering.codec.decode", "chain.node.peering.messages.Headers.unpacked"), _again)
        for one in MESSAGES
    ]  # fmt: skip
    greeting = schema.to_bytes(Greeting(HELLO, "ab" * 16, ""))
    return [
        *found,
        Decoder("peers/links.Greeting", lambda data: schema.from_bytes(Greeting, data, links.GREETING_BYTES),
                cbor(greeting), (InvalidEncoding,), ("chain.schema.from_bytes",),
                lambda value, data: schema.to_bytes(value) == data),
        Decoder("peers/messages.Blocks.read",
                lambda data: Blocks((Packed(data),)).read(DEVELOPMENT.max_block_bytes), cbor(block(SIGNED[:2]).data),
                (InvalidEncoding, InvalidSignature), ("chain.node.peering.messages.Blocks.read",)),
        Decoder("peers/messages.url_of", lambda data: url_of(as_text(data)),
                (Example(b"http://127.0.0.1:7001/"), Example(b"https://[::1]:443")), (InvalidEncoding,),
                ("chain.node.peering.messages.url_of",), lambda value, data: url_of(value) == value),
        Decoder("peers/posting.refusal", _refusal,
                json(b'{"type":"about:blank","title":"Conflict","status":409,"detail":"no","code":"other_network"}'),
                (), ()),
    ]  # fmt: skip
