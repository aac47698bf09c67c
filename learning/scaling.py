"""Scaling steps and fixed-point units from the shared statistics, never from the rows at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learning.estimators import Step
from learning.features import CLIP
from learning.models import Floats, Scale, apply_scaling
from learning.statistics import FeatureStatistics, Statistics


@dataclass(frozen=True)
class Columns:
    """Mean, spread and range of each design-matrix column, shape (features,); categories are 0, 1, 0 and 1."""

    mean: Floats
    spread: Floats
    low: Floats
    high: Floats


def columns_of(statistics: Statistics) -> Columns:
    """What the statistics say of the columns of `learning.features.design_matrix`, in its order."""
    rows = [values for feature in statistics.features for values in _columns(feature)]
    mean, spread, low, high = np.array(rows, dtype=np.float64).reshape(-1, 4).T.copy()
    return Columns(mean, spread, low, high)


def _columns(feature: FeatureStatistics) -> list[tuple[float, float, float, float]]:
    if feature.type == "text":
        return [(0.0, 1.0, 0.0, 1.0)] * len(feature.categories or ())
    return [(feature.mean or 0.0, feature.spread or 1.0, feature.minimum or 0.0, feature.maximum or 0.0)]


def scaling_of(steps: Sequence[Step], columns: Columns) -> tuple[Scale, ...]:
    """The scaling steps of a pipeline as numbers.

    StandardScaler: (x - mean) / spread, cut off at ±10 like `learning.features.standardise`; `with_mean` and
    `with_std` leave out a part. MinMaxScaler: the training rows' range to `feature_range`, cut off there
    when `clip` is true. A step after another sees the statistics as the earlier one has transformed them.
    """
    scales: list[Scale] = []
    for step in steps:
        if step.entry.name == "StandardScaler":
            zero, one = np.zeros_like(columns.mean), np.ones_like(columns.spread)
            scale = Scale(
                columns.mean if step.params.get("with_mean", True) else zero,
                columns.spread if step.params.get("with_std", True) else one,
                *((-CLIP, CLIP) if step.params.get("with_mean", True) and step.params.get("with_std", True)
                  else (None, None)),
            )
        else:
            low, high = step.params.get("feature_range", (0.0, 1.0))
            width = columns.high - columns.low
            factor = np.where(width > 0, width, 1.0) / (high - low)
            bounds = (float(low), float(high)) if step.params.get("clip") else (None, None)
            scale = Scale(columns.low - low * factor, factor, *bounds)
        scales.append(scale)
        columns = Columns(
            apply_scaling([scale], columns.mean[None])[0],
            columns.spread / scale.factor,
            apply_scaling([scale], columns.low[None])[0],
            apply_scaling([scale], columns.high[None])[0],
        )
    return tuple(scales)
