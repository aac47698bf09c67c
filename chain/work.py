"""Proof of work: targets, the work they stand for, and the search for a nonce.

A block meets its target when its id, read as a big-endian integer in the order its hexadecimal digits are
written, is at most the target. (Bitcoin reads its hash little-endian and prints it reversed; nothing is
reversed here, so the zeros that were worked for lead the text.) Compact targets are Bitcoin's `nBits`
(https://developer.bitcoin.org/reference/block_chain.html#target-nbits), and only their minimal forms are
valid.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chain.errors import BadTarget
from chain.params import Params

if TYPE_CHECKING:
    from chain.blocks import Header

MAX_TARGET = 0x7FFFFF << 232
"""The easiest target that a compact one can name: two hashes a block."""
_NONCES = 2**64


def target_of(compact: int) -> int:
    """The target of its compact form. Raises BadTarget for zero, negative, too large or non-minimal forms."""
    size, mantissa = compact >> 24, compact & 0xFFFFFF
    target = mantissa << 8 * (size - 3) if size >= 3 else mantissa >> 8 * (3 - size)
    if not 0 <= compact < 2**32 or not 0 < target <= MAX_TARGET or compact_of(target) != compact:
        raise BadTarget(
            f"a minimal compact target from 1 to 0x{compact_of(MAX_TARGET):08x}", hex(compact), "target"
        )
    return target


def compact_of(target: int) -> int:
    """The compact form of a target of at least 1, rounded down to the 23 bits it keeps."""
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x800000:  # the sign bit of the format
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def work_of(compact: int) -> int:
    """The hashes a block at this compact target takes on average: floor(2^256 / (target + 1)).

    Raises BadTarget.
    """
    return (1 << 256) // (target_of(compact) + 1)


def meets(header: Header) -> bool:
    """Whether the header's id is at most its target. Raises BadTarget."""
    return int(header.id, 16) <= target_of(header.target)


def search(prefix: bytes, target: int, start: int, count: int) -> int | None:
    """The first nonce in `start` to `start + count - 1` that meets the target, or None.

    `prefix`: the packed header without its nonce (80 bytes); `target`: the full integer. Callers search in
    slices, so that they can stop. The first 64 bytes are hashed once: hashlib keeps the midstate, `copy`
    takes it over.
    """
    if len(prefix) != 80:
        raise ValueError(f"expected the first 80 bytes of a header, found {len(prefix)}")
    midstate = hashlib.sha256(prefix)
    copy, sha256, pack = midstate.copy, hashlib.sha256, struct.Struct("<Q").pack
    bound = target.to_bytes(32, "big")
    for nonce in range(start, min(start + count, _NONCES)):
        inner = copy()
        inner.update(pack(nonce))
        if sha256(inner.digest()).digest() <= bound:
            return nonce
    return None


def next_target(params: Params, ancestors: Sequence[Header]) -> int:
    """The compact target of the block after `ancestors` (the last ones of its branch, oldest first).

    The network's fixed target, where it mines on demand. Raises ValueError for a network with a target
    interval: there is no difficulty adjustment for it yet.
    """
    if params.target_interval_ms != 0:
        raise ValueError(f"network {params.name}: expected target_interval_ms 0 (mining on demand)")
    return params.initial_target
