"""Headers, bodies and the Merkle root that ties them, with the rules that need no state.

Header, 88 bytes, little-endian: version 4, parent 32, root 32, time 8 (ms), target 4 (compact), nonce 8. The
two hashes are their bytes as written. Its double SHA-256, in hexadecimal as it comes, is the block's id.

Root: a Merkle tree over CIDs (36 bytes each). Leaf 0 is the commitment's, the others those of the signed
transactions in order. leaf = SHA-256(0x00, CID), node = SHA-256(0x01, left, right); an odd node is promoted,
never paired with itself (RFC 6962, 2.1, has the same prefixes), so no two bodies have one root.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from chain import schema, work
from chain.encoding import (
    DAG_CBOR_CID,
    INT_MAX,
    cid_of,
    cid_to_bytes,
    list_head,
    read_raw,
    shown,
    split_list,
    write_raw,
)
from chain.errors import (
    BadHeight,
    BadParent,
    BadRoot,
    BadTarget,
    BadTime,
    BadTransaction,
    BadVersion,
    BadWork,
    BlockTooLarge,
    ChainError,
    InvalidEncoding,
)
from chain.params import Genesis, Params
from chain.schema import Address, Hash, Range
from chain.transactions import BEFORE_BODY, Signed, check_envelope, find_signers

VERSION = 1
HEADER_BYTES = 88
NO_HASH = Hash("00" * 32)
"""Parent of the genesis block."""
NO_ADDRESS = Address("0x" + "00" * 20)
"""Miner of the genesis block."""
BEFORE_HEADER = b"\xa3\x66header\x78\xb0"
"""What an encoded block begins with."""
_BEFORE_LIST = b"\x6ctransactions"
_LAYOUT = struct.Struct("<I32s32sQIQ")


@dataclass(frozen=True)
class Header:
    """What is mined."""

    version: int
    parent: Hash
    root: Hash
    time: int
    """Milliseconds since 1970 UTC; above the parent's."""
    target: int
    """Compact target that the id has to meet."""
    nonce: int

    def pack(self) -> bytes:
        """The 88 bytes. Raises InvalidEncoding for a field out of its range."""
        try:
            return _LAYOUT.pack(
                self.version,
                bytes.fromhex(self.parent),
                bytes.fromhex(self.root),
                self.time,
                self.target,
                self.nonce,
            )
        except (struct.error, ValueError) as error:
            raise InvalidEncoding("header fields that fit their widths", str(error), "header") from error

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """From 88 bytes. Raises InvalidEncoding."""
        if len(data) != HEADER_BYTES:
            raise InvalidEncoding(f"a header of {HEADER_BYTES} bytes", str(len(data)), "header")
        version, parent, root, time, target, nonce = _LAYOUT.unpack(data)
        if time > INT_MAX:
            raise InvalidEncoding("a time below 2^63", str(time), "header.time")
        return cls(version, Hash(parent.hex()), Hash(root.hex()), time, target, nonce)

    @cached_property
    def id(self) -> Hash:
        """The block's id: double SHA-256 of the 88 bytes, in hexadecimal, not reversed."""
        return Hash(hashlib.sha256(hashlib.sha256(self.pack()).digest()).hexdigest())


@dataclass(frozen=True)
class Commitment:
    """Leaf 0: what the block says about itself beside its transactions."""

    height: Annotated[int, Range(0)]
    """Blocks between genesis (0) and it."""
    miner: Address
    state: Hash
    """Digest of the state after the block."""

    @property
    def cid(self) -> str:
        return cid_of(schema.to_bytes(self))


@dataclass(frozen=True)
class Block:
    """A header with its body."""

    header: Header
    commitment: Commitment
    transactions: tuple[Signed, ...]

    @property
    def id(self) -> Hash:
        return self.header.id

    @property
    def height(self) -> int:
        return self.commitment.height

    @cached_property
    def root(self) -> Hash:
        """The Merkle root of the body, which the header has to name."""
        return merkle_root(self.commitment, self.transactions)

    @cached_property
    def data(self) -> bytes:
        """DAG-CBOR of {header: hexadecimal text, commitment, transactions: list of signed nodes}."""
        # "transactions" is the longest key and so the last: its empty list ends the node; ours replaces it
        head = self._node([])[:-1] + list_head(len(self.transactions))
        return head + b"".join(signed.data for signed in self.transactions)

    def encode(self) -> bytes:
        """The block with its transactions inside, as it is stored and sent."""
        return self.data

    @classmethod
    def decode(cls, data: bytes, limit: int) -> Block:
        """From `encode`'s bytes, at most `limit`. Raises InvalidEncoding, InvalidSignature."""
        quick = _read_quickly(data, limit)
        if quick is not None:
            return quick
        raw = read_raw(data, limit)
        if type(raw) is not dict or raw.keys() != {"header", "commitment", "transactions"}:
            raise InvalidEncoding("a block: a map of header, commitment and transactions", shown(raw))
        header = _read_header(raw["header"])
        try:
            commitment = schema.read(Commitment, raw["commitment"])
        except InvalidEncoding as error:
            error.inside("commitment")
            raise
        items = raw["transactions"]
        if type(items) is not list:
            raise InvalidEncoding("a list", shown(items), "transactions")
        block = cls(header, commitment, tuple(_read_signed(item, index) for index, item in enumerate(items)))
        block.__dict__["data"] = bytes(data)
        return block

    def ipld_node(self) -> bytes:
        """The block as IPLD: as `encode`, but with links to the signed transactions instead of them.

        Put as blocks (`ipfs block put --cid-codec dag-cbor`), it and every `Signed.data` are read with
        `ipfs dag get`.
        """
        return self._node([cid_to_bytes(signed.cid) for signed in self.transactions])

    @property
    def cid(self) -> str:
        """The CID of the IPLD node (the block's id is its header's hash)."""
        return cid_of(self.ipld_node())

    def _node(self, links: list[bytes]) -> bytes:
        header, commitment = self.header.pack().hex(), schema.write(self.commitment)
        return write_raw({"header": header, "commitment": commitment, "transactions": links})


def merkle_root(commitment: Commitment, transactions: Sequence[Signed]) -> Hash:
    """The root over the commitment and the signed transactions, in order."""
    sha256 = hashlib.sha256
    cids = [DAG_CBOR_CID + sha256(data).digest() for data in (schema.to_bytes(commitment), *map(_data, transactions))]
    return merkle_root_of(cids)


def _data(signed: Signed) -> bytes:
    return signed.data


def merkle_root_of(cids: Sequence[bytes]) -> Hash:
    """The root over CIDs, at least one, each as its 36 bytes."""
    level = [hashlib.sha256(b"\x00" + cid).digest() for cid in cids]
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = paired + level[2 * len(paired) :]
    return Hash(level[0].hex())


def genesis_block(genesis: Genesis, params: Params, state: Hash) -> Block:
    """The first block, at height 0, which needs no work. `state`: the digest of the genesis state."""
    commitment = Commitment(0, NO_ADDRESS, state)
    root = merkle_root(commitment, ())
    return Block(Header(VERSION, NO_HASH, root, genesis.time, params.initial_target, 0), commitment, ())


def check_header(header: Header, parent: Header, target: int) -> None:
    """The header's rules. `target`: the compact target that its ancestors lead to.

    Raises BadVersion, BadParent, BadTime, BadTarget, BadWork.
    """
    if header.version != VERSION:
        raise BadVersion(str(VERSION), str(header.version), "header.version")
    if header.parent != parent.id:
        raise BadParent(parent.id, header.parent, "header.parent")
    if header.time <= parent.time:
        raise BadTime(f"a time after the parent's {parent.time}", str(header.time), "header.time")
    if header.target != target:
        raise BadTarget(f"0x{target:08x}", f"0x{header.target:08x}", "header.target")
    if not work.meets(header):
        raise BadWork(f"an id of at most {work.target_of(target):064x}", header.id, "header.nonce")


def is_early(header: Header, params: Params, now: int) -> bool:
    """Whether the block's time lies too far ahead of a node's clock: it is held back, it is not invalid."""
    return header.time > now + params.max_future_ms


def check_body(block: Block, params: Params, genesis: Hash, height: int) -> None:
    """The body's rules that need no state, of a block that should be at `height`.

    The root comes first: a body that is not the header's own says nothing about the header. Raises
    BlockTooLarge, BadRoot, BadHeight, BadTransaction (with the transaction's index and its own error as
    `cause`).
    """
    if len(block.transactions) > params.max_block_transactions:
        raise BlockTooLarge(
            f"at most {params.max_block_transactions} transactions",
            str(len(block.transactions)),
            "transactions",
        )
    if len(block.data) > params.max_block_bytes:
        raise BlockTooLarge(f"at most {params.max_block_bytes} bytes", str(len(block.data)))
    if block.root != block.header.root:
        raise BadRoot(f"a body whose root is {block.header.root}", block.root, "header.root")
    if block.commitment.height != height:
        raise BadHeight(str(height), str(block.commitment.height), "commitment.height")
    find_signers(block.transactions)
    for index, signed in enumerate(block.transactions):
        try:
            check_envelope(signed, params, genesis, block.header.time)
        except ChainError as error:
            raise BadTransaction("a valid transaction", "", f"transactions[{index}]", index, error) from error


def _read_header(value: Any) -> Header:
    if type(value) is not str or len(value) != 2 * HEADER_BYTES:
        raise InvalidEncoding(
            f"a header of {2 * HEADER_BYTES} lowercase hexadecimal digits", shown(value), "header"
        )
    try:
        data = bytes.fromhex(value)
    except ValueError:
        data = b""
    if data.hex() != value:  # also capitals and spaces
        raise InvalidEncoding(
            f"a header of {2 * HEADER_BYTES} lowercase hexadecimal digits", shown(value), "header"
        )
    return Header.unpack(data)


def _read_quickly(data: bytes, limit: int) -> Block | None:
    """A block whose bytes fall apart into its transactions where these seem to begin; None for any other.

    The parts are read one by one, each of them strictly. A list of canonical items after the canonical bytes of what
    comes before it is canonical as a whole, so nothing is read twice. What is amiss with other bytes, or that
    something in them looks like the beginning of a transaction and nothing is, the slow way finds out.
    """
    start = data.find(_BEFORE_LIST) + len(_BEFORE_LIST)
    if len(data) > limit or start < len(_BEFORE_LIST):
        return None
    try:
        raw = read_raw(data[:start] + list_head(0), limit)
        if type(raw) is not dict or raw.keys() != {"header", "commitment", "transactions"} or raw["transactions"] != []:
            return None
        items = split_list(data, start, BEFORE_BODY)
        if items is None:
            return None
        header, commitment = _read_header(raw["header"]), schema.read(Commitment, raw["commitment"])
        block = Block(header, commitment, tuple([Signed.decode(item, limit) for item in items]))
    except ChainError:
        return None
    block.__dict__["data"] = bytes(data)
    return block


def _read_signed(item: Any, index: int) -> Signed:
    try:
        signed = Signed.from_object(item)
    except ChainError as error:
        error.inside(f"transactions[{index}]")
        raise
    signed.__dict__["body_data"] = write_raw(item["body"])
    return signed

