"""How block times follow the network's hash rate under difficulty adjustment: a seeded simulation.

    .venv/bin/python -m benchmarks.difficulty                    all scenarios on network `open`, 100 runs each
    .venv/bin/python -m benchmarks.difficulty --runs 20 --seed 7

Targets come from `chain.work.next_target` itself, over headers that only lack real hashes: a block takes an
exponentially distributed time whose mean is the work of its target over the hash rate. Every interval is given as a
ratio to the network's target interval T: 1.00 is on time. The *expected* interval (work over hash rate) is the
difficulty's own error, without the luck of the search. A change is *recovered from* at the first block whose expected
interval lies within a quarter of T. One seed prints one text, on any machine.

Scenarios: a steady hash rate; a tenth of it from one block to the next (-90 %); ten times it; a day in which nobody
mines; and a miner with 30 % of the work who makes up its blocks' times, always as late as nodes take them
(`Params.max_future_ms` ahead of the clock) or always as early (a millisecond after the parent).

Why LWMA-1 and not ASERT (https://upgradespecs.bitcoincashnode.org/2020-11-15-asert/), which forgets more smoothly: its
target depends on how far the chain as a whole is behind an absolute schedule, one block per T since the anchor. After
a halt the schedule is behind by all the blocks that were not made, and ASERT makes up for them: the target falls to
the easiest, and the chain is flooded with blocks that cost next to nothing until their number is right again. A
network of a few organisations does halt: over a week-end, during a move. LWMA-1 looks at the last N blocks alone and
counts a solve time as six intervals at most, so a halt of any length costs a few quick blocks. The last line of the
output shows ASERT in the same halt. (Its half-life here, N T / 2, reacts about as fast as LWMA-1 over N blocks.)
"""

# ruff: noqa: T201, S311 - it prints what it measured; chance must be seeded, not secret

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chain import work
from chain.blocks import NO_HASH, VERSION, Header
from chain.params import OPEN, Params
from chain.schema import Hash

#: Hashes of a block on time at the usual hash rate: 2^24, what one core of the miner searches in about 15 s.
WORK = 1 << 24
#: Blocks before a scenario begins: the first N at the initial target, and some windows to settle.
WARM_UP = 4
DAY = 24 * 3_600_000
#: How far the expected interval may be off when a change counts as recovered from.
NEAR = 0.25
START = 1_700_000_000_000

#: The compact target after these headers, the last ones of a branch.
Rule = Callable[[Sequence[Header]], int]
#: The time that a block is given, from the real time and its parent's time, both in milliseconds.
Stamp = Callable[[int, int], int]


def honest(now: int, parent: int) -> int:
    """The real time, or the earliest that is valid."""
    return max(now, parent + 1)


def early(now: int, parent: int) -> int:
    """As early as is valid."""
    return parent + 1


@dataclass(frozen=True)
class Mined:
    """A block of the simulation."""

    expected: float
    """Work over hash rate, in target intervals."""
    interval: float
    """Real time since the block before, in target intervals."""
    dishonest: bool
    """Mined by the one who makes up times."""


class Chain:
    """One branch, growing."""

    def __init__(self, params: Params, rng: random.Random, rule: Rule | None = None) -> None:
        self.params = params
        self.rng = rng
        self.rule: Rule = rule if rule is not None else lambda recent: work.next_target(params, recent)
        self.usual = WORK / params.target_interval_ms
        """The usual hash rate, in hashes a millisecond."""
        self.now = float(START)
        genesis = Header(VERSION, NO_HASH, NO_HASH, START, params.initial_target, 0)
        self.recent = work.window(params, (), genesis)

    def mine(self, rate: float = 1.0, share: float = 0.0, stamp: Stamp = honest, halt: float = 0.0) -> Mined:
        """The next block at `rate` times the usual hash rate, after `halt` milliseconds without any.

        A block is, with probability `share`, of the miner whose blocks' times `stamp` makes up.
        """
        compact = self.rule(self.recent)
        mean = work.work_of(compact) / (self.usual * rate)
        took = halt + self.rng.expovariate(1 / mean)
        self.now += took
        dishonest = self.rng.random() < share
        time = (stamp if dishonest else honest)(round(self.now), self.recent[-1].time)
        header = Header(VERSION, Hash("11" * 32), NO_HASH, time, compact, 0)
        self.recent = work.window(self.params, self.recent, header)
        interval = self.params.target_interval_ms
        return Mined(mean / interval, took / interval, dishonest)

    def warmed_up(self) -> Chain:
        """Past the initial target, at the usual hash rate."""
        for _ in range((1 + WARM_UP) * self.params.difficulty_window):
            self.mine()
        return self


def asert(params: Params, anchor: int, anchored: int) -> Callable[[int, int], int]:
    """ASERT's compact target after the block at `height`, counted from the anchor, and its time."""
    half_life = params.difficulty_window * params.target_interval_ms / 2
    easiest, full = work.target_of(params.easiest_target), work.target_of(anchor)

    def target(height: int, time: int) -> int:
        behind = time - anchored - params.target_interval_ms * height
        return work.compact_of(min(max(int(full * 2.0 ** min(behind / half_life, 256)), 1), easiest))

    return target


def recovery(blocks: Sequence[Mined]) -> int | None:
    """How many blocks were mined before the expected interval was near T; None: it was not."""
    return next((n for n, block in enumerate(blocks) if abs(block.expected - 1) <= NEAR), None)


def runs(params: Params, seed: int, count: int) -> Iterator[Chain]:
    """Independent chains at the usual hash rate."""
    for number in range(count):
        yield Chain(params, random.Random(f"{seed} {number}")).warmed_up()


def steady(params: Params, seed: int, count: int, blocks: int = 1000) -> list[str]:
    """The mean interval, and how far the expected one strays from T by luck alone."""
    mined = [chain.mine() for chain in runs(params, seed, count) for _ in range(blocks)]
    expected = [block.expected for block in mined]
    cuts = statistics.quantiles(expected, n=20)
    return [
        f"steady hash rate: mean interval {mean(mined):.3f}; "
        f"expected interval 5 % to 95 %: {cuts[0]:.2f} to {cuts[-1]:.2f}"
    ]


#: Blocks after a change over which intervals are averaged: from (counted from 1), to.
SPANS = ((1, 1), (2, 10), (11, 30), (31, 60), (61, 90), (91, 180), (181, 360))


def change(params: Params, seed: int, count: int, rate: float, halt: float = 0.0) -> list[str]:
    """Mean intervals by block since the change, and what recovery took."""
    after = []
    for chain in runs(params, seed, count):
        first = chain.mine(rate, halt=halt)
        after.append([first, *(chain.mine(rate) for _ in range(SPANS[-1][1] - 1))])
    rows = ["  blocks      interval  expected"]
    for begin, end in SPANS:
        span = [block for blocks in after for block in blocks[begin - 1 : end]]
        rows.append(f"  {f'{begin}-{end}':<11} {mean(span):>8.2f} {statistics.fmean(b.expected for b in span):>9.2f}")
    rows.append("  " + recovered(after, halt / params.target_interval_ms))
    if halt:
        quickest = [min(block.expected for block in blocks) for blocks in after]
        hour = 3_600_000 / params.target_interval_ms
        made = statistics.fmean(in_hour(blocks, hour) for blocks in after)
        rows.append(
            f"  quickest expected interval {statistics.median(quickest):.2f} (median); "
            f"{made:.0f} blocks in the hour after the first one, {hour:.0f} would be on time"
        )
    return rows


def recovered(after: Sequence[Sequence[Mined]], halt: float) -> str:
    """What recovery took, over all runs. `halt`: intervals without mining, which do not count."""
    # A halt moves the target only after its first block, so look from there for when it is near again.
    offset = 1 if halt else 0
    lengths = []
    for blocks in after:
        count = recovery(blocks[offset:])
        if count is not None:
            before = blocks[: count + offset]
            lengths.append((len(before), sum(block.interval for block in before) - halt))
    if not lengths:
        return f"recovered from in none of {len(after)} runs"
    counts, times = zip(*lengths, strict=True)
    return (
        f"recovered from after {statistics.median(counts):.0f} blocks, {statistics.median(times):.0f} T (median; "
        f"worst {max(counts)} blocks, {max(times):.0f} T; {len(lengths)} of {len(after)} runs)"
    )


def in_hour(blocks: Sequence[Mined], hour: float) -> int:
    """Blocks after the first one, within so many intervals."""
    total, count = 0.0, 0
    for block in blocks[1:]:
        total += block.interval
        if total > hour:
            break
        count += 1
    return count


def manipulated(params: Params, seed: int, count: int, stamp: Stamp, share: float, blocks: int = 1000) -> str:
    """What a miner gains that makes up its blocks' times."""
    mined = [
        chain.mine(share=share, stamp=stamp) for chain in runs(params, seed, count) for _ in range(blocks)
    ]  # fmt: skip
    own = sum(block.dishonest for block in mined) / len(mined)
    cuts = statistics.quantiles([block.expected for block in mined], n=20)
    return (
        f"mean interval {mean(mined):.3f}, expected 5 % to 95 %: {cuts[0]:.2f} to {cuts[-1]:.2f}; "
        f"{own:.1%} of the blocks are its own"
    )


def flood(params: Params, seed: int, halt: float) -> str:
    """ASERT after a halt: blocks in the hour after the first one."""
    chain = Chain(params, random.Random(seed)).warmed_up()
    target = asert(params, work.compact_of((1 << 256) // WORK - 1), chain.recent[-1].time)
    height = 0
    chain.rule = lambda recent: target(height, recent[-1].time)
    interval = params.target_interval_ms
    blocks: list[Mined] = []
    while not blocks or sum(block.interval for block in blocks[1:]) < 3_600_000 / interval:
        blocks.append(chain.mine(halt=0.0 if blocks else halt))
        height += 1
    cheapest = min(block.expected for block in blocks)
    return (
        f"the same halt under ASERT: {len(blocks) - 1} blocks in the hour after the first one, the quickest expected "
        f"after {cheapest:.4f}"
    )


def mean(blocks: Sequence[Mined]) -> float:
    """Mean real interval."""
    return statistics.fmean(block.interval for block in blocks)


def report(params: Params, seed: int, count: int) -> Iterator[str]:
    """All scenarios, line by line."""
    yield (
        f"network {params.name}: T = {params.target_interval_ms / 1000:g} s, N = {params.difficulty_window}; "
        f"{count} runs, seed {seed}; intervals as ratios to T"
    )
    yield ""
    yield from steady(params, seed, count)
    for name, rate, halt in (("-90 % hash rate", 0.1, 0), ("+10x hash rate", 10.0, 0), ("a day's halt", 1.0, DAY)):
        yield ""
        yield f"{name}:"
        yield from change(params, seed, count, rate, halt)
    yield "  " + flood(params, seed, DAY)
    yield ""
    yield "a miner with 30 % of the work makes up its times:"

    def late(now: int, parent: int) -> int:
        return max(now + params.max_future_ms, parent + 1)

    for how, stamp in (("as late as nodes take", late), ("as early as is valid", early)):
        yield f"  {how}: " + manipulated(params, seed, count, stamp, 0.3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(description="Simulate difficulty adjustment.")
    parser.add_argument("--runs", type=int, default=100, help="independent chains per scenario (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("expected at least one run")
    for line in report(OPEN, options.seed, options.runs):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
