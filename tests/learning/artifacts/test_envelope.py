"""The outer form is deterministic, bounded and strict."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.artifacts.envelope import Arrays, Fields, pack, unpack
from learning.errors import InvalidArtifact


def test_the_order_in_which_arrays_come_does_not_matter() -> None:
    one, two = np.arange(3), np.ones((2, 2))
    assert pack({"a": 1, "b": 2}, {"one": one, "two": two}) == pack({"b": 2, "a": 1}, {"two": two, "one": one})


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(["<f8", "<i8", "<u4", "|u1"]), st.lists(st.integers(0, 3), max_size=3), st.booleans()
        ),
        max_size=4,
    )
)
def test_arrays_come_back_with_dtype_shape_and_memory_order(kinds: dict[str, tuple[str, list[int], bool]]) -> None:
    arrays: Arrays = {}
    for name, (dtype, shape, fortran) in kinds.items():
        array = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
        arrays[name] = np.asfortranarray(array) if fortran else array
    header, found = unpack(pack({"x": 1}, arrays))
    assert header["x"] == 1
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].flags.c_contiguous == array.flags.c_contiguous
        assert found[name].flags.aligned
        assert found[name].flags.writeable


def test_values_that_are_not_finite_do_not_become_artifacts() -> None:
    with pytest.raises(InvalidArtifact, match="'w' are not finite: the training diverged"):
        pack({}, {"w": np.array([np.inf])})


def with_header(header: object, rest: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


GOOD = json.dumps({"format": "assay-model", "version": 1, "fortran": []})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "9 to"),
        (b"\xff" * 20, "header has at most"),
        (b"\x08" + b"\x00" * 7 + b"notjson!", "not JSON"),
        (with_header([]), "must be an object"),
        (with_header({}), "one metadata entry"),
        (with_header({"__metadata__": {"assay": "{}", "more": "x"}}), "one metadata entry"),
        (with_header({"__metadata__": {"assay": "{}"}}), "format 'assay-model' version 1"),
        (with_header({"__metadata__": {"assay": '{"format": NaN}'}}), "NaN"),
        (with_header({"__metadata__": {"assay": "[" * 100_000}}), "not JSON"),
        (with_header({"__metadata__": {"assay": GOOD}}, b"trailing"), "not safetensors"),
        (
            with_header({"__metadata__": {"assay": GOOD}, "w": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}),
            "not safetensors",
        ),
        (
            with_header(
                {"__metadata__": {"assay": GOOD}, "w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}, b"00"
            ),
            "came F16",
        ),
        (
            with_header(
                {"__metadata__": {"assay": GOOD}, "w": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}},
                np.array([np.nan]).tobytes(),
            ),
            "finite",
        ),
        (
            with_header({"__metadata__": {"assay": GOOD.replace("[]", '["q"]')}}),
            "array that is not there",
        ),
    ],
)
def test_what_is_no_artifact_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(InvalidArtifact, match=words):
        unpack(data)


@given(st.binary(max_size=300))
def test_any_bytes_do_no_worse_than_invalid_artifact(data: bytes) -> None:
    with pytest.raises(InvalidArtifact):
        unpack(data)


def test_arrays_that_nobody_asked_for_are_refused() -> None:
    fields = Fields({"0.w": np.zeros(2), "1.w": np.zeros(2)}, "0.")
    fields.take("w", "<f8", (None,))
    fields.done()
    with pytest.raises(InvalidArtifact, match=r"'1.w'"):
        Fields({"1.w": np.zeros(2)}).done()
