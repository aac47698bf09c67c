"""What is packed part by part has the very bytes of what is written whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chain.actors import Cast
from benchmarks.chain.making import Recipe, make
from chain import schema
from chain.encoding import INT_MAX, INT_MIN, cid_of, write_raw
from chain.errors import InvalidEncoding
from chain.packing import pack
from chain.params import DEVELOPMENT
from chain.records import PACKED, replace
from chain.schema import Address, Cid, Hash, Range, Text
from chain.state import genesis_state
from chain.state.tables import TABLES
from chain.state.transition import apply_block

cids = st.binary(max_size=8).map(cid_of)
texts = st.text(max_size=300)
integers = st.integers(INT_MIN, INT_MAX)
addresses = st.integers(0, 16**40 - 1).map(lambda number: Address(f"0x{number:040x}"))
hashes = st.integers(0, 16**64 - 1).map(lambda number: Hash(f"{number:064x}"))


@dataclass(frozen=True)
class Part:
    name: str
    cid: Cid | None
    value: int


@dataclass(frozen=True)
class Whole:
    number: int
    z: bool
    aa: Address
    hash: Hash
    small: Annotated[int, Range(0, 30)]
    short: Annotated[str, Text(0, 5)]
    side: Literal[1, -1]
    either: str | int | None
    parts: tuple[Part, ...]
    pairs: tuple[tuple[Address, int], ...]
    named: Mapping[str, int]
    last: Part | None


parts = st.builds(Part, texts, st.none() | cids, integers)
wholes = st.builds(
    Whole, integers, st.booleans(), addresses, hashes, st.integers(0, 30), st.text(max_size=5),
    st.sampled_from([1, -1]), st.none() | integers | texts, st.lists(parts, max_size=30).map(tuple),
    st.lists(st.tuples(addresses, integers), max_size=3).map(tuple), st.dictionaries(texts, integers, max_size=5),
    st.none() | parts,
)  # fmt: skip


@given(wholes, parts)
def test_packing_gives_the_bytes_of_writing(whole, part):
    assert pack(whole) == schema.to_bytes(whole)
    grown = replace(whole, parts=(*whole.parts, part), last=part)  # most of its parts keep their bytes
    assert pack(grown) == schema.to_bytes(grown)
    changed = replace(grown, parts=tuple(replace(each, value=7) for each in grown.parts))
    assert pack(changed) == schema.to_bytes(changed)


@given(integers | texts)
def test_single_values_are_packed_alike(value):
    assert pack(value) == write_raw(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", 2**63), ("number", True), ("number", "1"), ("z", 1), ("aa", "0xAB"), ("hash", "e" * 63),
        ("small", 31), ("short", "longer"), ("side", 0), ("either", 1.5), ("parts", []), ("parts", (1,)),
        ("pairs", ((1,),)),
        ("named", {1: 1}), ("last", "part"),
    ],
)  # fmt: skip
def test_what_breaks_its_annotation_is_refused_by_name(field, value):
    whole = Whole(1, True, Address("0x" + "0" * 40), Hash("0" * 64), 1, "", 1, None, (), (), {}, None)
    broken = dataclasses.replace(whole, **{field: value})
    for write in (pack, schema.to_bytes):
        with pytest.raises((InvalidEncoding, AttributeError)) as refused:
            write(broken)
        assert write is not schema.to_bytes or refused.value.where.startswith(field)


def test_every_object_of_a_busy_chains_states_is_packed_as_it_is_written():
    recipe = Recipe(600, 60)
    blocks = list(make(recipe))
    genesis = Cast.of(recipe.validators).genesis(f"benchmark {recipe.name}")
    state, ids = genesis_state(genesis, DEVELOPMENT), [blocks[0].header.parent]
    seen = set()
    for block in blocks:
        state, _ = apply_block(
            state, ids[-1], block.header.time, len(ids), block.commitment.miner, block.transactions, DEVELOPMENT,
            ids.__getitem__,
        )  # fmt: skip
        ids.append(block.id)
        for name in TABLES:
            for value in state.tables[name].values():
                plain = value if isinstance(value, int | str) else schema.write(value)
                assert pack(value) == write_raw(plain)
                seen.add(name)
    assert {"accounts", "jobs", "versions", "models", "ids", "attestations", "voters", "links"} <= seen


def test_a_changed_record_loses_its_bytes_and_keeps_its_fields():
    part = Part("a", None, 1)
    part.__dict__[PACKED] = b"stale"
    changed = replace(part, value=2)
    assert changed == Part("a", None, 2)
    assert PACKED not in changed.__dict__
    with pytest.raises(TypeError, match="Part has no field worth"):
        replace(part, worth=2)  # type: ignore[call-arg]
