"""Reading files block by block, each checked against its CID before a byte of it is passed on.

Whoever stored a file may lie in it: every size that a node declares is compared with what is found below
it, and limits bound depth, block and file. Only the content's hash is trusted, never the store.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from ipfs.builder import CHUNK
from ipfs.cid import DAG_CBOR, RAW, Cid
from ipfs.errors import ContentCorrupt, ContentError, ContentLooping, ContentTooLarge
from ipfs.unixfs import Kind, decode_node, decode_unixfs
from ipfs.wire import MalformedBlock


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes, but for `depth` (levels of nodes in a file) and `blocks` (distinct blocks walked under one
    root)."""

    block: int = 2 << 20  # the most that IPFS nodes exchange: https://specs.ipfs.tech/bitswap-protocol/
    file: int = 256 << 30
    whole_read: int = 1 << 30
    depth: int = 64  # 174 links give files above 2**64 bytes at depth 7; other builders' trees are deeper
    blocks: int = 1 << 20  # 256 GiB in chunks of 256 KiB


def _one_by_one(get: Callable[[Cid], bytes]) -> Callable[[Sequence[Cid]], Iterator[bytes]]:
    return lambda cids: (get(cid) for cid in cids)


@dataclass(frozen=True)
class Source:
    """Where blocks come from, not yet checked: `get` one block; `get_all` several in order, lazily,
    perhaps reading ahead. Both raise ContentMissing and StoreUnavailable. `name` says who is asked."""

    name: str
    get: Callable[[Cid], bytes]
    get_all: Callable[[Sequence[Cid]], Iterator[bytes]] | None = None
    limits: Limits = field(default_factory=Limits)

    def block(self, cid: Cid) -> bytes:
        """One block, checked. Raises ContentCorrupt and ContentTooLarge beside what `get` raises."""
        return self.checked(cid, self.get(cid))

    def blocks(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """Blocks in order, each checked."""
        for cid, data in zip(cids, (self.get_all or _one_by_one(self.get))(cids), strict=True):
            yield self.checked(cid, data)

    def checked(self, cid: Cid, data: bytes) -> bytes:
        """`data`, if it is the block that `cid` names and no larger than a block may be."""
        if len(data) > self.limits.block:
            raise ContentTooLarge(
                str(cid), self.name, f"the block has {len(data)} bytes, more than {self.limits.block}"
            )
        if not cid.matches(data):
            what = f"the {len(data)} bytes delivered do not hash to the CID"
            raise ContentCorrupt(str(cid), self.name, what)
        return data


@dataclass(frozen=True, slots=True)
class FileNode:
    """A node of a file: the bytes it holds itself, then its children with the bytes of the file below
    each."""

    size: int
    inline: bytes
    children: tuple[tuple[Cid, int], ...]


def decode_file_node(cid: Cid, block: bytes, asked: str) -> FileNode:
    """A checked block as part of a file. Raises ContentCorrupt where its sizes contradict each other or
    its bytes follow no format, and ContentError where it is no file at all."""
    if cid.codec == RAW:
        return FileNode(len(block), block, ())
    if cid.codec == DAG_CBOR:
        raise ContentError(str(cid), asked, "this is a dag-cbor block, not a file", "Give a file's CID.")
    try:
        node = decode_node(block)
        if node.data is None:
            raise MalformedBlock("the node holds no UnixFS data")
        data = decode_unixfs(node.data)
        if data.kind not in (Kind.FILE, Kind.RAW):
            what = f"this is a {data.kind.name.lower()}, not a file"
            raise ContentError(str(cid), asked, what, "Give a file's CID.")
        if len(data.blocksizes) != len(node.links):
            raise MalformedBlock(f"{len(node.links)} links have {len(data.blocksizes)} sizes")
        size = len(data.inline) + sum(data.blocksizes)
        if data.filesize != size and (node.links or data.filesize is not None):
            raise MalformedBlock(f"it says {data.filesize} bytes of file, its parts say {size}")
        if 0 in data.blocksizes:  # would allow a tree without end that holds nothing
            raise MalformedBlock("a link says that no bytes are below it")
    except MalformedBlock as error:
        what = f"the block is not a well-formed part of a file: {error}"
        raise ContentCorrupt(str(cid), asked, what) from error
    links = (link.cid for link in node.links)
    return FileNode(size, data.inline, tuple(zip(links, data.blocksizes, strict=True)))


class FileReader(io.RawIOBase):
    """The bytes of one file, seekable. Holds a few blocks at a time, and opens with the root's block."""

    def __init__(self, source: Source, root: Cid) -> None:
        super().__init__()
        self._source = source
        self._root = root
        self._node = decode_file_node(root, source.block(root), source.name)
        if self._node.size > source.limits.file:
            what = f"the file says {self._node.size} bytes, more than {source.limits.file}"
            raise ContentTooLarge(str(root), source.name, what)
        self._at = 0
        self._pieces: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    @property
    def size(self) -> int:
        """The whole file's bytes."""
        return self._node.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"expected a position from 0, found {base + offset}")
        if base + offset != self._at:
            self._at, self._rest = base + offset, memoryview(b"")
            self._stop()
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer, in truth
        if self._at >= self.size:
            return 0
        if self._pieces is None:
            self._pieces = self._walk(self._root, self._node, self._at, (self._root,))
        while not self._rest:
            # The sizes declared were found true on the way here, so there is a piece while `_at` is inside.
            self._rest = memoryview(next(self._pieces))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._stop()
        super().close()

    def _stop(self) -> None:
        if self._pieces is not None:
            self._pieces.close()  # type: ignore[attr-defined]  # a generator: lets reading ahead stop
            self._pieces = None

    def _walk(self, cid: Cid, node: FileNode, skip: int, path: tuple[Cid, ...]) -> Iterator[bytes]:
        """The bytes of the file below `node`, without the first `skip`; `path` from the root to `cid`."""
        if skip < len(node.inline):
            yield node.inline[skip:]
        position = len(node.inline)
        wanted: list[tuple[Cid, int, int]] = []  # child, its bytes of the file, bytes to skip in it
        for child, size in node.children:
            if position + size > skip:
                wanted.append((child, size, max(0, skip - position)))
            position += size
        if wanted and len(path) >= self._source.limits.depth:
            raise self._looping(cid, f"its nodes are more than {self._source.limits.depth} levels deep")
        for child, _, _ in wanted:
            if child in path:
                raise self._looping(child, "the block is reached from itself")
        # Read ahead on the last level only, which keeps memory bounded whatever the tree.
        leaves = all(child.codec == RAW for child, _, _ in wanted)
        cids = [child for child, _, _ in wanted]
        blocks = self._source.blocks(cids) if leaves else map(self._source.block, cids)
        for (child, size, child_skip), block in zip(wanted, blocks, strict=True):
            below = decode_file_node(child, block, self._source.name)
            if below.size != size:
                what = f"a block of file {self._root} says {size} bytes are below {child}, found {below.size}"
                raise ContentCorrupt(str(cid), self._source.name, what)
            yield from self._walk(child, below, child_skip, (*path, child))

    def _looping(self, cid: Cid, what: str) -> ContentLooping:
        return ContentLooping(str(cid), self._source.name, f"file {self._root} cannot be read: {what}")


def open_file(source: Source, root: Cid) -> BinaryIO:
    """A buffered stream of the file under `root`."""
    return io.BufferedReader(FileReader(source, root), CHUNK)


def read_range(source: Source, root: Cid, offset: int, length: int | None) -> bytes:
    """Bytes of the file from `offset`: `length` of them or up to its end. Raises ContentTooLarge for more
    than `Limits.whole_read`."""
    if offset < 0 or (length is not None and length < 0):
        raise ValueError(f"expected an offset and a length from 0, found {offset} and {length}")
    with FileReader(source, root) as reader:
        left = max(0, reader.size - offset)
        count = left if length is None else min(length, left)
        if count > source.limits.whole_read:
            what = f"{count} bytes are too many to read at once, the most is {source.limits.whole_read}"
            raise ContentTooLarge(str(root), source.name, what)
        reader.seek(offset)
        out = bytearray()
        while len(out) < count:
            piece = reader.read(count - len(out))
            assert piece  # noqa: S101 - inside the file there is always more
            out += piece
        return bytes(out)
