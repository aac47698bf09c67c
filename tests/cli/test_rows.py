"""Rows to predict from a file: what is in it, or a usage error."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from cli.model import _rows_of

ROWS = [{"length": 5.5, "kind": "red"}, {"length": None, "kind": "blue"}]


def test_csv_parquet_and_json_give_the_same_rows(tmp_path: Path) -> None:
    frame = pandas.DataFrame(ROWS)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text('[{"length":5.5,"kind":"red"},{"length":null,"kind":"blue"}]')
    for name in ("rows.csv", "rows.parquet", "rows.json"):
        assert _rows_of(tmp_path / name) == ROWS


def test_cells_of_any_kind_are_rows_and_a_missing_one_is_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    for table, rows in (
        ({"price": [Decimal("1.5"), None]}, [{"price": Decimal("1.5")}, {"price": None}]),
        ({"nothing": pyarrow.nulls(2)}, [{"nothing": None}, {"nothing": None}]),
        ({"kind": pyarrow.array([], pyarrow.string())}, []),
        ({}, []),
    ):
        parquet.write_table(pyarrow.table(table), path)
        assert _rows_of(path) == rows


def test_a_damaged_file_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pandas.DataFrame(ROWS).to_parquet(path)
    whole = path.read_bytes()
    notes = pyarrow.table({"length": [5.5]}).replace_schema_metadata({"pandas": "{}"})
    parquet.write_table(notes, tmp_path / "notes.parquet")
    # A footer that is no Thrift is an OSError of pyarrow's, pandas' notes without their index a KeyError.
    without_index = (tmp_path / "notes.parquet").read_bytes()
    no_utf8 = whole.replace(b"blue", b"blu\xff")  # pyarrow's own, which is of none of Python's kinds
    for damaged in (no_utf8, whole[:-40] + b"\xff" * 32 + whole[-8:], without_index, whole[:50], b""):
        path.write_bytes(damaged)
        with pytest.raises(click.UsageError, match="expected CSV with headings, Parquet, or a JSON array"):
            _rows_of(path)
