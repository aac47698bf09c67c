"""Scores on the holdout. Greater is better for every metric, as in scikit-learn's scorers (errors are
negated).

Sums are rounded once (`math.fsum`), so a score depends on the predictions alone and not on how they are
added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from learning.catalogue import CLASSIFICATION, REGRESSION
from learning.errors import InvalidData, InvalidSpec
from learning.models import Floats, Labels, Model

MILLION: Final = 1_000_000
# Scores are bounded so that they fit a signed 64-bit integer on the chain.
LOWEST: Final = -9_000_000_000_000_000_000
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """`of` takes targets, predictions, probabilities (or None) and the number of classes."""

    task: str
    of: Callable[[Labels, Labels, Floats | None, int], float]


def score(model: Model, metric: str, matrix: Floats, targets: Labels) -> int:
    """The metric in millionths, rounded half to even, on matrix (rows, features) and targets (rows,).

    A model whose predictions overflow gets the lowest score. Raises InvalidSpec for a metric that is
    unknown, of the other task, or in need of probabilities the model does not have.
    """
    check_metric(metric, CLASSIFICATION if model.classes else REGRESSION)
    predicted = model.predict(matrix)
    if not len(targets):
        raise InvalidData("the holdout has no rows; choose a larger holdout")
    if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
        return LOWEST
    probabilities = model.probabilities(matrix) if metric == "neg_log_loss" else None
    return micro(METRICS[metric].of(targets, predicted, probabilities, model.classes))


def check_metric(metric: str, task: str) -> None:
    """Raise InvalidSpec unless the metric is one of the task."""
    possible = [name for name, entry in METRICS.items() if entry.task == task]
    if metric not in possible:
        near = get_close_matches(metric.lower(), possible, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise InvalidSpec(f"metric: expected one of {', '.join(possible)} for {task}, came {metric!r}{meant}")


def micro(value: float) -> int:
    """A score in millionths: the double's exact value, rounded half to even, kept within 64 bits."""
    if not math.isfinite(value):
        return LOWEST
    return max(LOWEST, min(-LOWEST, round(Fraction(value) * MILLION)))


def report(model: Model, matrix: Floats, targets: Labels, classes: tuple[str, ...]) -> dict[str, Any]:
    """All metrics of a model on the holdout, in plain numbers.

    Classification: accuracy, balanced_accuracy, f1_macro, neg_log_loss (None without probabilities),
    `classes` with precision, recall, f1 and support of each, `confusion_matrix` (rows: true class, columns:
    predicted). Regression: r2, mean_absolute_error, mean_squared_error, root_mean_squared_error. Both:
    `rows`.
    """
    predicted = model.predict(matrix)
    if not model.classes:
        if not np.isfinite(predicted).all():
            raise InvalidData("the model's predictions overflow, so it has no metrics; the training diverged")
        squared = -_neg_mean_squared_error(targets, predicted, None, 0)
        return {
            "rows": len(targets),
            "r2": _r2(targets, predicted, None, 0),
            "mean_absolute_error": -_neg_mean_absolute_error(targets, predicted, None, 0),
            "mean_squared_error": squared,
            "root_mean_squared_error": math.sqrt(squared),
        }
    table = confusion(targets, predicted, model.classes)
    probabilities = model.probabilities(matrix)
    each = {}
    for index, name in enumerate(classes):
        right, came, there = int(table[index, index]), int(table[:, index].sum()), int(table[index].sum())
        each[name] = {
            "precision": right / came if came else 0.0,
            "recall": right / there if there else 0.0,
            "f1": 2 * right / (came + there) if came + there else 0.0,
            "support": there,
        }
    return {
        "rows": len(targets),
        "accuracy": _accuracy(targets, predicted, None, model.classes),
        "balanced_accuracy": _balanced_accuracy(targets, predicted, None, model.classes),
        "f1_macro": _f1_macro(targets, predicted, None, model.classes),
        "neg_log_loss": None
        if probabilities is None
        else _neg_log_loss(targets, predicted, probabilities, model.classes),
        "classes": each,
        "confusion_matrix": table.tolist(),
    }


def confusion(targets: Labels, predicted: Labels, classes: int) -> Counts:
    """How often true class i was predicted as j, shape (K, K)."""
    flat = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def _accuracy(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    return int((targets == predicted).sum()) / len(targets)


def _balanced_accuracy(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    """The mean recall of the classes that occur in the holdout."""
    table = confusion(targets, predicted, classes)
    there = table.sum(axis=1)
    recalls = [int(table[i, i]) / int(there[i]) for i in np.flatnonzero(there)]
    return math.fsum(recalls) / len(recalls)


def _f1_macro(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    """The mean F1 of the classes that occur in the holdout or among the predictions."""
    table = confusion(targets, predicted, classes)
    both = table.sum(axis=0) + table.sum(axis=1)
    scores = [2 * int(table[i, i]) / int(both[i]) for i in np.flatnonzero(both)]
    return math.fsum(scores) / len(scores)


def _neg_log_loss(targets: Labels, predicted: Labels, probabilities: Floats | None, classes: int) -> float:
    """Minus the mean of -ln p of the true class, p at least the double's epsilon (as scikit-learn's log_loss)."""
    if probabilities is None:
        raise InvalidSpec("metric neg_log_loss needs probabilities, which this estimator does not give; use accuracy")
    if not np.isfinite(probabilities).all():
        return -math.inf
    least = float(np.finfo(np.float64).eps)
    chosen = np.clip(probabilities[np.arange(len(targets)), targets], least, 1 - least)
    return math.fsum(math.log(p) for p in chosen.tolist()) / len(targets)


def _r2(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    mean = math.fsum(targets.tolist()) / len(targets)
    missed, varied = _square_sum(targets - predicted), _square_sum(targets - mean)
    if varied == 0:
        return 1.0 if missed == 0 else 0.0
    return 1.0 - missed / varied


def _neg_mean_squared_error(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    return -_square_sum(targets - predicted) / len(targets)


def _neg_mean_absolute_error(targets: Labels, predicted: Labels, _: Floats | None, classes: int) -> float:
    return -math.fsum(np.abs(targets - predicted).tolist()) / len(targets)


def _square_sum(values: Labels) -> float:
    with np.errstate(over="ignore"):
        squares = np.square(values)
    return math.fsum(squares.tolist()) if np.isfinite(squares).all() else math.inf


METRICS: Final[Mapping[str, Metric]] = {
    "accuracy": Metric(CLASSIFICATION, _accuracy),
    "f1_macro": Metric(CLASSIFICATION, _f1_macro),
    "balanced_accuracy": Metric(CLASSIFICATION, _balanced_accuracy),
    "neg_log_loss": Metric(CLASSIFICATION, _neg_log_loss),
    "r2": Metric(REGRESSION, _r2),
    "neg_mean_squared_error": Metric(REGRESSION, _neg_mean_squared_error),
    "neg_mean_absolute_error": Metric(REGRESSION, _neg_mean_absolute_error),
}
DEFAULT_METRIC: Final[Mapping[str, str]] = {CLASSIFICATION: "accuracy", REGRESSION: "r2"}
