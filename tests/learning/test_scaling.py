"""Scaling comes from the shared statistics and is the same for all partitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.preprocessing import MinMaxScaler

from learning.catalogue import CATALOGUE
from learning.estimators import Step, parse_spec
from learning.features import standardise
from learning.models import apply_scaling
from learning.scaling import Columns, columns_of, scaling_of
from learning.session import Session


def steps(*names: str, **params: object) -> list[Step]:
    return [Step(CATALOGUE[f"sklearn.preprocessing.{name}"], params) for name in names]


def test_standard_scaling_is_that_of_the_features(job: Callable[..., Session]) -> None:
    data, _ = job("iris", "sklearn.naive_bayes.GaussianNB", "merge")._ready()
    scaling = scaling_of(steps("StandardScaler"), columns_of(data.statistics))
    matrix = np.concatenate([data.matrix, data.matrix[:1] * 1e6])
    assert np.array_equal(apply_scaling(scaling, matrix), standardise(matrix, data.statistics))


def test_range_scaling_is_that_of_the_training_rows(job: Callable[..., Session]) -> None:
    data, _ = job("iris", "sklearn.naive_bayes.GaussianNB", "merge")._ready()
    scaling = scaling_of(steps("MinMaxScaler", feature_range=(-1, 3)), columns_of(data.statistics))
    reference = MinMaxScaler((-1, 3)).fit(data.matrix[data.training_rows])
    assert np.allclose(apply_scaling(scaling, data.matrix), reference.transform(data.matrix), atol=1e-12)


def test_a_step_after_another_sees_what_that_one_made() -> None:
    columns = Columns(np.array([5.0]), np.array([2.0]), np.array([0.0]), np.array([10.0]))
    both = scaling_of(steps("StandardScaler", "MinMaxScaler"), columns)
    values = apply_scaling(both, np.array([[0.0], [5.0], [10.0]]))
    assert np.allclose(values.ravel(), [0, 0.5, 1])
    other = scaling_of(steps("MinMaxScaler", "StandardScaler"), columns)
    assert np.allclose(apply_scaling(other, np.array([[5.0], [7.0]])).ravel(), [0, 1])


def test_a_column_without_range_is_not_divided_by_zero() -> None:
    columns = Columns(np.array([5.0]), np.array([1.0]), np.array([5.0]), np.array([5.0]))
    assert np.isfinite(apply_scaling(scaling_of(steps("MinMaxScaler"), columns), np.array([[5.0], [6.0]]))).all()


def test_parameters_of_the_scalers_count() -> None:
    columns = Columns(np.array([5.0]), np.array([2.0]), np.array([0.0]), np.array([10.0]))
    plan = parse_spec(
        {"pipeline": [{"class": "sklearn.preprocessing.StandardScaler", "params": {"with_mean": False}},
                      {"class": "sklearn.linear_model.Ridge"}]},
        "regression",
    )  # fmt: skip
    assert apply_scaling(scaling_of(plan.scaling, columns), np.array([[4.0]])).tolist() == [[2.0]]
    clipped = scaling_of(steps("MinMaxScaler", clip=True), columns)
    assert apply_scaling(clipped, np.array([[-9.0], [99.0]])).ravel().tolist() == [0.0, 1.0]
