"""The simulation of difficulty adjustment, and what it has to show of the rule."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from chain.params import OPEN

RUNS = 3


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "difficulty.py"
    spec = importlib.util.spec_from_file_location("benchmark_difficulty", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def after(simulation, blocks, rate=1.0, **first):
    """What follows a change, in several runs."""
    return [
        [chain.mine(rate, **first), *(chain.mine(rate) for _ in range(blocks - 1))]
        for chain in simulation.runs(OPEN, 1, RUNS)
    ]


def test_one_seed_gives_one_text(simulation, capsys):
    texts = []
    for seed in ("5", "5", "6"):
        assert simulation.main(["--runs", "1", "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    for scenario in ("steady", "-90 %", "+10x", "a day's halt", "ASERT", "30 %"):
        assert scenario in texts[0]


def test_blocks_are_on_time_at_a_steady_hash_rate(simulation):
    mined = [block for blocks in after(simulation, 1000) for block in blocks]
    assert 0.95 < simulation.mean(mined) < 1.05


@pytest.mark.parametrize("rate", [0.1, 10.0])
def test_a_tenfold_change_is_recovered_from_within_two_windows(simulation, rate):
    for blocks in after(simulation, 2 * OPEN.difficulty_window, rate):
        assert 0.6 < blocks[0].expected * rate < 1.5
        assert simulation.recovery(blocks) is not None


def test_a_halt_of_a_day_brings_no_flood(simulation):
    for blocks in after(simulation, 400, halt=simulation.DAY):
        assert blocks[0].interval > 5760
        assert min(block.expected for block in blocks) > 0.5
        assert simulation.in_hour(blocks, 240) < 240 * 1.25
    assert int(simulation.flood(OPEN, 1, simulation.DAY).split()[5]) > 5000


def test_made_up_times_of_a_miner_with_30_percent_gain_little(simulation):
    for stamp in (lambda now, parent: max(now + OPEN.max_future_ms, parent + 1), simulation.early):
        chains = simulation.runs(OPEN, 1, RUNS)
        mined = [chain.mine(share=0.3, stamp=stamp) for chain in chains for _ in range(1000)]
        assert 0.94 < simulation.mean(mined) < 1.06
