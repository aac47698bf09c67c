"""The protocol that both content stores fulfil."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Stat:
    """`size`: bytes of the file (of all its blocks, for what is no file); `blocks`: distinct blocks below
    and including `cid`."""

    cid: str
    size: int
    blocks: int


@runtime_checkable
class ContentStore(Protocol):
    """Where content is kept by CID. CIDs come in as CIDv1 or CIDv0 text and go out as CIDv1 base32 text,
    but for `pins`, which repeats what was pinned. Every method raises `ipfs.errors.ContentError` and its
    subclasses: `InvalidCid`, `ContentMissing`, `ContentCorrupt`, `ContentTooLarge`, `ContentLooping`,
    `StoreUnavailable`.
    """

    @property
    def name(self) -> str:
        """Who is asked, as errors name it: "embedded store /path" or "Kubo /ip4/127.0.0.1/tcp/5001"."""

    def add(self, content: bytes | Path | BinaryIO) -> str:
        """Store a file given as bytes, as a path or as a stream (read to its end, in bounded memory). It is
        pinned, and the pin confirmed, before its CIDv1 comes back."""

    def open(self, cid: str) -> BinaryIO:
        """A seekable stream of a file, for `with`. Each block is checked against its CID before a byte of
        it comes out; memory is bounded by a few blocks. Reading raises what `read` raises."""

    def read(self, cid: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes of a file from `offset`, fewer at its end; without `length`, to its end (at most
        `ipfs.reader.Limits.whole_read` bytes)."""

    def pin(self, cid: str) -> None:
        """Keep the whole DAG under `cid`, fetching what is elsewhere; confirmed when it returns."""

    def unpin(self, cid: str) -> None:
        """Let go of a pin; nothing happens where there is none."""

    def pins(self) -> Iterator[str]:
        """The CIDs pinned as roots, in no particular order."""

    def has(self, cid: str) -> bool:
        """Whether every block of the DAG under `cid` is here, without asking any network. Blocks that link to
        others are read, and raise ContentCorrupt where damaged; that leaves are whole is seen on reading or
        pinning them."""

    def stat(self, cid: str) -> Stat:
        """Size and number of blocks."""

    def put_block(self, cid_codec: str, data: bytes) -> str:
        """Store one block under codec "raw", "dag-pb" or "dag-cbor" (SHA2-256); its CIDv1. It is not
        pinned."""

    def get_block(self, cid: str) -> bytes:
        """One block's bytes, checked against its CID."""

    def close(self) -> None:
        """Let go of connections. A closed store must not be used; streams of it neither."""
