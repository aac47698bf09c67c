"""Each measurement of the chain, at a size of seconds: it runs, and what it says adds up."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks.chain import __main__ as command
from tests.conftest import missing

SMALL = ["--transactions", "150", "--per-block", "30"]


@pytest.fixture
def measured(tmp_path, capsys):
    def run(*arguments: str) -> dict:
        assert command.main([*arguments, "--cache", str(tmp_path / "cache"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("only", [[], ["--only", "transfer"]])
def test_validation(measured, only):
    found = measured("validation", *SMALL, *only)
    assert found["transactions"] >= 150
    assert 0 < found["ratio"] < 1
    assert found["ratio"] == pytest.approx(found["raw_cpu"] / found["full_cpu"])


@pytest.mark.fleet
def test_sync_with_a_kill_half_way(measured):
    found = measured("sync", *SMALL)
    assert found["transactions"] >= 150
    assert found["resumed_at"] >= found["killed_at"] >= found["blocks"] // 2
    assert found["ratio"] == pytest.approx(found["raw"] * found["signatures"] / found["whole"])
    assert found["new_peak"] > 2**20


@pytest.mark.fleet
def test_memory(measured):
    (small,) = measured("memory", *SMALL, "--sizes", "150", "--turns", "1")["sizes"]
    assert small["transactions"] >= 150
    assert small["memory"] > small["empty_memory"] / 2 > 2**20
    assert small["restart"] > 0


def test_mining(measured):
    if shutil.which("openssl") is None:
        missing("no openssl on PATH")
    found = measured("mining", "--turns", "1", "--cores", "1")
    (rate,) = found["rates"]
    assert 0 < rate["miner"] < rate["openssl"]


@pytest.mark.fleet
def test_latency(measured):
    found = measured("api", "--heights", "20,60", "--requests", "3")["latencies"]
    assert len({each["route"] for each in found}) == 8
    for route in {each["route"] for each in found}:
        rows = [each for each in found if each["route"] == route]
        assert len(rows) == 4
        assert len({each["height"] for each in rows}) == 2
        assert all(0 < each["p50"] <= each["p95"] for each in rows)


@pytest.mark.parametrize("name", command.COMMANDS)
def test_help_has_examples(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    assert f"examples:\n  python -m benchmarks.chain {name}" in capsys.readouterr().out
