"""The manifest of a dataset: how many rows, which columns, of which types, and what is missing.

It is canonical JSON, lies on IPFS and is registered with the dataset.  Nobody believes it: every party
computes it again from the data (:func:`learning.tables.load_table`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from learning.canonical import from_canonical, to_canonical
from learning.errors import InvalidData
from learning.reading import MAX_COLUMNS, column_type, read_csv

ColumnType = Literal["integer", "number", "text", "boolean"]

#: A text column with more distinct values is free text: it has no categories, is not encoded and is no
#: target.
MAX_CATEGORIES = 256
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Column:
    """One column of a dataset."""

    name: str
    #: As :mod:`learning.reading` infers it.
    type: ColumnType
    #: The distinct values of a text column in the order of their code points; None for other types and for
    #: free text (more than :data:`MAX_CATEGORIES` distinct values).
    categories: tuple[str, ...] | None
    #: The number of rows without a value.
    missing: int


@dataclass(frozen=True)
class Manifest:
    """What a dataset is made of."""

    rows: int
    columns: tuple[Column, ...]
    format: Literal["csv"]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def find(self, name: str) -> Column:
        """The column of this name.  Raises :class:`InvalidData` saying which columns there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InvalidData(f"there is no column {name!r}; the columns are {', '.join(self.names)}")

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        columns = [
            {
                "categories": None if column.categories is None else list(column.categories),
                "missing": column.missing,
                "name": column.name,
                "type": column.type,
            }
            for column in self.columns
        ]
        return to_canonical({"columns": columns, "format": self.format, "rows": self.rows})

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Read what :meth:`to_bytes` wrote.  Raises :class:`InvalidData` for anything else."""
        plain = from_canonical(data, "the manifest", InvalidData, MAX_BYTES)
        _fields(plain, {"columns", "format", "rows"}, "the manifest")
        columns, rows = plain["columns"], plain["rows"]
        _expect(plain["format"] == "csv", f"format: expected 'csv', found {plain['format']!r}")
        _expect(type(rows) is int and rows >= 1, f"rows: expected an integer from 1, found {rows!r}")
        _expect(
            isinstance(columns, list) and 1 <= len(columns) <= MAX_COLUMNS,
            f"columns: expected a list of 1 to {MAX_COLUMNS}",
        )
        read = tuple(_column(entry, rows) for entry in columns)
        _expect(len({column.name for column in read}) == len(read), "columns: two have the same name")
        return Manifest(rows=rows, columns=read, format="csv")


def build_manifest(stream: BinaryIO) -> Manifest:
    """The manifest of the CSV file in ``stream``.  Raises :class:`InvalidData` as :func:`read_csv` does."""
    return describe(read_csv(stream))


def describe(table: pa.Table) -> Manifest:
    """The manifest of a table that :func:`read_csv` read."""
    columns = []
    for name in table.column_names:
        values = table.column(name)
        kind = cast(ColumnType, column_type(values.type))
        categories = _categories(values) if kind == "text" else None
        columns.append(Column(name=name, type=kind, categories=categories, missing=values.null_count))
    return Manifest(rows=table.num_rows, columns=tuple(columns), format="csv")


def _categories(values: pa.ChunkedArray) -> tuple[str, ...] | None:
    distinct = pc.unique(values).drop_null()
    return tuple(sorted(distinct.to_pylist())) if len(distinct) <= MAX_CATEGORIES else None


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidData(f"the manifest is not valid: {message}; register the one that Assay computed")


def _fields(plain: Any, expected: set[str], what: str) -> None:
    found = set(plain) if isinstance(plain, dict) else None
    _expect(found == expected, f"{what}: expected an object with exactly the fields {sorted(expected)}")


def _column(entry: Any, rows: int) -> Column:
    _fields(entry, {"categories", "missing", "name", "type"}, "columns")
    name, kind, missing, categories = entry["name"], entry["type"], entry["missing"], entry["categories"]
    _expect(isinstance(name, str) and name != "", f"columns: a name is text, found {name!r}")
    _expect(kind in get_args(ColumnType), f"column {name!r}: unknown type {kind!r}")
    _expect(
        type(missing) is int and 0 <= missing < rows,
        f"column {name!r}: missing is an integer from 0 to below the {rows} rows, found {missing!r}",
    )
    if categories is not None:
        _expect(
            kind == "text"
            and isinstance(categories, list)
            and 1 <= len(categories) <= MAX_CATEGORIES
            and all(isinstance(category, str) and category for category in categories)
            and sorted(set(categories)) == categories,
            f"column {name!r}: categories are for text: up to {MAX_CATEGORIES} distinct texts in order, or "
            "null",
        )
        categories = tuple(categories)
    return Column(name=name, type=kind, categories=categories, missing=missing)
