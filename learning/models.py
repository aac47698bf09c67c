"""Fitted models in memory. They take raw feature columns and speak of classes by index.

A *model* predicts from the design matrix of `learning.features` (float64, C order, shape (rows, features),
raw units). Classes are the indices 0..K-1 of the shared statistics' class list, whether or not a partition
saw them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from learning.errors import InvalidData
from learning.estimators import Plan

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Scale:
    """One scaling step, column by column: (x - offset) / factor, kept within low..high where those are set."""

    offset: Floats
    factor: Floats
    low: float | None
    high: float | None


def apply_scaling(steps: Sequence[Scale], matrix: Floats) -> Floats:
    """The columns as the estimator sees them, shape (rows, features)."""
    with np.errstate(all="ignore"):
        for step in steps:
            matrix = (matrix - step.offset) / step.factor
            if step.low is not None and step.high is not None:
                matrix = np.clip(matrix, step.low, step.high)
    return np.ascontiguousarray(matrix)


class Model(Protocol):
    """What a loaded artifact can do. `classes` is K, or 0 for regression."""

    @property
    def features(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def predict(self, matrix: Floats) -> Labels:
        """Class indices (int64) or values (float64), shape (rows,)."""
    def probabilities(self, matrix: Floats) -> Floats | None:
        """Shape (rows, K), rows summing to 1; None for regression and where the estimator has none."""


@dataclass(frozen=True)
class Fitted:
    """A fitted scikit-learn estimator behind its scaling. It may know a subset of the classes only."""

    plan: Plan
    features: int
    classes: int
    scaling: tuple[Scale, ...]
    estimator: Any

    def predict(self, matrix: Floats) -> Labels:
        found = self._ask("predict", matrix)
        return found.astype(np.int64 if self.classes else np.float64)

    def probabilities(self, matrix: Floats) -> Floats | None:
        if not self.classes or not hasattr(self.estimator, "predict_proba"):
            return None
        known = self._ask("predict_proba", matrix)
        result = np.zeros((len(matrix), self.classes))
        result[:, self.estimator.classes_.astype(np.int64)] = known
        return result

    def _ask(self, method: str, matrix: Floats) -> npt.NDArray[Any]:
        if not len(matrix):
            return np.zeros((0, len(self.estimator.classes_)) if method == "predict_proba" else 0)
        scaled = apply_scaling(self.scaling, matrix)
        if not np.isfinite(scaled).all() or np.abs(scaled).max(initial=0.0) > np.finfo(np.float32).max:
            raise InvalidData("a feature is too large for the model: expected values within about 1e38")
        with np.errstate(all="ignore"):
            found: npt.NDArray[Any] = np.asarray(getattr(self.estimator, method)(scaled))
        return found


@dataclass(frozen=True)
class Constant:
    """Always one class: what a partition that holds a single class can teach an estimator that needs two."""

    features: int
    classes: int
    label: int

    def predict(self, matrix: Floats) -> Labels:
        return np.full(len(matrix), self.label, dtype=np.int64)

    def probabilities(self, matrix: Floats) -> Floats | None:
        result = np.zeros((len(matrix), self.classes))
        result[:, self.label] = 1.0
        return result


@dataclass(frozen=True)
class Ensemble:
    """Members in partition order, weighted by the rows they trained on.

    Regression: the weighted mean of their values. Classification: the weighted mean of their probabilities,
    where a member without probabilities gives 1 to the class it predicts; the first class of the largest
    mean wins.
    """

    features: int
    classes: int
    members: tuple[tuple[Model, int], ...]

    def predict(self, matrix: Floats) -> Labels:
        if self.classes:
            labels: Labels = np.argmax(self._mean(matrix), axis=1).astype(np.int64)
            return labels
        return self._mean(matrix)

    def probabilities(self, matrix: Floats) -> Floats | None:
        return self._mean(matrix) if self.classes else None

    def _mean(self, matrix: Floats) -> Floats:
        total = np.zeros((len(matrix), self.classes) if self.classes else len(matrix))
        with np.errstate(all="ignore"):
            for model, rows in self.members:
                total += rows * (_votes(model, matrix) if self.classes else model.predict(matrix))
            return total / sum(rows for _, rows in self.members)


def _votes(model: Model, matrix: Floats) -> Floats:
    known = model.probabilities(matrix)
    if known is not None:
        return known
    votes = np.zeros((len(matrix), model.classes))
    votes[np.arange(len(matrix)), model.predict(matrix)] = 1.0
    return votes
