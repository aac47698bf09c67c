"""The manifest says what the data are, in one spelling."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import rfc8785

from learning.errors import InvalidData
from learning.manifest import Column, Manifest, build_manifest

CSV = b"name,age,size,vip\nBo,3,1.5,true\n,4,2,false\nAl,,3,true\n"
MANIFEST = Manifest(
    rows=3,
    columns=(
        Column("name", "text", ("Al", "Bo"), 1),
        Column("age", "integer", None, 1),
        Column("size", "number", None, 0),
        Column("vip", "boolean", None, 0),
    ),
    format="csv",
)


def test_it_tells_rows_types_categories_and_what_is_missing() -> None:
    assert build_manifest(io.BytesIO(CSV)) == MANIFEST


def test_it_is_canonical_json_and_comes_back() -> None:
    data = MANIFEST.to_bytes()
    assert data.startswith(b'{"columns":[{"categories":["Al","Bo"],"missing":1,"name":"name","type":"text"},')
    assert data.endswith(b'],"format":"csv","rows":3}')
    assert rfc8785.dumps(json.loads(data)) == data
    assert Manifest.from_bytes(data) == MANIFEST


def test_categories_are_in_the_order_of_code_points() -> None:
    manifest = build_manifest(io.BytesIO("t\nb\nZ\nä\na\n😀\n\ufb01\n".encode()))
    assert manifest.columns[0].categories == ("Z", "a", "b", "ä", "\ufb01", "😀")


@pytest.mark.parametrize(("distinct", "kept"), [(256, True), (257, False)])
def test_free_text_has_no_categories(distinct: int, kept: bool) -> None:
    text = "t\n" + "".join(f"word {n}\n" for n in range(distinct))
    assert (build_manifest(io.BytesIO(text.encode())).columns[0].categories is not None) == kept


def test_an_unknown_column_is_answered_with_those_there_are() -> None:
    assert MANIFEST.find("age").type == "integer"
    with pytest.raises(InvalidData, match="no column 'agee'; the columns are name, age, size, vip"):
        MANIFEST.find("agee")


def changed(**changes: Any) -> bytes:
    return rfc8785.dumps({**json.loads(MANIFEST.to_bytes()), **changes})


def column(**changes: Any) -> bytes:
    return changed(columns=[{"categories": None, "missing": 0, "name": "a", "type": "number", **changes}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"NaN", "no JSON"),
        (MANIFEST.to_bytes() + b"\n", "not in canonical form"),
        (MANIFEST.to_bytes().replace(b'"rows":3', b'"rows":3.0'), "not in canonical form"),
        (MANIFEST.to_bytes().replace(b'"rows":3', b'"rows":3,"rows":3'), "not in canonical form"),
        (b"[]", "exactly the fields"),
        (changed(note="x"), "exactly the fields"),
        (changed(format="parquet"), "expected 'csv'"),
        (changed(rows=0), "an integer from 1"),
        (changed(rows=True), "an integer from 1"),
        (changed(columns=[]), "a list of 1 to"),
        (changed(columns={}), "a list of 1 to"),
        (changed(columns=["a"]), "exactly the fields"),
        (changed(columns=json.loads(MANIFEST.to_bytes())["columns"][:1] * 2), "the same name"),
        (column(name=""), "a name is text"),
        (column(type="float"), "unknown type 'float'"),
        (column(type=["number"]), "unknown type"),
        (column(missing=3), "below the 3 rows"),
        (column(missing=-1), "below the 3 rows"),
        (column(categories=["a"]), "categories are for text"),
        (column(type="text", categories=["b", "a"]), "in order"),
        (column(type="text", categories=["a", "a"]), "distinct"),
        (column(type="text", categories=[1]), "distinct texts"),
        (column(type="text", categories=[]), "distinct texts"),
    ],
)
def test_anything_else_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        Manifest.from_bytes(data)
