"""Estimators and rows as people write them."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.estimators import parse_estimator, parse_rows, parse_value

RIDGE = "sklearn.linear_model.Ridge"


@pytest.mark.parametrize(
    ("text", "params", "spec"),
    [
        (RIDGE, (), {"class": RIDGE, "params": {}}),
        (RIDGE, ("alpha=0.5",), {"class": RIDGE, "params": {"alpha": 0.5}}),
        (RIDGE, ("solver=lsqr", "copy_X=false"), {"class": RIDGE, "params": {"solver": "lsqr", "copy_X": False}}),
        (RIDGE, ("x=[5, 3]", "y=null", "z=a=b"), {"class": RIDGE, "params": {"x": [5, 3], "y": None, "z": "a=b"}}),
        ('{"pipeline": []}', (), {"pipeline": []}),
        (f'  {{"class": "{RIDGE}"}}', (), {"class": RIDGE}),
    ],
)  # fmt: skip
def test_an_estimator_is_a_class_with_parameters_or_json(text: str, params: tuple[str, ...], spec: Any) -> None:
    assert parse_estimator(text, params) == spec


@pytest.mark.parametrize(
    ("text", "params", "said"),
    [
        (RIDGE, ("alpha",), "expected NAME=VALUE"),
        (RIDGE, ("=5",), "expected NAME=VALUE"),
        ("{", (), "expected a JSON object"),
        ('{"alpha": NaN}', (), "NaN is not JSON"),
        ("{" * 100_000, (), "expected a JSON object"),
        ('{"class": "x"}', ("alpha=1",), "--param goes with a class name"),
    ],
)
def test_what_is_neither_is_refused_with_what_was_expected(text: str, params: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        parse_estimator(text, params)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("5.1,3.5,1.4,0.2", [5.1, 3.5, 1.4, 0.2]),
        (" 1, red ,true ", [1, "red", True]),
        ("length=5.1, colour=red", {"length": 5.1, "colour": "red"}),
        ('{"length": 5.1}', {"length": 5.1}),
        ("[1, 2]", [1, 2]),
        ("5", [5]),
    ],
)
def test_a_row_is_values_pairs_or_json(text: str, row: Any) -> None:
    assert parse_rows((text,)) == [row]


def test_several_rows_may_be_given() -> None:
    assert parse_rows(("1,2", "a=1")) == [[1, 2], {"a": 1}]
    assert parse_rows(()) == []


@pytest.mark.parametrize("text", ["{", "[1,", "[Infinity]"])
def test_a_row_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no JSON"):
        parse_rows((text,))


@given(st.text())
def test_any_value_is_json_or_the_text_itself(text: str) -> None:
    value = parse_value(text)
    assert value == text or json.loads(text) == value
    json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_is_text(text: str) -> None:
    assert parse_value(text) == text
