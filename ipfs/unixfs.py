"""Blocks of files and directories: dag-pb nodes with UnixFS data, encoded as Kubo encodes them.

Sources: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/. A node is PBNode
{Links = 2, Data = 1} with the links first; a link is PBLink {Hash = 1, Name = 2, Tsize = 3}, the name
present though empty; Data holds UnixFS {Type = 1, Data = 2, filesize = 3, blocksizes = 4, hashType = 5,
fanout = 6, mode = 7, mtime = 8}.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from ipfs.cid import Cid, decode_cid
from ipfs.wire import (
    BYTES,
    VARINT,
    MalformedBlock,
    decode_varint,
    encode_bytes_field,
    encode_varint_field,
    fields,
)


class Kind(IntEnum):
    """UnixFS DataType."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    SHARD = 5


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a node. `tsize` is the child's block plus all below it in bytes, as its writer says:
    nothing here relies on it."""

    cid: Cid
    tsize: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A dag-pb node: its links, and its Data field (None where absent)."""

    links: tuple[Link, ...]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class UnixFs:
    """A node's UnixFS data: `inline` bytes of the file held in the node itself, `filesize` bytes of it and
    all below, and one of `blocksizes` for each link. `filesize` is None where the node has none
    (directories)."""

    kind: Kind
    inline: bytes = b""
    filesize: int | None = None
    blocksizes: tuple[int, ...] = ()


def encode_node(node: Node) -> bytes:
    """Links in the order given (directories sort theirs, see `encode_directory`), then the data."""
    parts = []
    for link in node.links:
        body = encode_bytes_field(1, bytes(link.cid)) + encode_bytes_field(2, link.name.encode())
        parts.append(encode_bytes_field(2, body + encode_varint_field(3, link.tsize)))
    if node.data is not None:
        parts.append(encode_bytes_field(1, node.data))
    return b"".join(parts)


def encode_unixfs(data: UnixFs) -> bytes:
    parts = [encode_varint_field(1, data.kind)]
    if data.inline:
        parts.append(encode_bytes_field(2, data.inline))
    if data.filesize is not None:
        parts.append(encode_varint_field(3, data.filesize))
    parts += [encode_varint_field(4, size) for size in data.blocksizes]
    return b"".join(parts)


def encode_wrapped_leaf(chunk: bytes) -> bytes:
    """The block of one chunk of a file without raw leaves (plain `ipfs add`)."""
    return encode_node(Node((), encode_unixfs(UnixFs(Kind.FILE, chunk, len(chunk)))))


def encode_file_node(children: Iterable[tuple[Link, int]]) -> bytes:
    """An inner node of a file from (link, bytes of the file below it)."""
    children = tuple(children)
    sizes = tuple(size for _, size in children)
    data = encode_unixfs(UnixFs(Kind.FILE, b"", sum(sizes), sizes))
    return encode_node(Node(tuple(link for link, _ in children), data))


def encode_directory(entries: Iterable[Link]) -> bytes:
    """A plain (not sharded) directory: links sorted by the bytes of their names, which are distinct."""
    links = sorted(entries, key=lambda link: link.name.encode())
    for link, following in pairwise(links):
        if link.name == following.name:
            raise ValueError(f"expected distinct names in a directory, {link.name!r} is there twice")
    return encode_node(Node(tuple(links), encode_unixfs(UnixFs(Kind.DIRECTORY))))


def _expect(field: int, kind: int, expected: int) -> None:
    if kind != expected:
        raise MalformedBlock(f"field {field} has wire type {kind} instead of {expected}")


def _decode_link(data: bytes) -> Link:
    cid: Cid | None = None
    name, tsize, last = "", 0, 0
    for field, kind, value in fields(data):
        if field not in (1, 2, 3):
            raise MalformedBlock(f"a link has the unknown field {field}")
        if field <= last:
            raise MalformedBlock("a link's fields are repeated or out of order")
        last = field
        _expect(field, kind, VARINT if field == 3 else BYTES)
        try:
            if isinstance(value, int):
                tsize = value
            elif field == 1:
                cid = decode_cid(value)
            else:
                name = value.decode()
        except ValueError as error:
            raise MalformedBlock(f"a link cannot be read: {error}") from error
    if cid is None:
        raise MalformedBlock("a link has no CID")
    return Link(cid, tsize, name)


def decode_node(block: bytes) -> Node:
    """A dag-pb node, read as strictly as the specification asks. Raises MalformedBlock."""
    links: list[Link] = []
    data: bytes | None = None
    closed = False  # links came, then data: no more links (old writers put the data first, which is allowed)
    for field, kind, value in fields(block):
        _expect(field, kind, BYTES)
        assert isinstance(value, bytes)  # noqa: S101 - what wire type BYTES gives
        if field == 2:
            if closed:
                raise MalformedBlock("links stand on both sides of the data")
            links.append(_decode_link(value))
        elif field == 1:
            if data is not None:
                raise MalformedBlock("the data is repeated")
            data, closed = value, bool(links)
        else:
            raise MalformedBlock(f"a node has the unknown field {field}")
    return Node(tuple(links), data)


def decode_unixfs(data: bytes) -> UnixFs:
    """A node's UnixFS data; a repeated single field counts as its last, unknown fields are passed over,
    and block sizes may be packed, as protobuf has it. Raises MalformedBlock."""
    kind: Kind | None = None
    inline, filesize = b"", None
    sizes: list[int] = []
    for field, wire, value in fields(data):
        if field == 1:
            _expect(field, wire, VARINT)
            try:
                kind = Kind(int(value))
            except ValueError as error:
                raise MalformedBlock(f"UnixFS type {value!r} is not known") from error
        elif field == 2:
            _expect(field, wire, BYTES)
            assert isinstance(value, bytes)  # noqa: S101
            inline = value
        elif field == 3:
            _expect(field, wire, VARINT)
            filesize = int(value)
        elif field == 4 and isinstance(value, bytes):
            _expect(field, wire, BYTES)
            at = 0
            while at < len(value):
                size, at = decode_varint(value, at)
                sizes.append(size)
        elif field == 4:
            sizes.append(value)  # type: ignore[arg-type]  # an int, as it is not bytes
    if kind is None:
        raise MalformedBlock("UnixFS data without a type")
    return UnixFs(kind, inline, filesize, tuple(sizes))
