"""What commands print."""

from __future__ import annotations

import json

import pytest

from chain.client import NodeUnavailable
from cli.output import EXPECTED, emit, explain, micro, short, table


def test_a_table_is_padded_and_has_no_trailing_blanks() -> None:
    assert table(("name", "rows"), [("iris", 150), ("a longer name", 7)]) == (
        "name           rows\niris           150\na longer name  7"
    )
    assert table(("name", "rows"), []) == "name  rows"


def test_long_ids_are_cut() -> None:
    assert short("bafkreihdwdcefgh4dqkjv67uzcmw7ojee", 8) == "bafkrei…"
    assert short("abc") == "abc"
    assert short(None) == short("") == "-"


def test_scores_are_shown_as_decimals() -> None:
    assert micro(-1_500_000) == "-1.500000"
    assert micro(None) == "-"


def test_one_document_is_printed_for_scripts_or_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"name": "größe"}, True, lambda: pytest.fail("for people"))
    assert json.loads(capsys.readouterr().out) == {"name": "größe"}
    emit({}, False, lambda: "for people")
    assert capsys.readouterr().out == "for people\n"


def test_a_file_s_error_names_the_file() -> None:
    assert explain(FileNotFoundError(2, "No such file or directory", "/x/y")) == "/x/y: No such file or directory"
    assert explain(NodeUnavailable("no node answers at http://x")) == "no node answers at http://x"
    assert NodeUnavailable.__mro__[1] in EXPECTED


def test_a_table_of_nothing_says_so_or_shows_its_headings() -> None:
    assert table(("a", "b"), [], "none yet") == "none yet"
    assert table(("a", "b"), [(1, 2)], "none yet").splitlines() == ["a  b", "1  2"]
    assert table(("a", "b"), []) == "a  b"
