"""An ensemble predicts the row-weighted mean of its members."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from learning.aggregation import combine
from learning.artifacts.codec import load
from learning.errors import InvalidArtifact, InvalidSpec
from learning.models import Constant, Ensemble
from learning.session import Session


def test_regression_is_the_weighted_mean(job: Callable[..., Session]) -> None:
    session = job("diabetes", "sklearn.tree.DecisionTreeRegressor", "ensemble")
    updates = [session.train(0, partition, None) for partition in range(4)]
    whole = load(session.aggregate(0, [(u.artifact, u.rows) for u in updates]).artifact)[0]
    matrix = session._ready()[0].holdout_matrix
    each = [load(u.artifact)[0].predict(matrix) for u in updates]
    expected = sum(u.rows * p for u, p in zip(updates, each, strict=True)) / sum(u.rows for u in updates)
    assert np.allclose(whole.predict(matrix), expected, rtol=1e-12)


def test_members_that_know_other_classes_share_one_class_list() -> None:
    model = Ensemble(2, 3, ((Constant(2, 3, 0), 1), (Constant(2, 3, 2), 3)))
    matrix = np.zeros((1, 2))
    assert model.probabilities(matrix).tolist() == [[0.25, 0.0, 0.75]]  # type: ignore[union-attr]
    assert model.predict(matrix).tolist() == [2]


def test_a_member_without_probabilities_votes(job: Callable[..., Session]) -> None:
    session = job("iris", "sklearn.linear_model.SGDClassifier", "ensemble")
    updates = [session.train(0, partition, None) for partition in range(4)]
    model = load(session.aggregate(0, [(u.artifact, u.rows) for u in updates]).artifact)[0]
    probabilities = model.probabilities(session._ready()[0].holdout_matrix)
    assert probabilities is not None
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_an_ensemble_of_ensembles_and_of_nothing_are_refused() -> None:
    inner = Ensemble(2, 3, ((Constant(2, 3, 0), 1),))
    with pytest.raises(InvalidArtifact, match="must be fitted"):
        combine("ensemble", [(inner, 1)])
    with pytest.raises(InvalidArtifact, match="at least one update"):
        combine("ensemble", [])
    with pytest.raises(InvalidSpec, match="came 'auto'"):
        combine("auto", [(Constant(2, 3, 0), 1)])
