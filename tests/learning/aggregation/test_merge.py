"""Merged models are the same bits for any number and order of partitions, and those of all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.naive_bayes import GaussianNB

from learning.aggregation.merge import merge
from learning.artifacts.codec import load
from learning.errors import InvalidArtifact
from learning.session import Session

SCALER = {"class": "sklearn.preprocessing.StandardScaler"}
MERGED = [
    ("iris", {"class": "sklearn.naive_bayes.GaussianNB"}),
    ("iris", {"class": "sklearn.neighbors.KNeighborsClassifier"}),
    ("diabetes", {"class": "sklearn.neighbors.KNeighborsRegressor", "params": {"weights": "distance"}}),
    ("diabetes", {"class": "sklearn.linear_model.LinearRegression"}),
    ("diabetes", {"class": "sklearn.linear_model.Ridge", "params": {"alpha": 0.1}}),
    ("diabetes", {"class": "sklearn.linear_model.Ridge", "params": {"fit_intercept": False}}),
]


@pytest.mark.parametrize("scaled", [False, True], ids=["raw", "scaled"])
@pytest.mark.parametrize(
    ("name", "spec"), MERGED, ids=lambda v: v["class"].split(".")[-1] if isinstance(v, dict) else v
)
def test_any_division_and_order_gives_the_same_bytes(
    job: Callable[..., Session], name: str, spec: dict[str, Any], scaled: bool
) -> None:
    spec = {"pipeline": [SCALER, spec]} if scaled else spec
    whole = job(name, spec, "merge").train_whole()
    for partitions, seed in ((1, "00"), (2, "01"), (7, "02"), (31, "03")):
        session = job(name, spec, "merge", partitions=partitions, seed=seed * 32)
        updates = [session.train(0, partition, None) for partition in range(partitions)]
        pairs = [(update.artifact, update.rows) for update in updates]
        assert session.aggregate(0, pairs) == whole
        assert session.aggregate(0, pairs[::-1]) == whole


def rows_of(session: Session) -> tuple[Any, Any]:
    data, _ = session._ready()
    return data.matrix[data.training_rows], data.targets[data.training_rows]


@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        ({"class": "sklearn.linear_model.LinearRegression"}, LinearRegression()),
        ({"class": "sklearn.linear_model.LinearRegression", "params": {"fit_intercept": False}},
         LinearRegression(fit_intercept=False)),
        ({"class": "sklearn.linear_model.Ridge", "params": {"alpha": 3}}, Ridge(alpha=3)),
        ({"class": "sklearn.linear_model.Ridge", "params": {"alpha": 3, "fit_intercept": False}},
         Ridge(alpha=3, fit_intercept=False)),
    ],
)  # fmt: skip
def test_least_squares_is_that_of_scikit_learn(
    job: Callable[..., Session], spec: dict[str, Any], reference: Any
) -> None:
    session = job("diabetes", spec, "merge")
    found = load(session.train_whole().artifact)[0].fitted.estimator
    reference.fit(*rows_of(session))
    assert np.allclose(found.coef_, reference.coef_, rtol=1e-6, atol=1e-6)
    assert found.intercept_ == pytest.approx(reference.intercept_, rel=1e-8)


def test_naive_bayes_is_that_of_scikit_learn(job: Callable[..., Session]) -> None:
    session = job("iris", "sklearn.naive_bayes.GaussianNB", "merge")
    found = load(session.train_whole().artifact)[0].fitted.estimator
    reference = GaussianNB().fit(*rows_of(session))
    assert np.allclose(found.theta_, reference.theta_, rtol=1e-8)
    assert np.allclose(found.var_, reference.var_, rtol=1e-8)
    assert np.array_equal(found.class_prior_, reference.class_prior_)


def test_updates_of_another_scaling_are_refused(job: Callable[..., Session]) -> None:
    path = "sklearn.linear_model.Ridge"
    raw = load(job("diabetes", path, "merge").train(0, 0, None).artifact)[0]
    scaled = load(job("diabetes", {"pipeline": [SCALER, {"class": path}]}, "merge").train(0, 0, None).artifact)[0]
    with pytest.raises(InvalidArtifact, match="different scaling"):
        merge([(raw, 1), (scaled, 1)])
