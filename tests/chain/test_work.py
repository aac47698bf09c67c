"""Targets, work and the search."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import work
from chain.blocks import Header
from chain.errors import BadTarget, BadWork
from chain.params import DEVELOPMENT, OPEN


@pytest.mark.parametrize(
    ("compact", "target"),
    [
        (0x1D00FFFF, 0xFFFF << 208),  # Bitcoin's first target
        (0x207FFFFF, 0x7FFFFF << 232),
        (0x1F3FFFFF, 0x3FFFFF << 224),
        (0x03123456, 0x123456),
        (0x02123400, 0x1234),
        (0x01120000, 0x12),
        (0x02008000, 0x80),
    ],
)
def test_compact_targets_are_bitcoins(compact: int, target: int) -> None:
    assert work.target_of(compact) == target
    assert work.compact_of(target) == compact


@pytest.mark.parametrize(
    "compact",
    [0, 0x1D000000, 0x1D800000, 0x1DFFFFFF, 0x21007FFF, 0x217FFFFF, 0xFF7FFFFF, 0x1D0000FF, 0x01000001, -1, 2**32],
)  # fmt: skip
def test_zero_negative_too_easy_and_padded_targets_are_refused(compact: int) -> None:
    with pytest.raises(BadTarget):
        work.target_of(compact)


@given(st.integers(1, work.MAX_TARGET))
def test_the_compact_form_rounds_down_by_less_than_a_part_in_32768(target: int) -> None:
    rounded = work.target_of(work.compact_of(target))
    assert rounded <= target < rounded + rounded // 2**15 + 1
    assert work.compact_of(rounded) == work.compact_of(target)


@given(st.integers(0, 2**32 - 1))
def test_any_compact_number_is_refused_or_minimal(compact: int) -> None:
    try:
        assert work.compact_of(work.target_of(compact)) == compact
    except BadTarget:
        return


def test_work_is_the_mean_number_of_hashes() -> None:
    assert work.work_of(0x207FFFFF) == 2
    assert work.work_of(0x1D00FFFF) == 0x100010001  # as Bitcoin Core computes it
    assert work.work_of(DEVELOPMENT.initial_target) == 1024


def test_the_search_finds_the_first_nonce_and_works_in_slices(parent_header: Header) -> None:
    prefix, target = parent_header.pack()[:80], work.target_of(parent_header.target)
    nonce = work.search(prefix, target, 0, 1 << 20)
    assert nonce is not None
    assert work.meets(dataclasses.replace(parent_header, nonce=nonce))
    for earlier in range(nonce):
        data = prefix + earlier.to_bytes(8, "little")
        assert int.from_bytes(hashlib.sha256(hashlib.sha256(data).digest()).digest(), "big") > target
    assert work.search(prefix, target, 0, nonce) is None
    assert work.search(prefix, target, nonce, 1) == nonce
    assert work.search(prefix, 0, 2**64 - 3, 100) is None  # nonces end at 2^64


def test_the_search_wants_a_header_without_its_nonce(parent_header: Header) -> None:
    with pytest.raises(ValueError, match="80 bytes"):
        work.search(parent_header.pack(), 1, 0, 1)


def test_the_bound_is_inclusive_and_the_id_is_read_as_written(
    parent_header: Header, mined: Callable[[Header], Header]
) -> None:
    header = mined(parent_header)
    assert header.id.startswith("00")
    prefix, value = header.pack()[:80], int(header.id, 16)
    assert work.search(prefix, value, header.nonce, 1) == header.nonce
    assert work.search(prefix, value - 1, header.nonce, 1) is None


def test_the_target_is_fixed_where_blocks_are_mined_on_demand(parent_header: Header) -> None:
    assert work.next_target(DEVELOPMENT, [parent_header]) == DEVELOPMENT.initial_target
    assert work.next_target(DEVELOPMENT, []) == DEVELOPMENT.initial_target
    assert work.window(DEVELOPMENT, [], parent_header) == ()


@pytest.mark.parametrize(
    ("params", "compact", "good"),
    [
        (OPEN, OPEN.easiest_target, True),
        (OPEN, OPEN.initial_target, True),
        (OPEN, 0x1C00FFFF, True),
        (OPEN, OPEN.easiest_target + 1, False),
        (OPEN, work.compact_of(work.MAX_TARGET), False),
        (DEVELOPMENT, DEVELOPMENT.initial_target, True),
        (DEVELOPMENT, DEVELOPMENT.initial_target - 1, False),
        (DEVELOPMENT, work.compact_of(work.MAX_TARGET), False),
    ],
)
def test_a_target_that_the_network_cannot_have_is_told_without_a_parent(params, compact, good, monkeypatch) -> None:
    header = Header(1, "ab" * 32, "cd" * 32, 1, compact, 0)
    monkeypatch.setattr(work, "meets", lambda _: True)
    if good:
        work.check(header, params)
    else:
        with pytest.raises(BadTarget):
            work.check(header, params)
    monkeypatch.setattr(work, "meets", lambda _: False)
    with pytest.raises(BadWork if good else BadTarget):
        work.check(header, params)
