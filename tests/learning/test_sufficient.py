"""Sums in fixed point are exact, and statistics no rows can have are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.artifacts.codec import load
from learning.artifacts.envelope import pack, unpack
from learning.errors import InvalidArtifact
from learning.session import Session
from learning.solving import Units
from learning.sufficient import _fixed, _products, _squares, collect

wholes = st.integers(-(2**47), 2**47)
matrices = st.lists(st.tuples(wholes, wholes, wholes), min_size=1, max_size=6)


@given(matrices)
def test_products_and_squares_are_those_of_whole_numbers(rows: list[tuple[int, int, int]]) -> None:
    exact = np.array(rows, dtype=object)
    inexact = np.array(rows, dtype=np.float64)  # below 2**53: the same numbers
    assert np.array_equal(_products(inexact, inexact), exact.T @ exact)
    assert np.array_equal(_squares(inexact), (exact**2).sum(axis=0))


def test_values_are_rounded_to_two_to_the_minus_32_and_cut_off() -> None:
    fixed = _fixed(np.array([1.0, 3.0, 1 + 2.0**-33, 1e300]), np.array(1.0), np.array(2.0))
    assert fixed.tolist() == [0.0, 2.0**32, 0.0, 2.0**47]


@pytest.mark.parametrize(
    ("name", "data", "array", "index", "value", "words"),
    [
        ("sklearn.naive_bayes.GaussianNB", "iris", "count", 0, -1, "impossible row counts"),
        ("sklearn.naive_bayes.GaussianNB", "iris", "sums.high", (1, 0, 0), -(2**40), "too small for the sums"),
        ("sklearn.naive_bayes.GaussianNB", "iris", "unit.factor", 0, 0.0, "above 0"),
        ("sklearn.linear_model.Ridge", "diabetes", "count", 0, 5, "contradict the number of rows"),
        ("sklearn.linear_model.Ridge", "diabetes", "sums.high", (2, 3), 7, "contradict the number of rows"),
        ("sklearn.linear_model.Ridge", "diabetes", "sums.high", (2, 2), -(2**40), "too small for the sums"),
        ("sklearn.neighbors.KNeighborsClassifier", "iris", "targets", 0, 3, "within 0..2"),
    ],
)
def test_impossible_statistics_are_refused(
    job: Callable[..., Session], name: str, data: str, array: str, index: Any, value: Any, words: str
) -> None:
    header, arrays = unpack(job(data, name, "merge").train(0, 0, None).artifact)
    arrays[array][index] = value
    header = {k: v for k, v in header.items() if k not in {"format", "version", "fortran"}}
    with pytest.raises(InvalidArtifact, match=words):
        load(pack(header, arrays))


def test_collinear_columns_get_no_wild_weights(job: Callable[..., Session]) -> None:
    """Two equal columns share the weight that one would have."""
    session = job("diabetes", "sklearn.linear_model.LinearRegression", "merge")
    data, setting = session._ready()
    twice = np.hstack([data.matrix, data.matrix[:, :1]])
    units = Units(
        np.append(setting.units.offset, setting.units.offset[0]),
        np.append(setting.units.factor, setting.units.factor[0]),
        setting.units.target_offset, setting.units.target_factor,
    )  # fmt: skip
    single = collect(setting.plan, 0, (), setting.units, data.matrix, data.targets).fitted.estimator.coef_
    double = collect(setting.plan, 0, (), units, twice, data.targets).fitted.estimator.coef_
    assert double[0] == pytest.approx(double[10], rel=1e-6)
    assert double[0] + double[10] == pytest.approx(single[0], rel=1e-6)
