"""Content from IPFS: CIDs, dag-pb and UnixFS, links of dag-cbor blocks, and whole files of a store that lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chain.encoding import Link as ChainLink
from chain.encoding import encode
from ipfs.cid import DAG_CBOR, DAG_PB, Cid, cid_of, decode_cid, parse_cid
from ipfs.dag import links_of, stat
from ipfs.errors import ContentError, ContentMissing, InvalidCid
from ipfs.reader import Limits, Source, decode_file_node, read_range
from ipfs.unixfs import (
    Kind,
    Link,
    Node,
    UnixFs,
    decode_node,
    decode_unixfs,
    encode_directory,
    encode_file_node,
    encode_node,
    encode_unixfs,
)
from ipfs.wire import MalformedBlock, decode_varint, encode_varint, fields
from tests.fuzz.decoders import Decoder, as_text
from tests.fuzz.decoders_chain import RAW_CID, SIGNED, cbor
from tests.fuzz.mutate import Example

LEAF = b"the bytes of a leaf, " * 8
LEAVES = {bytes(cid_of(0x55, LEAF)): LEAF, bytes(cid_of(0x55, b"")): b""}


def _source(root: Cid, block: bytes) -> Source:
    """A store that has this root, honest by its hash, and two leaves."""

    def get(cid: Cid) -> bytes:
        if cid.digest == root.digest:
            return block
        found = LEAVES.get(bytes(cid))
        if found is None:
            raise ContentMissing(str(cid), "fuzz", "it is not here")
        return found

    return Source("fuzz", get, limits=Limits(file=1 << 30, whole_read=1 << 20, depth=8, blocks=1000))


def _rooted(codec: int, read: Callable[[Source, Cid], Any]) -> Callable[[bytes], Any]:
    """`read` of the block with these bytes, by its own CID."""

    def decode(data: bytes) -> Any:
        root = cid_of(codec, data)
        return read(_source(root, data), root)

    return decode


def _text_again(value: Cid, data: bytes) -> bool:
    return parse_cid(str(value)) == value and (data[:1] == b"z" or str(value).encode() == data)


def _varint_again(value: tuple[int, int], data: bytes) -> bool:
    return value[1] <= len(data) and value[0] < 1 << 64 and decode_varint(encode_varint(value[0]), 0)[0] == value[0]


def protobuf(*values: bytes) -> tuple[Example, ...]:
    return tuple(Example(value, "protobuf") for value in values)


def decoders() -> list[Decoder]:
    cid = cid_of(0x55, LEAF)
    file = encode_file_node([(Link(cid, len(LEAF)), len(LEAF))] * 2)
    folder = encode_directory([Link(cid, len(LEAF), name) for name in ("a.csv", "b.csv", "größe")])
    inline = encode_node(Node((), encode_unixfs(UnixFs(Kind.FILE, LEAF, len(LEAF)))))
    data = encode_unixfs(UnixFs(Kind.FILE, LEAF, len(LEAF), (5, 6, 7)))
    linked = encode({"links": [ChainLink(str(cid)), ChainLink(RAW_CID)], "x": 1})
    zero = Cid(0, DAG_PB, cid.digest)
    texts = (str(cid), str(zero), "z" + _base58(bytes(cid)))
    return [
        Decoder("content/cid.parse_cid", lambda data: parse_cid(as_text(data)),
                tuple(Example(text.encode()) for text in texts), (InvalidCid,), ("ipfs.cid.parse_cid",), _text_again),
        Decoder("content/cid.decode_cid", decode_cid, (Example(bytes(cid)), Example(bytes(zero))), (ValueError,),
                ("ipfs.cid.decode_cid",), lambda value, data: bytes(value) == data),
        Decoder("content/wire.decode_varint", lambda data: decode_varint(data, 0),
                tuple(Example(encode_varint(n)) for n in (0, 127, 128, 2**32, 2**64 - 1)), (MalformedBlock,),
                ("ipfs.wire.decode_varint",), _varint_again),
        Decoder("content/wire.fields", lambda data: list(fields(data)), protobuf(file, data), (MalformedBlock,), ()),
        Decoder("content/unixfs.decode_node", decode_node, protobuf(file, folder, inline), (MalformedBlock,),
                ("ipfs.unixfs.decode_node",), lambda value, data: decode_node(encode_node(value)) == value),
        Decoder("content/unixfs.decode_unixfs", decode_unixfs, protobuf(data), (MalformedBlock,),
                ("ipfs.unixfs.decode_unixfs",),
                lambda value, data: decode_unixfs(encode_unixfs(value)) == value),
        Decoder("content/reader.decode_file_node", lambda data: decode_file_node(cid_of(DAG_PB, data), data, "fuzz"),
                protobuf(file, inline), (ContentError,), ("ipfs.reader.decode_file_node",)),
        Decoder("content/reader.read_range", _rooted(DAG_PB, lambda source, root: read_range(source, root, 3, 200)),
                protobuf(file, inline), (ContentError,),
                ("ipfs.reader.Source.checked", "ipfs.store.ContentStore.read")),
        Decoder("content/dag.links_of.dag-cbor", lambda data: links_of(cid_of(DAG_CBOR, data), data),
                cbor(linked, *(one.data for one in SIGNED[:3])), (ContentError,), ("ipfs.dag.links_of",)),
        Decoder("content/dag.links_of.dag-pb", lambda data: links_of(cid_of(DAG_PB, data), data),
                protobuf(file, folder), (ContentError,), ("ipfs.dag.links_of",)),
        Decoder("content/dag.stat", _rooted(DAG_PB, stat), protobuf(file, folder, inline), (ContentError,), ()),
    ]  # fmt: skip


def _base58(data: bytes) -> str:
    import base58

    text: str = base58.b58encode(data).decode()
    return text
