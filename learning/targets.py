"""The target column: whether it can be learned, as which task, and its classes."""

from __future__ import annotations

from typing import Literal, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from learning.canonical import to_canonical
from learning.errors import InvalidData, InvalidSpec
from learning.manifest import MAX_CATEGORIES
from learning.tables import Table

Task = Literal["classification", "regression"]

#: An integer target with at most so many distinct values is taken for classes when no task is named.
_FEW = 20


def check_target(table: Table, target: str, task: str | None) -> Task:
    """The task that ``target`` is fit for: ``task`` where it is given, else a guess from the column.

    The guess: text and booleans are classes, integers with at most 20 distinct values too, the rest is
    regression.

    Raises :class:`InvalidData` when there is no such column, no other column to predict it from, a row
    without a target, only one distinct value, more than 256 classes, or text where a number is to be
    predicted; :class:`InvalidSpec` for an unknown task.
    """
    if task is not None and task not in get_args(Task):
        raise InvalidSpec(f"unknown task {task!r}: expected classification or regression")
    names = table.manifest.names
    others = f"the columns are {', '.join(names)}"
    column = table.manifest.find(target)
    if len(names) < 2:
        raise InvalidData(f"{target!r} is the only column: expected at least one more to predict it from")
    if column.missing:
        raise InvalidData(
            f"the target {target!r} is missing in {column.missing} of {table.rows} rows; remove these rows "
            f"or choose another target ({others})"
        )
    distinct = len(pc.unique(table.arrow_column(target)))
    if distinct < 2:
        raise InvalidData(
            f"the target {target!r} has the same value in every row, so there is nothing to learn; choose "
            f"another target ({others})"
        )
    if task is None:
        few = column.type == "integer" and distinct <= _FEW
        task = "classification" if column.type in {"text", "boolean"} or few else "regression"
    if task == "regression" and column.type in {"text", "boolean"}:
        raise InvalidData(
            f"the target {target!r} is of type {column.type}: regression needs numbers; ask for "
            f"classification or choose another target ({others})"
        )
    if task == "classification" and distinct > MAX_CATEGORIES:
        raise InvalidData(
            f"the target {target!r} has {distinct} distinct values in {table.rows} rows, at most "
            f"{MAX_CATEGORIES} classes can be learned; choose another target ({others})"
        )
    if task == "classification" and distinct == table.rows > 2:
        raise InvalidData(
            f"the target {target!r} is different in every one of the {table.rows} rows, like a name or an "
            f"identifier, so no class can be learned; choose another target ({others})"
        )
    return cast(Task, task)


def class_labels(table: Table, target: str) -> pa.StringArray:
    """The target as class names, one per row (null where missing).

    Text is its own name; integers and numbers are written as RFC 8785 writes them (``3``, ``0.5``), booleans
    as ``true`` and ``false``.
    """
    values = table.arrow_column(target).combine_chunks()
    if values.type == pa.string():
        return values
    encoded = values.dictionary_encode()
    names = [to_canonical(value).decode() for value in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(names, pa.string()), encoded.indices)


def classes_of(table: Table, target: str) -> tuple[str, ...]:
    """The distinct classes of all rows: text by code point, numbers ascending, false before true.

    All rows of the dataset count, those of the holdout too: which classes there are is part of what the
    target means, not something measured on rows that nobody may look at.
    """
    values = pc.unique(table.arrow_column(target)).drop_null().to_pylist()
    ordered = sorted(values)
    return tuple(value if isinstance(value, str) else to_canonical(value).decode() for value in ordered)
