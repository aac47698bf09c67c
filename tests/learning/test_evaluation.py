"""Metrics agree with scikit-learn's; scores are whole millionths."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from learning.errors import InvalidSpec
from learning.evaluation import LOWEST, METRICS, check_metric, confusion, micro

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_classification_metrics(classes: int) -> None:
    targets, predicted = RANDOM.integers(0, classes, (2, 200))
    targets[targets == classes - 1] = 0  # a class that the holdout lacks
    probabilities = RANDOM.dirichlet(np.ones(classes), 200)
    expected = {
        "accuracy": metrics.accuracy_score(targets, predicted),
        "f1_macro": metrics.f1_score(targets, predicted, average="macro"),
        "neg_log_loss": -metrics.log_loss(targets, probabilities, labels=np.arange(classes)),
        "balanced_accuracy": np.mean(
            metrics.recall_score(targets, predicted, average=None, labels=np.unique(targets))
        ),
    }
    for name, value in expected.items():
        assert METRICS[name].of(targets, predicted, probabilities, classes) == pytest.approx(value, rel=1e-12)
    assert (
        confusion(targets, predicted, classes)
        == metrics.confusion_matrix(targets, predicted, labels=np.arange(classes))
    ).all()


def test_regression_metrics() -> None:
    targets, predicted = RANDOM.normal(size=(2, 100))
    expected = {
        "r2": metrics.r2_score(targets, predicted),
        "neg_mean_squared_error": -metrics.mean_squared_error(targets, predicted),
        "neg_mean_absolute_error": -metrics.mean_absolute_error(targets, predicted),
    }
    for name, value in expected.items():
        assert METRICS[name].of(targets, predicted, None, 0) == pytest.approx(value, rel=1e-12)


def test_r2_of_a_target_without_spread() -> None:
    same = np.ones(3)
    assert METRICS["r2"].of(same, same, None, 0) == 1.0
    assert METRICS["r2"].of(same, same * 2, None, 0) == 0.0


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (0.5, 500_000),
        (1 / 3, 333_333),
        (2 / 3, 666_667),
        (-1.5e-6, -2),  # the nearest double is a little further from 0
        (0.5 + 2**-21, 500_000),  # 500000.476...
        (0.0000005, 0),  # the nearest double is below the half
        (2**-7, 7_812),  # exactly 7812.5: to the even side
        (3 * 2**-7, 23_438),  # exactly 23437.5
        (float("nan"), LOWEST),
        (float("-inf"), LOWEST),
        (-1e300, LOWEST),
    ],
)
def test_a_score_is_rounded_half_to_even_from_the_exact_value(value: float, score: int) -> None:
    assert micro(value) == score


def test_a_metric_of_the_other_task_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"accuracy.* for classification, came 'r2'"):
        check_metric("r2", "classification")
    with pytest.raises(InvalidSpec, match=r"came 'Acuracy'; did you mean accuracy\?"):
        check_metric("Acuracy", "classification")
