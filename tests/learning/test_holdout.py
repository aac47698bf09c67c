"""The holdout is a rule about rows: the same for all jobs and versions of a registered model.

``vectors/holdout.json`` was derived from the rows' JSON texts by these lines alone::

    head = sha256(b"assay holdout\\n" + model.encode() + b"\\n" + row.encode()).digest()[:8]
    held_out = int.from_bytes(head, "big") * 10**6 < fraction * 2**64
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785

from learning.errors import InvalidData, InvalidSpec
from learning.holdout import canonical_rows, drop_rows_of, holdout_mask
from learning.tables import Table

VECTORS = json.loads((Path(__file__).parent / "vectors" / "holdout.json").read_text())
TableOf = Callable[[str], Table]


def rederived(model: str, row: str, fraction: int) -> bool:
    """The rule by the lines of this module's docstring."""
    head = sha256(b"assay holdout\n" + model.encode() + b"\n" + row.encode()).digest()[:8]
    return int.from_bytes(head, "big") * 10**6 < fraction * 2**64


@pytest.mark.parametrize("vector", VECTORS)
def test_rows_and_holdout_are_those_of_the_vectors(vector: dict[str, Any], table_of: TableOf) -> None:
    table = table_of(vector["csv"])
    assert [row.decode() for row in canonical_rows(table, vector["target"])] == vector["rows"]
    mask = holdout_mask(table, vector["target"], vector["model"], vector["fraction"])
    expected = [rederived(vector["model"], row, vector["fraction"]) for row in vector["rows"]]
    assert mask.tolist() == vector["held_out"] == expected


def test_a_row_is_the_rfc_8785_text_of_its_features(datasets: Path, table_of: TableOf) -> None:
    table = table_of((datasets / "iris.csv").read_text())
    names = table.manifest.names[:-1]
    values = zip(*(table.column(name).tolist() for name in names), strict=True)
    expected = [rfc8785.dumps(list(row)) for row in values]
    assert canonical_rows(table, "species") == expected


def test_numbers_are_what_counts_not_how_they_are_written(table_of: TableOf) -> None:
    one = table_of("a,b,t\n1.0,-0,x\n2.50,1e3,y\n")
    other = table_of("a,b,t\n1,0.0,x\n2.5,1000,y\n")
    assert canonical_rows(one, "t") == canonical_rows(other, "t") == [b"[1,0]", b"[2.5,1000]"]


def test_equal_rows_lie_on_one_side_whatever_their_target(table_of: TableOf) -> None:
    lines = "".join(f"{n % 50},{n}\n" for n in range(200))
    mask = holdout_mask(table_of(f"feature,t\n{lines}"), "t", "model", 300_000)
    assert (mask.reshape(4, 50) == mask[:50]).all()


def test_the_model_salts_and_the_fraction_sizes_the_holdout(datasets: Path, table_of: TableOf) -> None:
    table = table_of((datasets / "digits.csv").read_text())
    fifth, other = (holdout_mask(table, "digit", model, 200_000) for model in ("one", "two"))
    assert abs(fifth.mean() - 0.2) < 0.03
    assert abs((fifth & other).mean() - 0.04) < 0.02
    half = holdout_mask(table, "digit", "one", 500_000)
    assert (half | fifth == half).all()  # a larger fraction holds out the same rows and more


@pytest.mark.parametrize("fraction", [0, 1_000_000, -1, True, 0.2])
def test_a_fraction_is_between_none_and_all(fraction: Any, table_of: TableOf) -> None:
    with pytest.raises(InvalidSpec, match="1 to 999999"):
        holdout_mask(table_of("a,t\n1,2\n3,4\n"), "t", "model", fraction)


@pytest.mark.parametrize(("fraction", "what"), [(1, "no row"), (999_999, "every row")])
def test_both_sides_need_rows(fraction: int, what: str, table_of: TableOf) -> None:
    with pytest.raises(InvalidData, match=f"{what} of 2 would be held out for 'model'"):
        holdout_mask(table_of("a,t\n1,2\n3,4\n"), "t", "model", fraction)


def test_rows_of_a_holdout_dataset_are_dropped_from_training(table_of: TableOf) -> None:
    table = table_of("a,b,t\n1,x,0\n2,y,0\n3,,1\n,z,1\n")
    holdout = table_of("t,b,a\n1,y,2.0\n0,,3\n1,z,9.5\n")  # another order of columns, other targets and types
    assert drop_rows_of(table, "t", holdout).tolist() == [False, True, True, False]


def test_a_holdout_dataset_has_the_same_columns(table_of: TableOf) -> None:
    with pytest.raises(InvalidData, match=r"no column b, t; its columns are a, c"):
        drop_rows_of(table_of("a,b,t\n1,2,3\n"), "t", table_of("a,c\n1,2\n"))


def test_an_unknown_target_is_named(table_of: TableOf) -> None:
    with pytest.raises(InvalidData, match="no column 'label'; the columns are a, t"):
        canonical_rows(table_of("a,t\n1,2\n"), "label")


def test_the_order_of_rows_does_not_matter(datasets: Path, table_of: TableOf) -> None:
    head, *lines = (datasets / "iris.csv").read_text().splitlines()
    table, back = (table_of("\n".join([head, *order])) for order in (lines, lines[::-1]))
    mask, other = (holdout_mask(t, "species", "iris", 200_000) for t in (table, back))
    assert np.array_equal(mask, other[::-1])
