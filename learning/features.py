"""From columns to the matrices that estimators take, with the shared statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.errors import InvalidData
from learning.statistics import FeatureStatistics, Rows, Statistics
from learning.tables import Table
from learning.targets import class_labels

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Vector = np.ndarray[tuple[int], np.dtype[Any]]

#: Standardised values are cut off here: one outlier row ruins a network that sees it unclipped.
CLIP = 10.0


def feature_names(statistics: Statistics) -> tuple[str, ...]:
    """Names of the design matrix's columns: ``name``, or ``name=category`` for each category of a text."""
    return tuple(
        feature.name if category is None else f"{feature.name}={category}"
        for feature, category in _plan(statistics)
    )


def design_matrix(table: Table, statistics: Statistics, rows: Rows) -> Matrix:
    """The rows with the indices ``rows``, shape ``(n,)``, as a matrix; see :func:`encode_features`.

    Raises :class:`InvalidData` when the table lacks a feature or has it in another type.
    """
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for feature in statistics.features:
        column = table.manifest.find(feature.name)
        if _kind(column.type) != _kind(feature.type):
            raise InvalidData(
                f"column {feature.name!r} is of type {column.type}, but the model's statistics expect "
                f"{feature.type}; use a dataset with the same columns as the model's first"
            )
        columns[feature.name] = table.column(feature.name)[rows]
    return encode_features(columns, statistics)


def encode_features(columns: Mapping[str, np.ndarray[Any, Any]], statistics: Statistics) -> Matrix:
    """The design matrix of ``columns``, one array of shape ``(n,)`` per feature, as :class:`Table` gives
    them.

    Returns float64 of shape ``(n, d)`` in C order, d as :func:`feature_names` tells, in the order of the
    manifest.  Numbers, integers and booleans keep their own units, a missing one is the training rows' mean.
    A text is one column per category, 1 where it is this one; all are 0 for a missing or unknown text.  Free
    text (no categories) is left out.

    Raises :class:`InvalidData` when no feature can be encoded.
    """
    plan = _plan(statistics)
    if not plan:
        raise InvalidData(
            "no feature can be encoded: all are free text (more than 256 distinct values); add a column of "
            "numbers or of categories"
        )
    count = len(columns[plan[0][0].name])
    matrix = np.zeros((count, len(plan)), dtype=np.float64)
    for index, (feature, category) in enumerate(plan):
        values = columns[feature.name]
        if category is None:
            matrix[:, index] = np.where(np.isnan(values), np.float64(feature.mean or 0.0), values)
        else:
            matrix[:, index] = values == category
    return matrix


def standardise(X: Matrix, statistics: Statistics) -> Matrix:  # noqa: N803
    """``(x - mean) / spread`` with the training rows' statistics, cut off at ±10; shape ``(n, d)`` as given.

    The 0 and 1 of categories stay as they are.
    """
    plan = _plan(statistics)
    mean = np.array([feature.mean if category is None else 0.0 for feature, category in plan])
    spread = np.array([feature.spread if category is None else 1.0 for feature, category in plan])
    if X.ndim != 2 or X.shape[1] != len(plan):
        raise InvalidData(f"expected a design matrix of {len(plan)} columns, found the shape {X.shape}")
    scaled: Matrix = np.clip((X - mean) / spread, -CLIP, CLIP)
    return scaled


def target_vector(table: Table, statistics: Statistics, rows: Rows, target: str, task: str) -> Vector:
    """The target of the rows with the indices ``rows``, shape ``(n,)``.

    int64 indices into ``statistics.target.classes`` for classification, float64 for regression.  Raises
    :class:`InvalidData` for a target that is missing or is a class that the statistics do not know.
    """
    about = statistics.target
    if (about.name, about.task) != (target, task):
        raise InvalidData(
            f"the statistics are of the target {about.name!r} ({about.task}), asked for {target!r} ({task})"
        )
    if about.classes is None:
        if table.manifest.find(target).type == "text":
            raise InvalidData(f"the target {target!r} is text: regression needs numbers")
        numbers: Vector = table.column(target)[rows]
        _refuse(target, rows, np.isnan(numbers), "is missing")
        return numbers
    labels = class_labels(table, target)
    found = pc.index_in(labels, value_set=pa.array(about.classes, pa.string()))
    indices: Vector = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)[rows]
    _refuse(target, rows, indices < 0, f"is none of the classes {', '.join(about.classes)}")
    return indices


def _refuse(target: str, rows: Rows, wrong: Vector, why: str) -> None:
    if wrong.any():
        row = int(rows[int(np.argmax(wrong))])
        raise InvalidData(
            f"the target {target!r} {why} in {int(wrong.sum())} rows, first in row {row + 1}; remove these "
            "rows or register a model for these classes"
        )


def _plan(statistics: Statistics) -> list[tuple[FeatureStatistics, str | None]]:
    """One entry per column of the design matrix; the category is None for numbers."""
    plan: list[tuple[FeatureStatistics, str | None]] = []
    for feature in statistics.features:
        plan.extend((feature, category) for category in _parts(feature))
    return plan


def _parts(feature: FeatureStatistics) -> tuple[str | None, ...]:
    if feature.type != "text":
        return (None,)
    return feature.categories or ()


def _kind(column_type: str) -> str:
    """A column that happens to hold whole numbers only is as good as one of numbers."""
    return "number" if column_type == "integer" else column_type
