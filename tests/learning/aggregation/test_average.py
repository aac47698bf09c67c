"""The mean of parameters does not depend on who comes first."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.aggregation.average import average, weighted_mean
from learning.artifacts.codec import load
from learning.errors import InvalidArtifact
from learning.session import Session

numbers = st.floats(-1e100, 1e100)
parts = st.lists(st.tuples(numbers, st.integers(1, 2**20)), min_size=1, max_size=6)


@given(parts, st.randoms())
def test_the_mean_is_exact_to_rounding_in_any_order(pairs: list[tuple[float, int]], random: object) -> None:
    mean = weighted_mean([(np.array([value]), rows) for value, rows in pairs])[0]
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert weighted_mean([(np.array([value]), rows) for value, rows in shuffled])[0] == mean
    exact = sum(Fraction(value) * rows for value, rows in pairs) / sum(rows for _, rows in pairs)
    assert mean == pytest.approx(float(exact), rel=4e-16, abs=1e-300)


def test_memory_order_is_kept() -> None:
    column_ordered = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    mean = weighted_mean([(column_ordered, 1), (np.ones((2, 3)), 1)])
    assert mean.flags.f_contiguous
    assert not mean.flags.c_contiguous
    assert (mean == (np.arange(6.0).reshape(2, 3) + 1) / 2).all()


def test_a_network_is_the_weighted_mean_of_networks(job: Callable[..., Session]) -> None:
    spec = {
        "pipeline": [
            {"class": "sklearn.preprocessing.StandardScaler"},
            {"class": "sklearn.neural_network.MLPClassifier", "params": {"max_iter": 30, "hidden_layer_sizes": [8]}},
        ]
    }
    session = job("iris", spec, "average", partitions=3)
    updates = [session.train(0, partition, None) for partition in range(3)]
    mean = load(session.aggregate(0, [(u.artifact, u.rows) for u in updates]).artifact)[0]
    each = [load(u.artifact)[0] for u in updates]
    total = sum(u.rows for u in updates)
    for layer in range(2):
        expected = sum(
            u.rows * model.estimator.coefs_[layer] for u, model in zip(updates, each, strict=True)
        ) / total
        assert np.allclose(mean.estimator.coefs_[layer], expected, rtol=1e-14, atol=0)


def test_networks_of_a_job_begin_at_the_same_weights(job: Callable[..., Session]) -> None:
    spec = {
        "class": "sklearn.neural_network.MLPRegressor",
        "params": {"max_iter": 1, "learning_rate_init": 1e-12, "hidden_layer_sizes": [4]},
    }
    session = job("diabetes", spec, "average")
    first, second = (load(session.train(0, p, None).artifact)[0].estimator.coefs_[0] for p in (0, 1))
    assert np.allclose(first, second, rtol=0, atol=1e-9)


def test_updates_that_differ_in_shape_or_kind_are_refused(job: Callable[..., Session]) -> None:
    path = "sklearn.linear_model.LogisticRegression"
    iris = load(job("iris", path, "average").train(0, 0, None).artifact)[0]
    cancer = load(job("breast_cancer", path, "average").train(0, 0, None).artifact)[0]
    with pytest.raises(InvalidArtifact, match="differ in shape"):
        average([(iris, 1), (cancer, 1)])
    merged = load(job("iris", "sklearn.naive_bayes.GaussianNB", "merge").train(0, 0, None).artifact)[0]
    with pytest.raises(InvalidArtifact, match="only fitted"):
        average([(iris, 1), (merged, 1)])
