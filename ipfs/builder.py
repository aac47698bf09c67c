"""Files to blocks as `ipfs add` does it: chunks of 262,144 bytes under balanced nodes of 174 links.

Both of Kubo's classic layouts come from one pass over the content: CIDv1 with raw leaves (`ipfs add
--cid-version=1`, Assay's own) and CIDv0 with wrapped leaves (plain `ipfs add`). Memory: one chunk, and at
most 174 links per level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ipfs.cid import DAG_PB, RAW, Cid, cid_of
from ipfs.unixfs import Link, encode_file_node, encode_wrapped_leaf

CHUNK = 262_144  # Kubo's chunker "size-262144"
LINKS = 174  # Kubo's default of "max-file-links" for these layouts

Sink = Callable[[Cid, bytes], None]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file becomes blocks: the CID version of its nodes, and whether leaves are bare chunks."""

    version: int
    raw_leaves: bool

    def leaf(self, chunk: bytes) -> tuple[Cid, bytes]:
        """A chunk's block and CID; a raw leaf always has a CIDv1."""
        if self.raw_leaves:
            return cid_of(RAW, chunk), chunk
        block = encode_wrapped_leaf(chunk)
        return cid_of(DAG_PB, block, self.version), block


CANONICAL = Layout(version=1, raw_leaves=True)
PLAIN_ADD = Layout(version=0, raw_leaves=False)


class Tree:
    """The inner nodes of one file in one layout, built while its leaves come; each node goes to `sink`
    once."""

    def __init__(self, version: int, sink: Sink) -> None:
        self._version = version
        self._sink = sink
        self._levels: list[list[tuple[Link, int]]] = [[]]  # (link, bytes of the file below), leaves first

    def leaf(self, cid: Cid, block_size: int, size: int) -> None:
        """The next leaf: its block's length, and the bytes of the file in it."""
        self._append(0, (Link(cid, block_size), size))

    def _append(self, level: int, child: tuple[Link, int]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        if len(self._levels[level]) == LINKS:
            self._seal(level)
        self._levels[level].append(child)

    def _seal(self, level: int) -> None:
        children, self._levels[level] = self._levels[level], []
        block = encode_file_node(children)
        cid = cid_of(DAG_PB, block, self._version)
        self._sink(cid, block)
        tsize = len(block) + sum(link.tsize for link, _ in children)
        self._append(level + 1, (Link(cid, tsize), sum(size for _, size in children)))

    def finish(self) -> Link:
        """The root. A level's last node is kept even with a single child, as Kubo keeps it."""
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._seal(level)
            level += 1
        return self._levels[level][0][0]


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """A stream's chunks, of equal size but for the last, however short its reads come; one empty chunk if
    empty."""
    first = True
    while True:
        parts: list[bytes] = []
        wanted = CHUNK
        while wanted and (part := stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
        chunk = b"".join(parts)
        if chunk or first:
            yield chunk
        if wanted:
            return
        first = False


def build(
    stream: BinaryIO,
    layouts: Sequence[Layout],
    leaf_sink: Callable[[list[Cid], bytes], None],
    node_sink: Sink,
) -> list[Link]:
    """The roots of a stream in each of `layouts`, in one pass. For each chunk `leaf_sink` is given the
    leaves' CIDs (one per layout) and the chunk; `node_sink` each inner node. A root's `tsize` is the size
    of its whole DAG."""
    trees = [Tree(layout.version, node_sink) for layout in layouts]
    for chunk in chunks(stream):
        leaves = [layout.leaf(chunk) for layout in layouts]
        for tree, (cid, block) in zip(trees, leaves, strict=True):
            tree.leaf(cid, len(block), len(chunk))
        leaf_sink([cid for cid, _ in leaves], chunk)
    return [tree.finish() for tree in trees]


class Hasher:
    """The CID of a file whose bytes are pushed in as they pass, in any portions. Nothing is stored."""

    def __init__(self, layout: Layout = CANONICAL) -> None:
        self._layout = layout
        self._tree = Tree(layout.version, lambda _cid, _block: None)
        self._rest = bytearray()
        self._any = False

    def update(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= CHUNK:
            self._leaf(bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    def finish(self) -> Cid:
        """The CID; call it once, at the end."""
        if self._rest or not self._any:
            self._leaf(bytes(self._rest))
        return self._tree.finish().cid

    def _leaf(self, chunk: bytes) -> None:
        self._any = True
        cid, block = self._layout.leaf(chunk)
        self._tree.leaf(cid, len(block), len(chunk))


def only_hash(stream: BinaryIO, layout: Layout = CANONICAL) -> Cid:
    """The CID that adding the stream would give, storing nothing (`ipfs add --only-hash`)."""
    hasher = Hasher(layout)
    for chunk in chunks(stream):
        hasher.update(chunk)
    return hasher.finish()
