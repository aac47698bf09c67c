"""What both stores do first with what they are given to store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ipfs.cid import CODECS, Cid, cid_of
from ipfs.errors import ContentTooLarge
from ipfs.reader import Limits


@contextmanager
def as_stream(content: bytes | Path | BinaryIO) -> Iterator[BinaryIO]:
    """What `add` is given, as a stream; only a stream opened here is closed."""
    if isinstance(content, bytes):
        yield io.BytesIO(content)
    elif isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield content


def block_cid(codec: str, data: bytes, limits: Limits, asked: str) -> Cid:
    """The CID of a block to be stored. Raises ValueError for an unknown codec, ContentTooLarge for its
    size."""
    if codec not in CODECS:
        raise ValueError(f"expected one of the codecs {', '.join(CODECS)}, found {codec!r}")
    cid = cid_of(CODECS[codec], data)
    if len(data) > limits.block:
        raise ContentTooLarge(str(cid), asked, f"the block has {len(data)} bytes, more than {limits.block}")
    return cid
