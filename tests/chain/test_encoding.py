"""One byte string for each value; nothing but the canonical form is read."""

from __future__ import annotations

import hashlib
from typing import Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from chain import encoding
from chain.encoding import (
    MAX_DEPTH,
    Link,
    _too_deep,
    cid_of,
    cid_to_bytes,
    cid_to_text,
    decode,
    encode,
    from_json,
    list_head,
    split_list,
    to_json,
)
from chain.errors import InvalidEncoding

LIMIT = 1 << 20
A_CID = cid_of(b"something")
LINK = b"\xd8\x2a\x58\x25\x00"

links = st.binary(max_size=8).map(lambda data: Link(cid_of(data)))
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | links
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts.filter(lambda key: key != "/"), inner, max_size=4)
    ),
    max_leaves=20,
)


def _oracle(value: Any) -> Any:
    """The same value for the dag-cbor package."""
    if isinstance(value, Link):
        return CID.decode(str(value))
    if isinstance(value, list):
        return [_oracle(item) for item in value]
    if isinstance(value, dict):
        return {key: _oracle(item) for key, item in value.items()}
    return value


@given(values)
def test_a_value_comes_back_and_the_reference_encoder_writes_the_same_bytes(value: Any) -> None:
    data = encode(value)
    assert data == dag_cbor.encode(_oracle(value))
    back = decode(data, LIMIT)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, dict | list)  # True is not 1, a Link is no text


@given(values)
def test_a_value_comes_back_from_json(value: Any) -> None:
    assert encode(from_json(to_json(value))) == encode(value)


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_or_canonical(data: bytes) -> None:
    try:
        value = decode(data, LIMIT)
    except InvalidEncoding:
        return
    assert encode(value) == data


@given(values, st.data())
def test_changed_bytes_are_refused_or_canonical(value: Any, draw: st.DataObject) -> None:
    data = bytearray(encode(value))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    test_arbitrary_bytes_are_refused_or_canonical.hypothesis.inner_test(bytes(data))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "nothing"),
        (b"\x18\x01", "a number in two bytes instead of one"),
        (b"\x19\x00\xff", "a number in three bytes instead of two"),
        (b"\x58\x01a", "a length in two bytes"),
        (b"\xa2\x61b\x01\x61a\x02", "keys out of order"),
        (b"\xa2\x62aa\x01\x61b\x02", "a longer key first"),
        (b"\xa2\x61a\x01\x61a\x02", "a key twice"),
        (b"\xa1\x01\x01", "a key that is no text"),
        (b"\x01\x01", "trailing data"),
        (b"\x9f\x01\xff", "an indefinite list"),
        (b"\x7f\x61a\xff", "an indefinite text"),
        (b"\x61\xff", "text that is not UTF-8"),
        (b"\x63\xed\xa0\x80", "a surrogate in UTF-8"),
        (b"\xf7", "undefined"),
        (b"\xe0", "a simple value"),
        (b"\xf9\x3c\x00", "a float of 16 bits"),
        (b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", "a float of 64 bits"),
        (b"\x81\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", "not a number"),
        (b"\x1b\x80\x00\x00\x00\x00\x00\x00\x00", "2^63"),
        (b"\x3b\x80\x00\x00\x00\x00\x00\x00\x00", "-2^63 - 1"),
        (b"\x43abc", "a byte string"),
        (b"\x58\x24" + cid_to_bytes(A_CID), "a byte string that is a CID's"),
        (b"\xd8\x2a\x58\x24" + cid_to_bytes(A_CID), "a link without its prefix byte"),
        (LINK[:-1] + b"\x01" + cid_to_bytes(A_CID), "a link with another prefix byte"),
        (b"\xd8\x2a\x58\x23\x00\x12\x20" + b"\x11" * 32, "a link to a CID of version 0"),
        (LINK + b"\x01\x71\x1b\x20" + b"\x11" * 32, "a link with another hash function"),
        (LINK + b"\x01\x72\x12\x20" + b"\x11" * 32, "a link with another codec"),
        (b"\xc1\x01", "another tag"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "a list longer than the data"),
        (b"\x81" * 17 + b"\x80", "18 levels"),
        (b"\x81" * 100_000 + b"\x80", "100,000 levels"),
        (b"\xa1\x61a" * 100_000 + b"\x80", "100,000 levels of maps"),
        (b"\xd8\x2a" * 100_000 + b"\x80", "100,000 tags"),
        (b"\x9a\x00\x01\x00\x00" + b"\x81" * 100_000 + b"\x80", "100,000 levels in a list"),
    ],
)  # fmt: skip
def test_other_forms_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(InvalidEncoding) as refusal:
        decode(data, LIMIT)
    assert refusal.value.code == "invalid_encoding", what


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), b"abc", 2**63, -(2**63) - 1, (1,), {1}, {1: 2}, {b"a": 2}, "\ud800", {"\ud800": 1}, [1.5],
     {"a": [0.0]}, Link("bafy"), Link(A_CID.upper()), Link("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"), object()],
)  # fmt: skip
def test_values_of_other_kinds_are_not_written(value: object) -> None:
    with pytest.raises(InvalidEncoding):
        encode(value)
    with pytest.raises(InvalidEncoding):
        to_json(value)


def test_nesting_ends_at_sixteen_levels() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value), LIMIT) == value
    for refuse in (lambda: encode([value]), lambda: to_json([value]), lambda: decode(b"\x81" + encode(value), LIMIT)):
        with pytest.raises(InvalidEncoding, match="inside each other"):
            refuse()


@pytest.mark.parametrize(
    ("beside", "items"),
    [(b"", 0), (b"\x00" * 3, 3), (b"\x19\xff\xff", 1), (b"\x63abc", 1), (b"\x80", 1), (b"\xa1\x61a\x00", 1),
     (LINK + bytes(36), 1)],
)  # fmt: skip
@pytest.mark.parametrize("head", [b"\x81", b"\x98\x01", b"\x9b" + bytes(7) + b"\x01", b"\xa1\x61k", b"\xd8\x2a"])
def test_levels_are_counted_before_anything_goes_down_them(beside: bytes, items: int, head: bytes) -> None:
    """A link's tag is a level of the bytes and none of the value, so one more is let through to who builds it."""
    outer = (list_head(items + 1) + beside) * 3
    assert not _too_deep(outer + head * (MAX_DEPTH - 2) + b"\x00")
    assert _too_deep(outer + head * (MAX_DEPTH - 1) + b"\x00")
    assert _too_deep(head * 5_000)


def test_lists_of_no_stated_length_end_the_count() -> None:
    """They are no DAG-CBOR, which libipld says before it goes down them."""
    assert not _too_deep(b"\x9f" * 5_000)
    with pytest.raises(InvalidEncoding):
        decode(b"\x9f" * 5_000, LIMIT)


def test_deep_bytes_never_reach_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "libipld", None)
    with pytest.raises(InvalidEncoding, match="inside each other"):
        decode(b"\x81" * 5_000, LIMIT)


def test_wide_values_with_many_links_are_not_taken_for_deep_ones() -> None:
    value = [[Link(cid_of(str(index).encode()))] for index in range(2000)]
    assert decode(encode(value), LIMIT) == value


@pytest.mark.parametrize("wide", [[[1]] * 300, {f"{index:03}": [] for index in range(300)}, [Link(A_CID)] * 100])
@pytest.mark.parametrize("inner", [1, [], {"a": Link(A_CID)}, "x" * 300, 2**40])
def test_levels_are_counted_beside_wide_values_too(wide: Any, inner: Any) -> None:
    value, levels = inner, 1 if isinstance(inner, list | dict) else 0
    while levels < MAX_DEPTH - 1:
        value, levels = [0, value] if levels % 2 else {"v": value}, levels + 1
    assert decode(encode([wide, value]), LIMIT) == [wide, value]
    with pytest.raises(InvalidEncoding, match="inside each other"):
        decode(b"\x82" + encode(wide) + b"\x81" + encode(value), LIMIT)


@pytest.mark.parametrize("item", [b"\x80", b"\x81\x00", b"\xa0", b"\x00\x80"])
def test_many_tiny_items_are_refused(item: bytes) -> None:
    """Each costs a step, and a megabyte would hold a million; the bytes are canonical otherwise."""
    count = 300_000
    data = b"\x9a" + (count * len(item) if item == b"\x00\x80" else count).to_bytes(4, "big") + item * count
    with pytest.raises(InvalidEncoding, match="three bytes"):
        decode(data, 1 << 24)
    few = 400
    assert len(decode(b"\x99" + few.to_bytes(2, "big") + b"\x81\x00" * few, LIMIT)) == few


def test_size_is_bounded() -> None:
    data = encode(["x" * 100])
    assert decode(data, len(data)) == ["x" * 100]
    with pytest.raises(InvalidEncoding, match=f"at most {len(data) - 1} bytes"):
        decode(data, len(data) - 1)


@pytest.mark.parametrize(
    "text",
    ["1.0", "1e3", "NaN", "-Infinity", '{"a":1,"a":2}', '{"/":{"bytes":"AA"}}', '{"/":"bafy","b":1}', '{"/":1}',
     '{"/":"bafy"}', "9223372036854775808", "1" * 5000, '"\\ud800"', "[" * 100_000, "{", "", "[1] 2", b"\xff",
     b"\xff\xfe1\x00"],
)  # fmt: skip
def test_json_outside_the_subset_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidEncoding):
        from_json(text)


def test_json_is_dag_json() -> None:
    assert to_json({"b": [Link(A_CID), None], "a": "é"}) == f'{{"a":"é","b":[{{"/":"{A_CID}"}},null]}}'
    with pytest.raises(InvalidEncoding, match="reserves"):
        to_json({"/": 1})


@given(st.binary(max_size=40))
def test_a_cid_is_the_sha256_of_the_block(data: bytes) -> None:
    text = cid_of(data)
    assert CID.decode(text) == CID("base32", 1, "dag-cbor", ("sha2-256", hashlib.sha256(data).digest()))
    assert cid_to_text(cid_to_bytes(text)) == text


@given(st.text(max_size=70) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=59, max_size=59).map("baf".__add__))
def test_arbitrary_text_is_refused_as_a_cid_or_canonical(text: str) -> None:
    try:
        data = cid_to_bytes(text)
    except InvalidEncoding:
        return
    assert cid_to_text(data) == text


def test_a_cid_with_unused_bits_set_is_refused() -> None:
    assert A_CID[-1] in "aeimquy4"  # 36 bytes leave two bits over
    with pytest.raises(InvalidEncoding):
        cid_to_bytes(A_CID[:-1] + chr(ord(A_CID[-1]) + 1))


@given(st.lists(st.binary(max_size=6), max_size=40), st.binary(max_size=3))
def test_a_list_falls_apart_where_its_items_begin_or_not_at_all(inside: list[bytes], before: bytes) -> None:
    begin = b"\x01\x02"
    items = [begin + each for each in inside]
    data = before + list_head(len(items)) + b"".join(items)
    found = split_list(data, len(before), begin)
    assert found == (items if not any(begin in each[1:] for each in items) else None)
    assert split_list(data + b"\x00", len(before), begin) != items
    assert split_list(before + list_head(len(items) + 1) + b"".join(items), len(before), begin) is None


@pytest.mark.parametrize(
    "data", [b"", b"\x98\x01\x01\x02", b"\x60", b"\x9f\x01\x02\xff", b"\x9b" + bytes(8), b"\x81\x02"]
)
def test_what_is_no_list_in_its_shortest_form_does_not_fall_apart(data: bytes) -> None:
    assert split_list(data, 0, b"\x01\x02") is None
