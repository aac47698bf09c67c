"""JSON from strangers: RFC 8259 to the letter, and no deeper than a document can need."""

from __future__ import annotations

import sys

import pytest

from runtime import strict_json


def test_what_is_json_is_read() -> None:
    assert strict_json.loads(b'{"a": [1, 2.5, null, "]]]["]}') == {"a": [1, 2.5, None, "]]]["]}


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[-Infinity]", "", "{", b"\xff"])
def test_what_is_not_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expect|decode"):
        strict_json.loads(text)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\uDC00\\ud800": 1}', '["\ud800"]', '"\\ud83dx\\ude00"'])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        strict_json.loads(text)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert strict_json.loads('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_depth_is_refused_before_the_stack_is_used_whatever_the_recursion_limit(open_: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ValueError, match="more than 32 deep"):
            strict_json.loads(open_ * 100_000)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_text_do_not_count_and_many_side_by_side_may_stand() -> None:
    assert strict_json.loads('["' + "[" * 100 + '"]') == ["[" * 100]
    assert strict_json.loads("[" + ",".join(["[]"] * 1000) + "]") == [[]] * 1000
