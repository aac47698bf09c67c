"""LWMA-1: the target of the next block from the times and targets of the last ones.

`difficulty_vectors.json` was computed in fractions. Each vector: `interval_ms`, `window` (N), `easiest` and
`initial` (compact targets), `genesis` (whether the first header is one), `headers` as `[milliseconds since the one
before, compact target]`, and `next`, the compact target of the block after them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import work
from chain.blocks import NO_HASH, Header, is_early
from chain.params import DEVELOPMENT, OPEN, Params
from chain.schema import Hash

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("difficulty_vectors.json").read_text())
START = 1_700_000_000_000
T = OPEN.target_interval_ms
N = OPEN.difficulty_window
SMALL = replace(OPEN, difficulty_window=3, target_interval_ms=1000, easiest_target=work.compact_of(1 << 250))


def reference(params: Params, times: Sequence[int], targets: Sequence[int]) -> int:
    """The next full target before it is written compactly, from N + 1 times and targets, as the text says it."""
    n, interval = params.difficulty_window, params.target_interval_ms
    mean_target = Fraction(sum(targets[1:]), n)
    weighted_mean = Fraction(0)
    for i in range(1, n + 1):
        weighted_mean += i * min(times[i] - times[i - 1], 6 * interval)
    weighted_mean /= Fraction(n * (n + 1), 2)
    easiest = work.target_of(params.easiest_target)
    return min(max(floor(mean_target * weighted_mean / interval), 1), easiest)


def branch(solve_times: Sequence[int], targets: Sequence[int], genesis: bool = False) -> list[Header]:
    """Headers with these times since the one before (the first's counts from START) and compact targets."""
    headers: list[Header] = []
    time = START
    for number, (solve_time, target) in enumerate(zip(solve_times, targets, strict=True)):
        time += solve_time
        parent = NO_HASH if genesis and number == 0 else Hash(f"{number + 1:064x}")
        headers.append(Header(1, parent, Hash("cd" * 32), time, target, 0))
    return headers


def params_of(vector: dict[str, Any]) -> Params:
    return replace(
        OPEN,
        target_interval_ms=vector["interval_ms"],
        difficulty_window=vector["window"],
        easiest_target=int(vector["easiest"], 16),
        initial_target=int(vector["initial"], 16),
    )


def headers_of(vector: dict[str, Any]) -> list[Header]:
    solve_times, targets = zip(*vector["headers"], strict=True)
    return branch(solve_times, [int(target, 16) for target in targets], vector["genesis"])


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vectors(vector: dict[str, Any]) -> None:
    params, headers = params_of(vector), headers_of(vector)
    assert f"0x{work.next_target(params, headers):08x}" == vector["next"]
    last = headers[-vector["window"] - 1 :]
    if len(last) > vector["window"]:
        full = reference(params, [each.time for each in last], [work.target_of(each.target) for each in last])
        assert f"0x{work.compact_of(full):08x}" == vector["next"]


def test_by_hand() -> None:
    # solve times 1 s, 2 s, 60 s (counts as 6 s): (1 x 1 + 2 x 2 + 3 x 6) / 6 = 23/6 s, of targets 6, 12, 18
    headers = branch([0, 1000, 2000, 60_000], [0x01010000, 0x01060000, 0x010C0000, 0x01120000])
    assert work.next_target(SMALL, headers) == work.compact_of(12 * 23 // 6)


class TestTheFirstBlocks:
    def test_have_the_initial_target_until_there_are_n_blocks_after_genesis(self) -> None:
        for blocks in (0, 1, N - 1):
            headers = branch([1] * (blocks + 1), [OPEN.initial_target] * (blocks + 1), genesis=True)
            assert work.next_target(OPEN, headers) == OPEN.initial_target
        headers = branch([1] * (N + 1), [OPEN.initial_target] * (N + 1), genesis=True)
        assert work.next_target(OPEN, headers) != OPEN.initial_target

    @pytest.mark.parametrize("count", [0, 1, N])
    def test_too_few_headers_that_do_not_begin_with_genesis_are_a_mistake(self, count: int) -> None:
        with pytest.raises(ValueError, match="from genesis on"):
            work.next_target(OPEN, branch([1] * count, [OPEN.initial_target] * count))


class TestTheWindow:
    def test_follows_a_branch(self) -> None:
        headers = branch([T] * 300, [OPEN.initial_target] * 300, genesis=True)
        recent: tuple[Header, ...] = ()
        for number, header in enumerate(headers, 1):
            recent = work.window(OPEN, recent, header)
            assert recent == tuple(headers[:number][-work.window_size(OPEN) :])
            assert work.next_target(OPEN, recent) == work.next_target(OPEN, headers[:number])
        assert len(recent) == N + 1

    def test_is_empty_where_the_target_is_fixed(self) -> None:
        assert work.window_size(DEVELOPMENT) == 0


def targets_of(easiest: int = OPEN.easiest_target) -> st.SearchStrategy[int]:
    """Compact targets of all sizes up to the easiest."""
    bits = st.integers(1, work.target_of(easiest).bit_length() - 1)
    return bits.flatmap(lambda n: st.integers(1 << (n - 1), (1 << n) - 1)).map(work.compact_of)


@dataclass(frozen=True)
class Past:
    """N + 1 blocks."""

    solve_times: list[int]
    targets: list[int]

    @property
    def next(self) -> int:
        """The full next target."""
        return work.target_of(work.next_target(SMALL, branch(self.solve_times, self.targets)))


def pasts() -> st.SearchStrategy[Past]:
    solve_times = st.one_of(st.integers(1, 8000), st.integers(1, 2**60))
    count = SMALL.difficulty_window + 1
    return st.builds(
        Past,
        st.lists(solve_times, min_size=count, max_size=count),
        st.lists(targets_of(), min_size=count, max_size=count),
    )


@given(pasts())
def test_it_is_exactly_the_fraction_of_the_definition(past: Past) -> None:
    headers = branch(past.solve_times, past.targets)
    times, targets = [each.time for each in headers], [work.target_of(each.target) for each in headers]
    assert past.next == work.target_of(work.compact_of(reference(SMALL, times, targets)))


@given(pasts())
def test_it_lies_within_its_bounds_and_at_most_six_times_above_the_mean(past: Past) -> None:
    assert 1 <= past.next <= work.target_of(SMALL.easiest_target)
    mean = Fraction(sum(work.target_of(each) for each in past.targets[1:]), SMALL.difficulty_window)
    assert past.next <= max(1, 6 * mean)


@given(pasts(), st.integers(1, SMALL.difficulty_window), st.integers(1, 2**40))
def test_a_slower_block_never_makes_the_next_one_harder(past: Past, at: int, more: int) -> None:
    slower = list(past.solve_times)
    slower[at] += more
    assert replace(past, solve_times=slower).next >= past.next


@given(pasts(), st.integers(1, SMALL.difficulty_window), targets_of())
def test_an_easier_block_never_makes_the_next_one_harder(past: Past, at: int, target: int) -> None:
    changed = list(past.targets)
    changed[at] = target
    easier = work.target_of(target) >= work.target_of(past.targets[at])
    other = replace(past, targets=changed)
    assert other.next >= past.next if easier else other.next <= past.next


@given(pasts(), st.integers(0, 2**40), targets_of())
def test_the_oldest_header_counts_for_its_time_alone(past: Past, shift: int, target: int) -> None:
    changed = Past([past.solve_times[0] + shift, *past.solve_times[1:]], [target, *past.targets[1:]])
    assert changed.next == past.next


@given(st.integers(20, 250), st.integers(1, 6))
def test_a_steady_pace_keeps_the_target_in_proportion(bits: int, pace: int) -> None:
    """Equal targets and solve times of `pace` intervals: the next is `pace` times as easy, but for rounding."""
    target = work.compact_of((1 << bits) - 1)
    found = work.target_of(work.next_target(OPEN, branch([pace * T] * (N + 1), [target] * (N + 1))))
    expected = min(pace * work.target_of(target), work.target_of(OPEN.easiest_target))
    assert expected - expected // 2**15 <= found <= expected


@given(st.integers(0, 2**50), st.sampled_from([0, 1, 4_999, 5_001, 15_000, 600_000]))
def test_a_block_may_lie_three_intervals_or_15_seconds_ahead(now: int, interval: int) -> None:
    params = replace(OPEN, target_interval_ms=interval)
    limit = now + max(3 * interval, 15_000)
    header = Header(1, NO_HASH, NO_HASH, limit, OPEN.initial_target, 0)
    assert not is_early(header, params, now)
    assert is_early(replace(header, time=limit + 1), params, now)


def test_only_the_last_headers_are_read() -> None:
    headers = branch([T] * (N + 1), [OPEN.initial_target] * (N + 1))
    unreadable: list[Any] = [None] * 1000
    assert work.next_target(OPEN, [*unreadable, *headers]) == work.next_target(OPEN, headers)
