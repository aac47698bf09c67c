"""Statistics are of the training rows alone, and the same bytes for everybody."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from learning.errors import InvalidData
from learning.statistics import QUANTILES, FeatureStatistics, Statistics, TargetStatistics, _edges, compute
from learning.tables import Table

TableOf = Callable[[str], Table]

CSV = "size,word,flag,t\n1,b,true,x\n3,a,,y\n,,false,x\n1000,zzz,true,z\n"


@pytest.fixture
def statistics(table_of: TableOf) -> Statistics:
    return compute(table_of(CSV), np.array([0, 1, 2]), "t", "classification")


def test_they_describe_the_rows_given(statistics: Statistics) -> None:
    assert statistics == Statistics(
        rows=3,
        features=(
            FeatureStatistics(
                name="size",
                type="integer",
                missing=1,
                mean=2.0,
                spread=1.0,
                minimum=1.0,
                maximum=3.0,
                quantiles=(1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0),
                edges=(2.0,),
                categories=None,
            ),
            FeatureStatistics("word", "text", 1, None, None, None, None, None, None, ("a", "b")),
            FeatureStatistics(
                "flag", "boolean", 1, 0.5, 0.5, 0.0, 1.0, (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0), (0.5,), None
            ),
        ),
        # z is in no training row: the classes are what the target means, not what was measured.
        target=TargetStatistics("t", "classification", ("x", "y", "z"), None, None),
    )


def test_they_are_canonical_json_and_come_back(statistics: Statistics) -> None:
    data = statistics.to_bytes()
    assert rfc8785.dumps(json.loads(data)) == data
    assert b'"mean":2,' in data
    assert Statistics.from_bytes(data) == statistics
    assert type(Statistics.from_bytes(data).features[0].mean) is float


def test_regression_has_mean_and_spread_of_the_target(table_of: TableOf) -> None:
    about = compute(table_of("a,t\n1,1.5\n2,2.5\n3,9\n"), np.array([0, 1]), "t", "regression").target
    assert about == TargetStatistics("t", "regression", None, 2.0, 0.5)


def test_mean_and_spread_are_the_exact_sums_rounded_once(table_of: TableOf) -> None:
    values = [1e16, 1.0, -1e16, 3.0, 0.1]
    table = table_of("a,t\n" + "".join(f"{value!r},{n}\n" for n, value in enumerate(values)))
    feature = compute(table, np.arange(5), "t", "regression").features[0]
    mean = float(sum(map(Fraction, values))) / 5
    squares = [(value - mean) * (value - mean) for value in values]
    assert feature.mean == mean
    assert feature.spread == math.sqrt(float(sum(map(Fraction, squares))) / 5)


def test_the_order_of_rows_does_not_matter(table_of: TableOf, datasets: Path) -> None:
    table = table_of((datasets / "wine.csv").read_text())
    rows = np.arange(table.rows)
    forward, back = (compute(table, order, "cultivar", "classification") for order in (rows, rows[::-1]))
    assert forward.to_bytes() == back.to_bytes()


def test_a_constant_feature_can_be_divided_by(table_of: TableOf) -> None:
    table = table_of("a,t\n0.1,1\n0.1,2\n0.1,3\n")
    feature = compute(table, np.arange(3), "t", "regression").features[0]
    assert (feature.mean, feature.spread, feature.edges) == (0.1, 1.0, ())


def test_a_feature_that_is_missing_in_all_training_rows_counts_as_zero(table_of: TableOf) -> None:
    table = table_of("a,b,t\n,1,1\n,1,2\n7,1,3\n")
    feature = compute(table, np.array([0, 1]), "t", "regression").features[0]
    assert (feature.missing, feature.mean, feature.spread, feature.quantiles) == (2, 0.0, 1.0, ())
    assert Statistics.from_bytes(compute(table, np.array([0, 1]), "t", "regression").to_bytes())


def test_quantiles_are_values_of_the_column(table_of: TableOf) -> None:
    table = table_of("a,t\n" + "".join(f"{n},{n}\n" for n in range(1, 201)))
    feature = compute(table, np.arange(200), "t", "regression").features[0]
    assert feature.quantiles == tuple(2.0 * percent for percent in QUANTILES)


def test_free_text_has_no_categories(table_of: TableOf) -> None:
    table = table_of("a,t\n" + "".join(f"word {n},{n}\n" for n in range(300)))
    assert compute(table, np.arange(5), "t", "regression").features[0].categories is None


def test_numbers_whose_squares_overflow_are_refused(table_of: TableOf) -> None:
    table = table_of("a,t\n1e200,1\n-1e200,2\n")
    with pytest.raises(InvalidData, match="'a' has values up to 1e\\+200, whose squares overflow"):
        compute(table, np.arange(2), "t", "regression")


def test_few_distinct_values_get_a_bin_each() -> None:
    assert _edges(np.array([1.0, 1.0, 2.0, 4.0])) == (1.5, 3.0)
    neighbours = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert _edges(neighbours) == (1.0,)  # half-way rounds to one of the two
    assert _edges(np.array([1.7e308, 1.79e308])) == (1.745e308,)
    assert len(_edges(np.arange(256.0))) == 255


@given(st.lists(st.floats(-1e6, 1e6), min_size=257, max_size=600, unique=True))
def test_many_values_are_cut_into_256_bins_of_nearly_equal_size(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    edges = _edges(ordered)
    assert len(edges) == 255
    assert list(edges) == sorted(set(edges))
    counts = np.bincount(np.searchsorted(edges, ordered, side="left"), minlength=256)
    assert counts.min() >= 1
    assert counts.max() <= -(-len(values) // 256) + 1


def test_a_frequent_value_is_one_bin() -> None:
    ordered = np.sort(np.concatenate([np.zeros(1000), np.arange(1.0, 301.0)]))
    edges = _edges(ordered)
    assert edges[0] == 0.0
    assert len(edges) <= 255
    assert edges[-1] < ordered[-1]


def altered(statistics: Statistics, path: str, value: Any) -> bytes:
    plain = json.loads(statistics.to_bytes())
    *steps, last = path.split(".")
    place = plain
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return rfc8785.dumps(plain)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rows", 0),
        ("rows", "3"),
        ("features", []),
        ("features", None),
        ("features.0", 3),
        ("features.0", ["name"]),
        ("features.0.name", []),
        ("target.name", None),
        ("features.0.name", "word"),
        ("features.0.name", "t"),
        ("features.0.type", "date"),
        ("features.0.type", "text"),
        ("features.0.missing", 4),
        ("features.0.mean", None),
        ("features.0.mean", "2"),
        ("features.0.mean", True),
        ("features.0.spread", 0),
        ("features.0.spread", -1),
        ("features.0.edges", [None]),
        ("features.0.edges", 5),
        ("features.0.categories", ["a"]),
        ("features.0.note", "x"),
        ("features.1.categories", [1]),
        ("target.task", "clustering"),
        ("target.task", "regression"),
        ("target.classes", None),
        ("target.mean", 1),
        ("target", None),
        ("note", "x"),
    ],
)
def test_bytes_of_another_form_are_refused(path: str, value: Any, statistics: Statistics) -> None:
    with pytest.raises(InvalidData, match="the statistics are not valid"):
        Statistics.from_bytes(altered(statistics, path, value))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"1", b" {}"])
def test_what_is_no_statistics_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData, match="the statistics"):
        Statistics.from_bytes(data)
