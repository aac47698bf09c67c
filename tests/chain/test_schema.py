"""Exactly the annotated fields and types, and a refusal that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from chain import schema
from chain.encoding import Link, cid_of
from chain.errors import InvalidEncoding
from chain.packing import pack
from chain.schema import Address, Cid, Hash, Items, Range, Text

A_CID = cid_of(b"x")


@dataclass(frozen=True)
class Inner:
    number: int
    cid: Cid


@dataclass(frozen=True)
class Outer:
    name: Annotated[str, Text(1, 5, r"[a-z]+", "small letters")]
    count: Annotated[int, Range(0, 10)]
    flag: bool
    choice: Literal["a", "b", 1]
    maybe: Inner | None
    many: Annotated[tuple[Inner, ...], Items(0, 2)]
    unique: Annotated[tuple[Cid, ...], Items(1, 3, unique=True)]
    pair: tuple[Address, int]
    digest: Hash
    extra: Mapping[str, str | int | None]


VALUE = Outer(
    "abc", 3, True, "a", Inner(1, Cid(A_CID)), (Inner(2, Cid(A_CID)),), (Cid(A_CID),),
    (Address("0x" + "00" * 20), -1), Hash("ab" * 32), {"x": 1, "y": None},
)  # fmt: skip


def test_a_dataclass_comes_back_with_links_for_cids_and_lists_for_tuples() -> None:
    obj = schema.to_object(VALUE)
    assert obj["many"] == [{"number": 2, "cid": Link(A_CID)}]
    assert isinstance(obj["maybe"]["cid"], Link)
    back = schema.from_object(Outer, obj)
    assert back == VALUE
    assert type(back.unique[0]) is str
    assert schema.from_bytes(Outer, schema.to_bytes(VALUE), 1000) == VALUE


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 1, "name: expected text, found 1"),
        ("name", Link(A_CID), "name: expected text"),
        ("name", "", "name: expected text of 1 to 5 characters"),
        ("name", "abcdef", "name: expected text of 1 to 5 characters, found 6 characters"),
        ("name", "ABC", "name: expected small letters, found 'ABC'"),
        ("name", "abc\n", "name: expected small letters"),
        ("count", True, "count: expected an integer of 64 bits, found True"),
        ("count", 1.0, "count: expected an integer"),
        ("count", "1", "count: expected an integer"),
        ("count", 11, "count: expected an integer of 0 to 10, found 11"),
        ("count", 2**63, "count: expected an integer of 64 bits"),
        ("flag", 1, "flag: expected true or false, found 1"),
        ("flag", None, "flag: expected true or false, found None"),
        ("choice", "c", "choice: expected one of 'a', 'b', 1, found 'c'"),
        ("choice", True, "choice: expected one of"),
        ("choice", [], "choice: expected one of"),
        ("maybe", {"number": 1}, "maybe.cid: expected this field, found nothing"),
        ("maybe", {"number": 1, "cid": Link(A_CID), "z": 1}, "maybe: expected only the fields number, cid"),
        ("maybe", {"number": 1, "cid": A_CID}, r"maybe.cid: expected a link \(a CID\), found 'bafy"),
        ("maybe", [], "maybe: expected a map with the fields number, cid, found a list of 0"),
        ("many", {}, "many: expected a list, found a map of 0"),
        ("many", [{"number": 1, "cid": Link(A_CID)}, {"number": "1", "cid": 2}], r"many\[1\]\.number: expected"),
        ("many", [{"number": 1, "cid": Link(A_CID)}] * 3, "many: expected a list of 0 to 2, found a list of 3"),
        ("unique", [], "unique: expected a list of 1 to 3"),
        ("unique", [Link(A_CID)] * 2, "unique: expected a list without repetitions"),
        ("pair", ["0x" + "00" * 20], "pair: expected a list of 2, found a list of 1"),
        ("pair", ["0x" + "00" * 20, "1"], r"pair\[1\]: expected an integer"),
        ("pair", ["0x" + "AA" * 20, 1], r"pair\[0\]: expected an address"),
        ("digest", "AB" * 32, "digest: expected a hash"),
        ("digest", "ab" * 31, "digest: expected a hash"),
        ("digest", b"\xab" * 32, "digest: expected a hash"),
        ("extra", {"x": True}, "extra.x: expected str or int or null"),
        ("extra", {"x": 2**63}, "extra.x: expected an integer of 64 bits"),
        ("extra", [], "extra: expected a map"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidEncoding, match="^" + message):
        schema.from_object(Outer, schema.to_object(VALUE) | {field: value})


def test_what_anything_is_is_left_to_whoever_reads_on() -> None:
    @dataclass(frozen=True)
    class Around:
        kind: str
        inside: Any

    raw = {"kind": "a", "inside": [{"x": 1}]}
    assert schema.from_object(Around, raw) == Around("a", [{"x": 1}])
    assert schema.to_object(Around("a", [{"x": 1}])) == raw


def test_fields_are_exact() -> None:
    obj = schema.to_object(VALUE)
    with pytest.raises(InvalidEncoding, match="unknown field 'other'"):
        schema.from_object(Outer, obj | {"other": 1})
    for field in obj:
        with pytest.raises(InvalidEncoding, match=f"^{field}: expected this field, found nothing"):
            schema.from_object(Outer, {name: value for name, value in obj.items() if name != field})
        swapped = {(name if name != field else "other"): value for name, value in obj.items()}
        with pytest.raises(InvalidEncoding, match=f"^{field}: expected this field"):
            schema.from_object(Outer, swapped)


def test_what_would_be_refused_is_not_written() -> None:
    from dataclasses import replace

    for wrong in (replace(VALUE, count=11), replace(VALUE, name="A"), replace(VALUE, unique=[Cid(A_CID)]),
                  replace(VALUE, maybe=Inner(1, Cid("bafy"))), replace(VALUE, maybe=VALUE)):  # fmt: skip
        with pytest.raises(InvalidEncoding):
            schema.to_bytes(wrong)


def test_annotations_without_a_rule_and_other_classes_are_programming_errors() -> None:
    @dataclass(frozen=True)
    class Wrong:
        value: float

    @dataclass(frozen=True)
    class Unpacked:
        value: Any

    for cls in (Wrong, int):
        with pytest.raises(TypeError):
            schema.from_object(cls, {"value": 1})
    with pytest.raises(TypeError):
        pack(Unpacked(1))
