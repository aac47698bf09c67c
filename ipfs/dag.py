"""Walking a whole DAG: which blocks a block links to, in each codec that Assay stores."""

from __future__ import annotations

from collections.abc import Iterator

from ipfs.cid import DAG_CBOR, DAG_PB, RAW, Cid, decode_cid
from ipfs.errors import ContentCorrupt, ContentError, ContentTooLarge
from ipfs.reader import Source, decode_file_node
from ipfs.store import Stat
from ipfs.unixfs import decode_node
from ipfs.wire import MalformedBlock

_LINK_TAG = 42  # https://ipld.io/specs/codecs/dag-cbor/spec/#links


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """A CBOR item's major type, argument and the offset after its head (RFC 8949, section 3)."""
    if at >= len(data):
        raise MalformedBlock("the CBOR is cut off")
    major, info = data[at] >> 5, data[at] & 0x1F
    if info < 24:
        return major, info, at + 1
    if info > 27:
        raise MalformedBlock(f"a CBOR item of indefinite length or reserved form stands at byte {at}")
    end = at + 1 + (1 << (info - 24))
    if end > len(data):
        raise MalformedBlock("the CBOR is cut off")
    return major, int.from_bytes(data[at + 1 : end], "big"), end


def _cbor_links(data: bytes) -> Iterator[Cid]:
    """The links of a dag-cbor block, without building its value: a counter of items still to come is
    enough."""
    at, pending, is_link = 0, 1, False
    while pending:
        major, argument, at = _head(data, at)
        pending -= 1
        if is_link and (major != 2 or data[at : at + 1] != b"\0"):
            raise MalformedBlock("a CBOR link is not a byte string that begins with 0")
        if major in (2, 3):
            end = at + argument
            if end > len(data):
                raise MalformedBlock("the CBOR is cut off")
            if is_link:
                try:
                    yield decode_cid(data[at + 1 : end])
                except ValueError as error:
                    raise MalformedBlock(f"a CBOR link cannot be read: {error}") from error
            at = end
        elif major in (4, 5):
            pending += argument * (major - 3)
        elif major == 6:
            pending += 1
        is_link = major == 6 and argument == _LINK_TAG
    if at != len(data):
        raise MalformedBlock(f"{len(data) - at} bytes follow the CBOR item")


def links_of(cid: Cid, block: bytes, asked: str = "") -> tuple[Cid, ...]:
    """The blocks that a checked block links to, in order. Raises ContentCorrupt where it follows not its
    codec."""
    try:
        if cid.codec == DAG_PB:
            return tuple(link.cid for link in decode_node(block).links)
        if cid.codec == DAG_CBOR:
            return tuple(_cbor_links(block))
    except MalformedBlock as error:
        raise ContentCorrupt(str(cid), asked, f"the block is not well-formed: {error}") from error
    return ()


def walk(source: Source, root: Cid, *, leaves: bool) -> Iterator[tuple[Cid, bytes | None]]:
    """Each distinct block under `root` once, checked, the root first; raw blocks below it come without
    their bytes and unasked for unless `leaves`. Memory grows with the number of blocks, never with the
    number of ways to them. Raises ContentTooLarge above `Limits.blocks`."""
    seen = {root}
    stack = [root]
    count = 0
    while stack:
        cid = stack.pop()
        block = source.block(cid)
        yield cid, block
        fresh = []
        for link in links_of(cid, block, source.name):
            if link not in seen:
                seen.add(link)
                fresh.append(link)
        count += len(fresh)
        if count >= source.limits.blocks:
            what = f"more than {source.limits.blocks} blocks are below it"
            raise ContentTooLarge(str(root), source.name, what)
        raw = [link for link in fresh if link.codec == RAW]
        stack += [link for link in reversed(fresh) if link.codec != RAW]
        yield from zip(raw, source.blocks(raw), strict=True) if leaves else ((link, None) for link in raw)


def stat(source: Source, root: Cid) -> Stat:
    """Size and distinct blocks under `root`; a file's size is its root's word, checked against the sizes
    next to it (reading checks the rest)."""
    first = source.block(root)
    try:
        size: int | None = decode_file_node(root, first, source.name).size
    except ContentCorrupt:
        raise
    except ContentError:  # no file: the sum of its blocks
        size = None
    count = total = 0
    for _, block in walk(source, root, leaves=size is None):
        count += 1
        total += len(block or b"")
    return Stat(str(root), total if size is None else size, count)
