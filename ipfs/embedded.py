"""A content store in a folder, for one machine: blocks are files, shared by any number of processes.

    blocks/ab/<hex>   a block under its SHA2-256 digest
    wraps/ab/<hex>    for a leaf of plain `ipfs add` (digest in the name): the digest of the same chunk
                      without its wrapper
    pins/<cid>        an empty file for each pin
    tmp/              files being written

A leaf of plain `ipfs add` is made from its chunk on reading and checked against its own CID like any other
block, so content is kept once and readable, and verified, under its CIDv1 and its CIDv0.

Files appear whole, by renaming; two processes that write the same block write the same bytes. Blocks reach
the disk before the pin that promises them. Nothing here deletes blocks: unpinning gives up the promise,
not the bytes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ipfs import dag
from ipfs.builder import CANONICAL, PLAIN_ADD, build
from ipfs.cid import DAG_PB, Cid, parse_cid
from ipfs.content import as_stream, block_cid
from ipfs.errors import ContentError, ContentMissing, StoreUnavailable
from ipfs.reader import Limits, Source, open_file, read_range
from ipfs.store import Stat
from ipfs.unixfs import encode_wrapped_leaf

_ABANDONED_AFTER = 86_400.0  # seconds: no block takes a day to write
_SYNC_EVERY = 512  # files between two rounds of fsync while a large file is added


class EmbeddedStore:
    """The store in `folder`, which is created. See `ipfs.store.ContentStore` for what each method
    promises."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder.absolute()
        self.limits = limits or Limits()
        self.name = f"embedded store {self.folder}"
        self._source = Source(self.name, self._fetch, limits=self.limits)
        with self._disk("", "create the store"):
            for part in ("blocks", "wraps", "pins", "tmp"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._clear_abandoned()

    def _clear_abandoned(self) -> None:
        """Remove what processes killed in the middle of a write left behind."""
        for path in (self.folder / "tmp").iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _ABANDONED_AFTER:
                    path.unlink()

    # Adding

    def add(self, content: bytes | Path | BinaryIO) -> str:
        """Its CID; it can be read under the CIDv0 that plain `ipfs add` gives as well."""
        written = _Unsynced()

        def leaf(cids: list[Cid], chunk: bytes) -> None:
            bare, wrapped = cids
            with self._disk(str(bare), "store the content"):
                self._write("blocks", bare.digest, chunk, written)
                self._write("wraps", wrapped.digest, bare.digest, written)

        def node(cid: Cid, block: bytes) -> None:
            with self._disk(str(cid), "store the content"):
                self._write("blocks", cid.digest, block, written)

        with as_stream(content) as stream:
            canonical, _plain = build(stream, [CANONICAL, PLAIN_ADD], leaf, node)
        with self._disk(str(canonical.cid), "store the content"):
            written.sync()
            self._pin(canonical.cid)
        return str(canonical.cid)

    def put_block(self, cid_codec: str, data: bytes) -> str:
        cid = block_cid(cid_codec, data, self.limits, self.name)
        written = _Unsynced()
        with self._disk(str(cid), "store the block"):
            self._write("blocks", cid.digest, data, written)
            written.sync()
        return str(cid)

    # Reading

    def open(self, cid: str) -> BinaryIO:
        return open_file(self._source, parse_cid(cid))

    def read(self, cid: str, offset: int = 0, length: int | None = None) -> bytes:
        return read_range(self._source, parse_cid(cid), offset, length)

    def get_block(self, cid: str) -> bytes:
        return self._source.block(parse_cid(cid))

    def has(self, cid: str) -> bool:
        """Whether all blocks are here: what links to others is read and checked, raw leaves are looked
        up."""
        try:
            return all(
                block is not None or self._path("blocks", found.digest).exists()
                for found, block in dag.walk(self._source, parse_cid(cid), leaves=False)
            )
        except ContentMissing:
            return False

    def stat(self, cid: str) -> Stat:
        return dag.stat(self._source, parse_cid(cid))

    # Pins

    def pin(self, cid: str) -> None:
        """Every block is read and checked before the pin counts. Raises ContentMissing naming one that is
        not."""
        root = parse_cid(cid)
        for _ in dag.walk(self._source, root, leaves=True):
            pass
        with self._disk(cid, "pin it"):
            self._pin(root)

    def unpin(self, cid: str) -> None:
        root = parse_cid(cid)
        with self._disk(cid, "unpin it"):
            (self.folder / "pins" / str(root)).unlink(missing_ok=True)
            _sync(self.folder / "pins")

    def pins(self) -> Iterator[str]:
        with self._disk("", "list the pins"):
            names = os.listdir(self.folder / "pins")
        return iter(names)

    def close(self) -> None:
        """Nothing is held open."""

    # Files

    def _path(self, part: str, digest: bytes) -> Path:
        text = digest.hex()
        return self.folder / part / text[:2] / text

    def _fetch(self, cid: Cid) -> bytes:
        with self._disk(str(cid), "read the block"):
            data = self._load(self._path("blocks", cid.digest))
            if data is None and cid.codec == DAG_PB:
                bare = self._load(self._path("wraps", cid.digest))
                chunk = None if bare is None else self._load(self._path("blocks", bare))
                data = None if chunk is None else encode_wrapped_leaf(chunk)
        if data is None:
            raise ContentMissing(str(cid), self.name, "the block is not here")
        return data

    def _load(self, path: Path) -> bytes | None:
        """A file's bytes, one more than a block may have at most: enough to see that it is too large."""
        try:
            with path.open("rb") as file:
                return file.read(self.limits.block + 1)
        except FileNotFoundError:
            return None

    def _write(self, part: str, digest: bytes, data: bytes, written: _Unsynced) -> None:
        """Put a file in place unless it is there already with these very bytes: a damaged block is
        mended."""
        path = self._path(part, digest)
        if self._load(path) != data:
            path.parent.mkdir(exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.folder / "tmp")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                os.replace(name, path)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(name)
                raise
        # Also when found in place: another process may have put it there a moment ago, not yet on the disk.
        written.note(path)

    def _pin(self, root: Cid) -> None:
        (self.folder / "pins" / str(root)).touch()
        _sync(self.folder / "pins")

    @contextmanager
    def _disk(self, cid: str, doing: str) -> Iterator[None]:
        try:
            yield
        except ContentError:
            raise
        except OSError as error:
            advice = "Check that the folder exists, may be written and that its disk is not full."
            raise StoreUnavailable(cid, self.name, f"cannot {doing}: {error}", advice) from error


class _Unsynced:
    """Files written whose bytes may not have reached the disk."""

    def __init__(self) -> None:
        self._paths: list[Path] = []

    def note(self, path: Path) -> None:
        self._paths.append(path)
        if len(self._paths) >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        for path in self._paths:
            _sync(path)
        for folder in {path.parent for path in self._paths}:
            _sync(folder)
        for folder in {path.parent.parent for path in self._paths}:
            _sync(folder)
        self._paths.clear()


def _sync(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
