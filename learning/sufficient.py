"""Sufficient statistics in fixed point: models that merge to the same bits however the rows were divided.

Naive Bayes needs counts, sums and sums of squares by class; least squares needs the sums of all products of
the columns and the target; nearest neighbours need the rows. A column value u becomes the integer
round((u - offset) / factor * 2**32), with the shared statistics' mean and spread as offset and factor (0 and 1
behind a scaler), cut off at 2**15 spreads. Sums of such integers are exact, so their order does not matter;
they are kept as 128-bit integers. All else is computed from the sums: `Merged.fitted`.

Products of integers are summed with floating-point matrix products of 16-bit limbs: each product is below
2**31 and at most 2**20 rows are summed at once, so every partial sum is an integer below 2**53 and exact in
any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.artifacts.envelope import Arrays, Fields
from learning.artifacts.states import MAX_NEIGHBOUR_ROWS, neighbours
from learning.errors import InvalidArtifact, InvalidData
from learning.estimators import Plan
from learning.models import Fitted, Floats, Labels, Scale, apply_scaling
from learning.solving import Moments, Units, least_squares, naive_bayes

FRACTION_BITS = 32
_LIMIT = 2.0**47
_CHUNK = 2**20
MAX_COLUMNS = 1_024
MAX_ROWS = 2**31
Integers = npt.NDArray[Any]  # of Python integers (dtype object)


@dataclass(frozen=True)
class Merged:
    """Statistics of some rows, and the model they make.

    `rows` and `targets` are set for nearest neighbours; `units`, `count` and `sums` otherwise: for naive
    Bayes count has shape (K,) and sums (2, K, features), sums and sums of squares; for least squares count
    has shape (1,) and sums (features + 2, features + 2): products of (1, columns, target).
    """

    plan: Plan
    features: int
    classes: int
    scaling: tuple[Scale, ...]
    units: Units | None
    count: npt.NDArray[np.int64] | None
    sums: Integers | None
    rows: Floats | None
    targets: Labels | None

    @cached_property
    def fitted(self) -> Fitted:
        """The estimator that follows from the statistics. Raises InvalidArtifact for impossible ones."""
        if self.rows is not None and self.targets is not None:
            scaled = apply_scaling(self.scaling, self.rows)
            try:
                estimator = neighbours(self.plan, scaled, self.targets, None)
            except ValueError as error:
                raise InvalidArtifact(f"nearest neighbours: {error}") from None
        else:
            solve = naive_bayes if self.classes else least_squares
            estimator = solve(self.plan, self._moments())
        estimator.n_features_in_ = self.features
        return Fitted(self.plan, self.features, self.classes, self.scaling, estimator)

    def predict(self, matrix: Floats) -> Labels:
        return self.fitted.predict(matrix)

    def probabilities(self, matrix: Floats) -> Floats | None:
        return self.fitted.probabilities(matrix)

    def arrays(self) -> Arrays:
        """What the artifact holds; 128-bit integers as a signed high and an unsigned low half."""
        if self.rows is not None and self.targets is not None:
            return {"rows": self.rows, "targets": self.targets}
        moments = self._moments()
        units = moments.units
        return {
            "unit.offset": units.offset,
            "unit.factor": units.factor,
            "unit.target": np.array([units.target_offset, units.target_factor]),
            "count": moments.count,
            "sums.high": (moments.sums >> 64).astype(np.int64),
            "sums.low": (moments.sums & (2**64 - 1)).astype(np.uint64),
        }

    def _moments(self) -> Moments:
        if self.units is None or self.count is None or self.sums is None:
            raise InvalidArtifact(f"the statistics of {self.plan.estimator.entry.path} are not whole")
        return Moments(self.units, self.count, self.sums, FRACTION_BITS)


def collect(
    plan: Plan, classes: int, scaling: tuple[Scale, ...], units: Units, matrix: Floats, targets: Labels
) -> Merged:
    """The statistics of some rows: design matrix (rows, features) in raw units and targets (rows,)."""
    features = matrix.shape[1]
    if plan.estimator.entry.name.startswith("KNeighbors"):
        return _rows(plan, classes, scaling, matrix + 0.0, targets)
    if features > MAX_COLUMNS and not classes:
        raise InvalidData(
            f"least squares is merged over at most {MAX_COLUMNS} encoded columns, came {features}; "
            'use aggregation "average" or fewer columns'
        )
    if not len(matrix) <= MAX_ROWS:
        raise InvalidData(f"at most {MAX_ROWS} rows can be merged, came {len(matrix)}")
    scaled = _fixed(apply_scaling(scaling, matrix), units.offset, units.factor)
    if classes:
        count = np.bincount(targets, minlength=classes).astype(np.int64)
        sums = np.zeros((2, classes, features), dtype=object)
        for label in np.flatnonzero(count):
            part = scaled[targets == label]
            sums[0, label] = _products(np.full((len(part), 1), 2.0**FRACTION_BITS), part)[0] >> FRACTION_BITS
            sums[1, label] = _squares(part)
    else:
        count = np.array([len(matrix)], dtype=np.int64)
        target = _fixed(targets[:, None], np.array([units.target_offset]), np.array([units.target_factor]))
        one = np.full((len(matrix), 1), 2.0**FRACTION_BITS)
        whole = np.hstack([one, scaled, target])
        sums = _products(whole, whole)
    return Merged(plan, features, classes, scaling, units, count, sums, None, None)


def combine(parts: Sequence[Merged]) -> Merged:
    """The statistics of the rows of all parts, equal for any order and division. Raises InvalidArtifact."""
    first = parts[0]
    for part in parts[1:]:
        if (part.features, part.classes) != (first.features, first.classes) or not (
            _same_units(part.units, first.units) and same_scaling(part.scaling, first.scaling)
        ):
            raise InvalidArtifact("updates of different scaling, columns or classes cannot be merged")
    if first.rows is not None:
        rows = np.concatenate([part.rows for part in parts if part.rows is not None])
        targets = np.concatenate([part.targets for part in parts if part.targets is not None])
        return _rows(first.plan, first.classes, first.scaling, rows, targets)
    moments = [part._moments() for part in parts]
    count = moments[0].count.copy()
    sums = moments[0].sums
    for one in moments[1:]:
        count += one.count
        sums = sums + one.sums
    return Merged(
        first.plan, first.features, first.classes, first.scaling, first.units, count, sums, None, None
    )


def read_merged(plan: Plan, fields: Fields, features: int, classes: int, scaling: tuple[Scale, ...]) -> Merged:
    """Statistics from an artifact's arrays. Raises InvalidArtifact for any that no rows can have."""
    merged = _read(plan, fields, features, classes, scaling)
    fields.done()
    _ = merged.fitted
    return merged


def _read(plan: Plan, fields: Fields, features: int, classes: int, scaling: tuple[Scale, ...]) -> Merged:
    name = plan.estimator.entry.name
    if name.startswith("KNeighbors"):
        rows = fields.take("rows", "<f8", (None, features))
        targets = fields.take("targets", "<i8" if classes else "<f8", (len(rows),))
        if not 1 <= len(rows) <= MAX_NEIGHBOUR_ROWS:
            raise InvalidArtifact(f"expected 1 to {MAX_NEIGHBOUR_ROWS} rows, came {len(rows)}")
        if classes and ((targets < 0) | (targets >= classes)).any():
            raise InvalidArtifact(f"nearest neighbours: expected classes within 0..{classes - 1}")
        return Merged(plan, features, classes, scaling, None, None, None, rows, targets)
    if name not in {"GaussianNB", "LinearRegression", "Ridge"} or plan.estimator.params.get("positive"):
        raise InvalidArtifact(f"{plan.estimator.entry.path} has no statistics that merge")
    if not classes and features > MAX_COLUMNS:
        raise InvalidArtifact(f"at most {MAX_COLUMNS} columns are merged, came {features}")
    shape = (2, classes, features) if classes else (features + 2, features + 2)
    target = fields.take("unit.target", "<f8", (2,))
    units = Units(
        fields.take("unit.offset", "<f8", (features,)), fields.take("unit.factor", "<f8", (features,)),
        float(target[0]), float(target[1]),
    )  # fmt: skip
    count = fields.take("count", "<i8", (classes or 1,))
    if (units.factor <= 0).any() or units.target_factor <= 0:
        raise InvalidArtifact("the units of fixed-point sums must be above 0")
    if (count < 0).any() or (count > MAX_ROWS * 256).any() or not count.any():
        raise InvalidArtifact(f"impossible row counts {count.tolist()[:20]}")
    high = fields.take("sums.high", "<i8", shape).astype(object)
    sums = (high << 64) + fields.take("sums.low", "<u8", shape).astype(object)
    return Merged(plan, features, classes, scaling, units, count, sums, None, None)


def _rows(plan: Plan, classes: int, scaling: tuple[Scale, ...], rows: Floats, targets: Labels) -> Merged:
    # Columns from first to last, then the target: the order of rows decides which of equally near ones win.
    order = np.lexsort((targets, *rows.T[::-1]))
    rows, targets = np.ascontiguousarray(rows[order]), targets[order]
    return Merged(plan, rows.shape[1], classes, scaling, None, None, None, rows, targets)


def _fixed(values: Floats, offset: Floats, factor: Floats) -> Floats:
    with np.errstate(over="ignore"):
        scaled = (values - offset) / factor
        return np.clip(np.rint(scaled * 2.0**FRACTION_BITS), -_LIMIT, _LIMIT)


def _limbs(whole: Floats) -> tuple[Floats, Floats, Floats]:
    high = np.rint(whole * 2.0**-32)
    rest = whole - high * 2.0**32
    middle = np.rint(rest * 2.0**-16)
    return high, middle, rest - middle * 2.0**16


def _join(parts: Sequence[Floats]) -> Integers:
    """The integers sum(parts[i] * 2**(64 - 16 i))."""
    total: Integers = np.zeros(parts[0].shape, dtype=object)
    for part in parts:
        total = (total << 16) + part.astype(np.int64).astype(object)
    return total


def _products(left: Floats, right: Floats) -> Integers:
    """left.T @ right for integer-valued matrices, exactly; shape (columns of left, columns of right)."""
    total: Integers = np.zeros((left.shape[1], right.shape[1]), dtype=object)
    for start in range(0, len(left), _CHUNK):
        a, b, c = (limb.T for limb in _limbs(left[start : start + _CHUNK]))
        d, e, f = _limbs(right[start : start + _CHUNK])
        total = total + _join([a @ d, a @ e + b @ d, a @ f + b @ e + c @ d, b @ f + c @ e, c @ f])
    return total


def _squares(whole: Floats) -> Integers:
    """The sum of squares of each column, exactly; shape (columns,)."""
    total: Integers = np.zeros(whole.shape[1], dtype=object)
    for start in range(0, len(whole), _CHUNK):
        a, b, c = _limbs(whole[start : start + _CHUNK])

        def dot(x: Floats, y: Floats) -> Floats:
            found: Floats = (x * y).sum(axis=0)
            return found

        total = total + _join([dot(a, a), 2 * dot(a, b), 2 * dot(a, c) + dot(b, b), 2 * dot(b, c), dot(c, c)])
    return total


def _same_units(left: Units | None, right: Units | None) -> bool:
    if left is None or right is None:
        return left is right
    return (
        np.array_equal(left.offset, right.offset)
        and np.array_equal(left.factor, right.factor)
        and (left.target_offset, left.target_factor) == (right.target_offset, right.target_factor)
    )


def same_scaling(left: tuple[Scale, ...], right: tuple[Scale, ...]) -> bool:
    return len(left) == len(right) and all(
        np.array_equal(a.offset, b.offset) and np.array_equal(a.factor, b.factor) and (a.low, a.high) == (b.low, b.high)
        for a, b in zip(left, right, strict=True)
    )
