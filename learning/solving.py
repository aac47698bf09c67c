"""Naive Bayes and least squares from exact sums of fixed-point integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.errors import InvalidArtifact
from learning.estimators import Plan

Floats = npt.NDArray[np.float64]

# Directions whose variance is below this part of the largest one (columns brought to equal variance) count as
# collinear. Rounding to 2**-32 spreads disturbs an exactly collinear direction by about 2**-64 of its
# variance, and the eigenvalue solver by about 2**-52 per column.
_COLLINEAR = 1e-12
# Part of the shared spread's square that naive Bayes adds where the rows at hand have no variance at all.
_LEAST_SMOOTHING = 1e-9


@dataclass(frozen=True)
class Units:
    """A column's fixed-point value is (u - offset) / factor; offset and factor have shape (features,)."""

    offset: Floats
    factor: Floats
    target_offset: float
    target_factor: float


@dataclass(frozen=True)
class Moments:
    """Counts and sums as in `learning.sufficient.Merged`, with `bits` bits behind the point."""

    units: Units
    count: npt.NDArray[np.int64]
    sums: npt.NDArray[Any]
    bits: int


def naive_bayes(plan: Plan, moments: Moments) -> Any:
    """GaussianNB of the seen classes. Means and variances are exact quotients of integers, rounded once.

    Variances are population variances plus `var_smoothing` times the largest variance over all rows of a
    column, as scikit-learn's GaussianNB computes them from data.
    """
    units, seen = moments.units, np.flatnonzero(moments.count)
    counts = [int(moments.count[label]) for label in seen]
    first, second = moments.sums[0][seen], moments.sums[1][seen]
    one = 1 << moments.bits
    variances = np.array(
        [[_variance(n, s, q, one) for s, q in zip(*pair, strict=True)]
         for n, *pair in zip(counts, first, second, strict=True)]
    )  # fmt: skip
    means = np.array(
        [[_quotient(s, n * one) for s in row] for n, row in zip(counts, first, strict=True)]
    )
    overall = np.array([
        _variance(sum(counts), s, q, one)
        for s, q in zip(first.sum(axis=0), second.sum(axis=0), strict=True)
    ])
    if (variances < 0).any() or (overall < 0).any():
        raise InvalidArtifact("naive Bayes: sums of squares are too small for the sums; no rows have these")
    estimator = plan.build(None)
    squared = units.factor**2
    smoothing = float(estimator.var_smoothing) * float((overall * squared).max())
    lowest = _LEAST_SMOOTHING * float(squared.max())
    estimator.epsilon_ = smoothing
    estimator.theta_ = units.offset + units.factor * means
    estimator.var_ = variances * squared + smoothing
    if not estimator.var_.min() > 0:
        estimator.var_ = variances * squared + max(smoothing, lowest)
    estimator.class_count_ = np.array(counts, dtype=np.float64)
    priors = estimator.priors
    if priors is None:
        estimator.class_prior_ = estimator.class_count_ / sum(counts)
    else:
        if len(priors) != len(moments.count):
            raise InvalidArtifact(f"priors: expected {len(moments.count)} probabilities, came {len(priors)}")
        chosen = np.array(priors, dtype=np.float64)[seen]
        if not chosen.sum() > 0:
            raise InvalidArtifact("priors: the classes of these rows have a prior of 0")
        estimator.class_prior_ = chosen / chosen.sum()
    estimator.classes_ = seen.astype(np.int64)
    _finite(estimator.theta_, estimator.var_)
    return estimator


def least_squares(plan: Plan, moments: Moments) -> Any:
    """LinearRegression or Ridge from the sums of products of (1, columns, target).

    Minimises |y - Xw - b|^2 + alpha |w|^2 (alpha 0 for LinearRegression) by the normal equations of the
    centred columns, brought to unit diagonal and solved by their eigenvectors; collinear directions get no
    weight.
    """
    units, one = moments.units, 1 << moments.bits
    estimator = plan.build(None)
    alpha = float(estimator.alpha) if plan.estimator.entry.name == "Ridge" else 0.0
    n, sums = int(moments.count[0]), moments.sums
    if int(sums[0, 0]) != n * one * one or not np.array_equal(sums, sums.T):
        raise InvalidArtifact("least squares: the sums contradict the number of rows")
    total = sums[0] // one
    if not np.array_equal(total * one, sums[0]):
        raise InvalidArtifact("least squares: the sums of columns are not whole")
    size = len(sums)
    scale = np.concatenate([units.factor, [units.target_factor]])
    mean = np.array([_quotient(int(t), n * one) for t in total[1:]])
    centre = np.concatenate([units.offset, [units.target_offset]])
    spread = np.empty((size - 1, size - 1))
    for i in range(size - 1):
        for j in range(i + 1):
            exact = n * int(sums[i + 1, j + 1]) - int(total[i + 1]) * int(total[j + 1])
            spread[i, j] = spread[j, i] = _quotient(exact, n * one * one)
    if (np.diag(spread) < 0).any():
        raise InvalidArtifact("least squares: sums of squares are too small for the sums; no rows have these")
    raw_mean = centre + scale * mean
    if not estimator.fit_intercept:
        # Around zero instead of the mean: add n (mean / scale)^2 back, in the columns' own units.
        shift = raw_mean / scale
        spread = spread + n * np.outer(shift, shift)
    matrix = spread[:-1, :-1] + np.diag(alpha / units.factor**2)
    weights = _solve(matrix, spread[:-1, -1]) * units.target_factor / units.factor
    estimator.coef_ = weights
    intercept = raw_mean[-1] - float(np.sum(weights * raw_mean[:-1])) if estimator.fit_intercept else 0.0
    estimator.intercept_ = np.float64(intercept)
    _finite(weights, np.array([intercept]))
    return estimator


def _solve(matrix: Floats, right: Floats) -> Floats:
    with np.errstate(all="ignore"):
        diagonal = np.sqrt(np.diag(matrix))
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
        scaled = matrix / np.outer(diagonal, diagonal)
        _finite(scaled)
        values, vectors = np.linalg.eigh(scaled)
        kept = values > _COLLINEAR * max(float(values.max(initial=0.0)), 0.0)
        inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
        found: Floats = (vectors @ (inverse * (vectors.T @ (right / diagonal)))) / diagonal
    return found


def _variance(count: int, total: Any, squares: Any, one: int) -> float:
    return _quotient(count * int(squares) - int(total) ** 2, (count * one) ** 2)


def _quotient(numerator: int, denominator: int) -> float:
    # Python divides integers correctly rounded, whatever their size.
    return int(numerator) / denominator


def _finite(*arrays: Floats) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise InvalidArtifact("the merged statistics give values that are not finite")
