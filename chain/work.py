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
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from chain.errors import BadTarget, BadWork
from chain.params import Params

if TYPE_CHECKING:
    from chain.blocks import Header

MAX_TARGET = 0x7FFFFF << 232
"""The easiest target that a compact one can name: two hashes a block."""
NONCES = 2**64
"""Nonces that a header can hold."""
SOLVE_TIME_CAP = 6
"""Target intervals that a block's solve time counts as at most; LWMA-1's own number."""


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


def check(header: Header, params: Params) -> None:
    """What a header's work must be whatever came before it: done, and for a target that the network can have.

    Without the second anybody could make headers for two hashes each, where difficulty is adjusted. Raises BadTarget
    and BadWork.
    """
    if params.target_interval_ms:
        easiest = max(params.easiest_target, params.initial_target, key=target_of)
        if target_of(header.target) > target_of(easiest):
            raise BadTarget(f"a target of at most 0x{easiest:08x}", hex(header.target), "target")
    elif header.target != params.initial_target:
        raise BadTarget(f"0x{params.initial_target:08x}", hex(header.target), "target")
    if not meets(header):
        raise BadWork("an id that meets the header's target", header.id, "header.nonce")


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
    for nonce in range(start, min(start + count, NONCES)):
        inner = copy()
        inner.update(pack(nonce))
        if sha256(inner.digest()).digest() <= bound:
            return nonce
    return None


def window_size(params: Params) -> int:
    """How many headers `window` gives at most."""
    return params.difficulty_window + 1 if params.target_interval_ms else 0


def window(params: Params, ancestors: Sequence[Header], header: Header) -> tuple[Header, ...]:
    """The headers that the target after `header` follows from, given those that its own followed from.

    The last N + 1 of a branch that has so many, else all from genesis on, oldest first; none where the target
    is fixed. Follow a branch with it: `recent = window(params, recent, header)`, from `()` before genesis.
    """
    return (*ancestors, header)[-window_size(params) :] if window_size(params) else ()


def next_target(params: Params, ancestors: Sequence[Header]) -> int:
    """The compact target of the block after `ancestors`, of which `window` names the ones that count.

    The network's fixed target, where it mines on demand. Else LWMA-1, zawy12's linearly weighted moving average
    (https://github.com/zawy12/difficulty-algorithms/issues/3), over the last N = `difficulty_window` blocks::

        solve_i = min(time_i - time_(i-1), 6 T)                            i = 1 (oldest) to N (newest)
        next    = floor((target_1 + ... + target_N) (1 solve_1 + ... + N solve_N) / (N N (N + 1) T / 2))

    brought into [1, `easiest_target`] and written compactly (rounded down). That is the mean target times the
    weighted mean solve time over T. The cap keeps one long wait from swinging the target. As published, but
    divided once, in exact integers (there each target is divided first, so that 256 bits suffice), and without
    its repair of times that run backwards: in valid headers they strictly increase.

    The first N blocks after genesis have the network's initial target, as published: the formula needs N blocks
    and the time of the one before them.

    `ancestors`: valid headers of one branch, oldest first; only the last N + 1 are looked at. Raises ValueError
    for fewer that do not begin with the genesis, whose parent is all zeros.
    """
    interval, count = params.target_interval_ms, params.difficulty_window
    if interval == 0:
        return params.initial_target
    if len(ancestors) <= count:
        if not ancestors or int(ancestors[0].parent, 16) != 0:
            raise ValueError(f"expected {count + 1} headers or all from genesis on, found the last {len(ancestors)}")
        return params.initial_target
    last = ancestors[-count - 1 :]
    cap = SOLVE_TIME_CAP * interval
    weighted = sum(
        weight * min(after.time - before.time, cap) for weight, (before, after) in enumerate(pairwise(last), 1)
    )
    total = sum([_known_target(header.target) for header in last[1:]])
    target = 2 * total * weighted // (count * count * (count + 1) * interval)
    return compact_of(min(max(target, 1), target_of(params.easiest_target)))


@lru_cache(maxsize=1024)
def _known_target(compact: int) -> int:
    """`target_of`, remembered: each header is asked for N times."""
    return target_of(compact)
