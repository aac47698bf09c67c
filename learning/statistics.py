"""Statistics of a dataset's training rows, computed once for a registered model and used by everybody.

All who impute, encode, bin and scale with the same numbers get the same arrays.  Sums are the exact sum
rounded once (``math.fsum``), quantiles are values of the column itself (nearest rank) and everything else is
a single IEEE operation per value, so the bytes are equal on every machine.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np

from learning.canonical import from_canonical, to_canonical
from learning.errors import InvalidData
from learning.manifest import Column, ColumnType
from learning.tables import Table
from learning.targets import check_target, classes_of

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]

#: Per cent; the values of :attr:`FeatureStatistics.quantiles` belong to these.
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
#: Bins of a histogram; one less edge.
MAX_BINS = 256
MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature in the training rows.  Numbers are None for text."""

    name: str
    type: ColumnType
    #: Rows without a value.
    missing: int
    #: Of the rows with a value; 0 where there is none.
    mean: float | None
    #: Population standard deviation; 1 where all values are equal, so that one may divide by it.
    spread: float | None
    minimum: float | None
    maximum: float | None
    #: For p in :data:`QUANTILES` the value of rank ``ceil(p n / 100)`` of the n sorted values.
    quantiles: tuple[float, ...] | None
    #: Ascending; a value belongs to the bin whose number is the count of edges below it.
    edges: tuple[float, ...] | None
    #: Of a text feature: its distinct values by code point; None for free text, which is not encoded.
    categories: tuple[str, ...] | None


@dataclass(frozen=True)
class TargetStatistics:
    """The target in the training rows."""

    name: str
    task: Literal["classification", "regression"]
    #: Classification: the class names; index i of a target vector means ``classes[i]``.
    classes: tuple[str, ...] | None
    #: Regression: mean and spread, as for features.
    mean: float | None
    spread: float | None


@dataclass(frozen=True)
class Statistics:
    """What all versions of a registered model share about their data."""

    rows: int
    features: tuple[FeatureStatistics, ...]
    target: TargetStatistics

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return to_canonical(asdict(self))

    @staticmethod
    def from_bytes(data: bytes) -> Statistics:
        """Read what :meth:`to_bytes` wrote.  Raises :class:`InvalidData` for anything else."""
        plain = from_canonical(data, "the statistics", InvalidData, MAX_BYTES)
        try:
            features = tuple(FeatureStatistics(**_typed(entry)) for entry in plain["features"])
            target = TargetStatistics(**_typed(plain["target"]))
            statistics = Statistics(rows=plain["rows"], features=features, target=target)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as problem:
            raise _invalid(f"not of the expected form ({problem})") from None
        _check(statistics)
        if statistics.to_bytes() != data:
            raise _invalid("it has fields that are not expected")
        return statistics


def compute(table: Table, rows: Rows, target: str, task: str) -> Statistics:
    """Statistics of the rows with the indices ``rows`` (the training rows), shape ``(n,)``.

    Raises :class:`InvalidData` when the target is not fit for ``task`` or a column's numbers are so large
    that their squares overflow.
    """
    checked = check_target(table, target, task)
    features = tuple(
        _feature(column, table.column(column.name)[rows])
        for column in table.manifest.columns
        if column.name != target
    )
    if checked == "classification":
        about = TargetStatistics(target, checked, classes_of(table, target), None, None)
    else:
        mean, spread = _moments(target, table.column(target)[rows])
        about = TargetStatistics(target, checked, None, mean, spread)
    return Statistics(rows=len(rows), features=features, target=about)


def _feature(column: Column, values: np.ndarray[Any, Any]) -> FeatureStatistics:
    if column.type == "text":
        present = {value for value in values if value is not None}
        missing = sum(value is None for value in values)
        categories = None if column.categories is None else tuple(sorted(present))
        return FeatureStatistics(
            column.name, column.type, missing, None, None, None, None, None, None, categories
        )
    numbers = np.sort(values[~np.isnan(values)])
    missing = len(values) - len(numbers)
    mean, spread = _moments(column.name, numbers)
    return FeatureStatistics(
        name=column.name,
        type=column.type,
        missing=missing,
        mean=mean,
        spread=spread,
        minimum=float(numbers[0]) if len(numbers) else 0.0,
        maximum=float(numbers[-1]) if len(numbers) else 0.0,
        quantiles=tuple(_ranked(numbers, percent, 100) for percent in QUANTILES) if len(numbers) else (),
        edges=_edges(numbers),
        categories=None,
    )


def _moments(name: str, numbers: Floats) -> tuple[float, float]:
    """Mean and spread of ``numbers``; 0 and 1 for none."""
    if len(numbers) == 0:
        return 0.0, 1.0
    if numbers.min() == numbers.max():
        return float(numbers[0]), 1.0  # exactly, where a rounded mean would leave a spread of rounding errors
    try:
        mean = math.fsum(numbers.tolist()) / len(numbers)
        with np.errstate(over="raise"):
            squares = np.square(numbers - mean)
        spread = math.sqrt(math.fsum(squares.tolist()) / len(numbers))
    except (OverflowError, FloatingPointError):
        raise InvalidData(
            f"column {name!r} has values up to {np.abs(numbers).max():g}, whose squares overflow a double; "
            "use another unit or remove the rows"
        ) from None
    return mean + 0.0, spread or 1.0


def _ranked(ordered: Floats, part: int, whole: int) -> float:
    """The value of rank ``ceil(part * n / whole)`` (from 1) of n ascending values."""
    return float(ordered[max(-(-part * len(ordered) // whole), 1) - 1])


def _edges(ordered: Floats) -> tuple[float, ...]:
    """Edges of at most :data:`MAX_BINS` bins of ascending values.

    Up to that many distinct values get a bin each, with edges half-way between neighbours; otherwise the
    edges are the values of rank ``ceil(i n / 256)``, i from 1 to 255, each once and none at the maximum.
    """
    distinct = np.unique(ordered)
    if len(distinct) <= MAX_BINS:
        pairs = zip(distinct[:-1].tolist(), distinct[1:].tolist(), strict=True)
        return tuple(_between(low, high) for low, high in pairs)
    ranked = {_ranked(ordered, number, MAX_BINS) for number in range(1, MAX_BINS)}
    return tuple(sorted(edge for edge in ranked if edge < ordered[-1]))


def _between(low: float, high: float) -> float:
    """Half-way between, but below ``high`` even where rounding would reach it."""
    middle = low / 2 + high / 2  # halves first: the sum of two large numbers could overflow
    return (middle if low <= middle < high else low) + 0.0


def _typed(entry: dict[str, Any]) -> dict[str, Any]:
    """Back from JSON, which writes 5.0 as 5 and tuples as lists."""
    typed = dict(entry)
    for name in ("mean", "spread", "minimum", "maximum"):
        if typed.get(name) is not None:
            typed[name] = _number(typed[name])
    for name in ("quantiles", "edges"):
        if typed.get(name) is not None:
            typed[name] = tuple(_number(value) for value in typed[name])
    for name in ("categories", "classes"):
        if typed.get(name) is not None:
            if not all(isinstance(value, str) for value in typed[name]):
                raise TypeError(f"{name} must be texts")
            typed[name] = tuple(typed[name])
    return typed


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, found {value!r}")
    return float(value)


def _check(statistics: Statistics) -> None:
    """That the fields fit together; that the numbers are right is seen by computing them again."""
    names = [feature.name for feature in statistics.features]
    if not all(isinstance(name, str) for name in (*names, statistics.target.name)):
        raise _invalid("names must be texts")
    if type(statistics.rows) is not int or statistics.rows < 1:
        raise _invalid(f"rows: expected an integer from 1, found {statistics.rows!r}")
    if not names or len(set(names)) != len(names) or statistics.target.name in names:
        raise _invalid("expected one or more features of different names, none of them the target")
    for feature in statistics.features:
        numeric = (
            feature.mean,
            feature.spread,
            feature.minimum,
            feature.maximum,
            feature.quantiles,
            feature.edges,
        )
        text = feature.type == "text"
        if feature.type not in ("text", "integer", "number", "boolean"):
            raise _invalid(f"feature {feature.name!r}: unknown type {feature.type!r}")
        if type(feature.missing) is not int or not 0 <= feature.missing <= statistics.rows:
            raise _invalid(f"feature {feature.name!r}: missing {feature.missing!r} of {statistics.rows} rows")
        if any((value is None) != text for value in numeric) or (not text and feature.categories is not None):
            raise _invalid(f"feature {feature.name!r}: the fields are not those of type {feature.type}")
        if not text and not cast(float, feature.spread) > 0:
            raise _invalid(f"feature {feature.name!r}: the spread must be above 0")
    target = statistics.target
    if target.task not in ("classification", "regression"):
        raise _invalid(f"target: unknown task {target.task!r}")
    classes = target.task == "classification"
    if (target.classes is None) == classes or any((x is None) != classes for x in (target.mean,
    target.spread)):
        raise _invalid(f"target: the fields are not those of {target.task}")


def _invalid(message: str) -> InvalidData:
    return InvalidData(f"the statistics are not valid: {message}; use those computed from the data")
