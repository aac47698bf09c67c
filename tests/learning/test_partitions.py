"""Partitions follow from seed, job and round alone.

``vectors/partitions.json`` was derived without numpy, by :func:`philox` below (Philox4x64-10: Salmon, Moraes,
Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and these lines::

    key = sha256(f'["partitions","{seed}","{job}",{round}]'.encode()).digest()[:16]
    words = philox(key, n)                                           # row_keys
    order = sorted(range(n), key=lambda place: words[place])         # disjoint; Python's sort is stable
    parts = [order[p * n // k : (p + 1) * n // k] for p in range(k)]
    parts = [[w % n for w in words[p * m : (p + 1) * m]] for p in range(k)]   # bootstrap, m rows each
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.errors import InvalidSpec
from learning.partitions import parse_partitioning, partition_rows, row_keys

VECTORS = json.loads((Path(__file__).parent / "vectors" / "partitions.json").read_text())
SEED = "5e" * 32
DISJOINT = '{"scheme":"disjoint"}'
BOOTSTRAP = '{"scheme":"bootstrap"}'
_MASK = 2**64 - 1


def philox(key: bytes, count: int) -> list[int]:
    """The first words of Philox4x64-10 with a 128-bit little-endian key, from counter 1."""
    words: list[int] = []
    block = 0
    while len(words) < count:
        block += 1
        counter = [block & _MASK, block >> 64, 0, 0]
        low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                (second >> 64) ^ counter[1] ^ low,
                second & _MASK,
                (first >> 64) ^ counter[3] ^ high,
                first & _MASK,
            ]
            low, high = (low + 0x9E3779B97F4A7C15) & _MASK, (high + 0xBB67AE8584CAA73B) & _MASK
        words += counter
    return words[:count]


def rederived(vector: dict[str, Any]) -> list[list[int]]:
    """The partitions of a vector by the lines of this module's docstring."""
    n, k, options = vector["rows"], vector["partitions"], json.loads(vector["partitioning"])
    drawn = vector["round"] if options.get("redraw") else 0
    key = sha256(f'["partitions","{vector["seed"]}","{vector["job"]}",{drawn}]'.encode()).digest()[:16]
    if options["scheme"] == "disjoint":
        words = philox(key, n)
        order = sorted(range(n), key=lambda place: words[place])
        return [order[p * n // k : (p + 1) * n // k] for p in range(k)]
    m = max(1, round(options.get("fraction", 1) * 10**6) * n // 10**6)
    words = philox(key, k * m)
    return [[word % n for word in words[p * m : (p + 1) * m]] for p in range(k)]


@pytest.mark.parametrize("vector", VECTORS["row_keys"])
def test_the_stream_is_philox_keyed_with_sha256(vector: dict[str, Any]) -> None:
    keys = row_keys(vector["seed"], vector["job"], vector["round"], len(vector["words"]))
    assert keys.dtype == np.uint64
    assert [f"{word:016x}" for word in keys.tolist()] == vector["words"]
    text = f'["partitions","{vector["seed"]}","{vector["job"]}",{vector["round"]}]'
    own = philox(sha256(text.encode()).digest()[:16], len(keys))
    assert own == keys.tolist()


@pytest.mark.parametrize("vector", VECTORS["partitions"])
def test_partitions_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    drawn = partition_rows(
        np.arange(vector["rows"]),
        vector["seed"],
        vector["job"],
        vector["round"],
        vector["partitions"],
        vector["partitioning"],
    )
    assert [part.tolist() for part in drawn] == vector["expected"] == rederived(vector)


@given(rows=st.integers(1, 300), partitions=st.integers(1, 40), round_=st.integers(0, 3))
def test_disjoint_partitions_hold_every_training_row_once(rows: int, partitions: int, round_: int) -> None:
    partitions = min(partitions, rows)
    training = np.arange(rows, dtype=np.int64) * 3 + 1  # any rows of the table, not the first ones
    drawn = partition_rows(training, SEED, "job", round_, partitions, DISJOINT)
    assert sorted(np.concatenate(drawn).tolist()) == training.tolist()
    sizes = [len(part) for part in drawn]
    assert max(sizes) - min(sizes) <= 1
    assert all(part.dtype == np.int64 for part in drawn)


@given(rows=st.integers(1, 200), micro=st.integers(1, 10**6), partitions=st.integers(1, 5))
def test_bootstrap_draws_the_fraction_from_the_training_rows(rows: int, micro: int, partitions: int) -> None:
    training = np.arange(rows, dtype=np.int64) * 2
    text = parse_partitioning({"scheme": "bootstrap", "fraction": micro / 10**6})
    drawn = partition_rows(training, SEED, "job", 0, min(partitions, rows), text)
    assert {len(part) for part in drawn} == {max(1, micro * rows // 10**6)}
    assert set(np.concatenate(drawn).tolist()) <= set(training.tolist())


def test_bootstrap_draws_with_replacement_and_differently_for_each_partition() -> None:
    first, second = partition_rows(np.arange(200), SEED, "job", 0, 2, BOOTSTRAP)
    assert len(first) == len(second) == 200
    assert 110 < len(set(first.tolist())) < 145  # 200 (1 - 1/e) = 126 on average
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("scheme", ["disjoint", "bootstrap"])
def test_rounds_share_a_draw_unless_it_is_drawn_anew(scheme: str) -> None:
    def drawn(round_: int, redraw: bool) -> list[list[int]]:
        text = parse_partitioning({"scheme": scheme, "redraw": redraw})
        return [part.tolist() for part in partition_rows(np.arange(60), SEED, "job", round_, 3, text)]

    assert drawn(0, False) == drawn(1, False) == drawn(0, True)
    assert drawn(1, True) not in (drawn(0, True), drawn(2, True))


def test_seed_and_job_change_the_draw() -> None:
    def drawn(seed: str, job: str) -> list[int]:
        return partition_rows(np.arange(60), seed, job, 0, 2, DISJOINT)[0].tolist()

    assert drawn(SEED, "job") == drawn(SEED, "job")
    assert len({tuple(drawn(seed, job)) for seed in (SEED, "00" * 32) for job in ("job", "bab")}) == 4


@pytest.mark.parametrize("partitions", [0, 4, -1])
def test_every_partition_needs_a_row(partitions: int) -> None:
    with pytest.raises(InvalidSpec, match="of 3 training rows"):
        partition_rows(np.arange(3), SEED, "job", 0, partitions, DISJOINT)


@pytest.mark.parametrize("seed", ["", "5E" * 32, "5e" * 31, "zz" * 32, "5e" * 32 + "\n"])
def test_a_seed_is_64_lowercase_hex_digits(seed: str) -> None:
    with pytest.raises(InvalidSpec, match="64 lowercase hex"):
        row_keys(seed, "job", 0, 1)


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        ({"scheme": "disjoint"}, '{"scheme":"disjoint"}'),
        ('{ "redraw": false, "scheme": "disjoint" }', '{"scheme":"disjoint"}'),
        ({"scheme": "disjoint", "redraw": True}, '{"redraw":true,"scheme":"disjoint"}'),
        ({"scheme": "bootstrap", "fraction": 1.0}, '{"scheme":"bootstrap"}'),
        ({"scheme": "bootstrap", "fraction": 0.5}, '{"fraction":0.5,"scheme":"bootstrap"}'),
        (
            {"scheme": "bootstrap", "fraction": 0.1, "redraw": True},
            '{"fraction":0.1,"redraw":true,"scheme":"bootstrap"}'),
    ],
)
def test_a_partitioning_has_one_text(given_: Any, canonical: str) -> None:
    assert parse_partitioning(given_) == canonical
    assert parse_partitioning(canonical) == canonical


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("disjoint", "no JSON"),
        ("[" * 900, "no JSON"),
        ("[]", "expected"),
        ({}, "unknown partitioning scheme None"),
        ({"scheme": "dirichlet"}, "'dirichlet': expected one of disjoint, bootstrap"),
        ({"scheme": ["disjoint"]}, "unknown partitioning scheme"),
        ({"scheme": "disjoint", "fraction": 0.5}, "has no option 'fraction': expected redraw"),
        ({"scheme": "disjoint", "redraw": 1}, "expected true"),
        ({"scheme": "bootstrap", "fraction": 0}, "above 0"),
        ({"scheme": "bootstrap", "fraction": 1.5}, "up to 1"),
        ({"scheme": "bootstrap", "fraction": True}, "expected a number"),
        ({"scheme": "bootstrap", "fraction": float("nan")}, "expected a number"),
        ({"scheme": "bootstrap", "fraction": 1e-9}, "millionth"),
        ({"scheme": "bootstrap", "fraction": 1 / 3}, "millionth"),
        ('{"scheme":"disjoint"}' + " " * 1000, "at most 1000"),
    ],
)
def test_other_partitionings_are_refused(given_: Any, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        parse_partitioning(given_)
