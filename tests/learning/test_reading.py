"""CSV is read by written rules; whatever breaks one is refused with its line and column."""

from __future__ import annotations

import csv
import io
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.errors import InvalidData
from learning.reading import read_csv


def read(data: str | bytes) -> pa.Table:
    return read_csv(io.BytesIO(data.encode() if isinstance(data, str) else data))


def types(text: str) -> dict[str, str]:
    return {field.name: str(field.type) for field in read(text).schema}


def test_a_column_has_the_narrowest_type_of_all_its_values() -> None:
    text = "flag,count,size,word,mixed\nTrue,+1,1.,a,1\nfalse,-20,.5e3,true,true\n,,,,x\n"
    assert types(text) == {
        "flag": "bool",
        "count": "int64",
        "size": "double",
        "word": "string",
        "mixed": "string",
    }
    assert read(text).to_pydict() == {
        "flag": [True, False, None],
        "count": [1, -20, None],
        "size": [1.0, 500.0, None],
        "word": ["a", "true", None],
        "mixed": ["1", "true", "x"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y",
        "a,b\r1,x\r2,y\r",
        "\ufeffa,b\n\n1,x\n\n2,y\n\n",
        '"a","b"\n"1","x"\n2,"y"\n',
        " a ,\tb\n 1,x \n2 , y\n",
    ],
)
def test_line_ends_quotes_blanks_and_a_byte_order_mark_do_not_matter(text: str) -> None:
    assert read(text).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_a_quoted_field_may_hold_commas_quotes_and_line_ends() -> None:
    assert read('a,b\n"x, ""y""\nz",1\n').to_pydict() == {"a": ['x, "y"\nz'], "b": [1]}


def test_an_empty_field_is_missing_quoted_or_not() -> None:
    assert read('a,b\n,1\n"",2\n"  ",3\nx,4\n')["a"].to_pylist() == [None, None, None, "x"]


def test_zero_has_no_sign() -> None:
    column = read("a,b\n-0.0,1\n-0,1\n0.5,1\n")["a"].to_pylist()
    assert [math.copysign(1, value) for value in column] == [1, 1, 1]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_numbers_are_read_as_the_nearest_double(values: list[float]) -> None:
    text = "a,b\n0.5,0\n" + "".join(f"{value!r},0\n" for value in values)
    assert read(text)["a"].to_pylist()[1:] == values


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1, max_size=30))
def test_integers_are_read_exactly(values: list[int]) -> None:
    assert read("a,b\n" + "".join(f"{value},0\n" for value in values))["a"].to_pylist() == values


@pytest.mark.parametrize(
    "digits", ["0.1000000000000000055511151231257827", "9007199254740993.0", "1e-400", "1E+5", "+.5"]
)
def test_long_decimals_round_as_python_rounds_them(digits: str) -> None:
    assert read(f"a\n{digits}\n0.5\n")["a"].to_pylist()[0] == float(digits)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"a,b\n", "no row below the column names a, b"),
        (b"a,,c\n1,2,3\n", "line 1: column 2 of 3 has no name"),
        (b'\n"a", a\n1,2\n', "line 2: columns 1 and 2 are both named 'a'"),
        (b"a\x07b,c\n1,2\n", "not printable"),
        (b"a;b\n1;2\n", "separated by something else than commas"),
        (b"a,b\n1,2\n\n3\n", "line 4 has 1 fields, expected 2"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, expected 2"),
        (b'a,b\n"x\ny",2\n3,4,5\n', "line 4 has 3 fields, expected 2"),
        (b"a,b\n1,\xff\n", r"line 2 is not UTF-8 \(byte 0xff at offset 6\)"),
        (b"a\xe4,b\n1,2\n", "line 1 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1 holds a NUL byte"),
        (b'a,b\n1,"x\n2,3\n', "line 2: unexpected end of data"),
        (b'a,b\n1,"x"y\n', "line 2: ',' expected after"),
        (b"a,b\n1,\n2,\n", "column 'b' has no value"),
        (b"a,b\n1,2\nNaN,3\n", "line 3, column 'a': expected a number, found 'NaN'; leave the field empty"),
        (b"a,b\n1.5,2\n1,3\n\n-inf,3\n", "line 5, column 'a': expected a number, found '-inf'"),
        (b"a,b\nNA,2\n1,3\n", "line 2, column 'a': expected a number, found 'NA'"),
        (b"a,b\n?,2\n1,3\n", "line 2, column 'a': expected a number, found '?'"),
        (b"a,b\nnan,2\nnan,3\n", "line 2, column 'a': expected a number, found 'nan'"),
        (b"a,b\n1,2\n9007199254740992,3\n", "line 3, column 'a': the integer 9007199254740992 is beyond"),
        (b"a,b\n1,2\n1,-99999999999999999999\n", "line 3, column 'b': the integer -99999999999999999999"),
        (b"a,b\n1,2\n1,1e999\n", "line 3, column 'b': the number '1e999' is too large"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read(data)


def test_words_for_missing_values_are_text_among_text() -> None:
    assert read("country\nNA\nDE\n")["country"].to_pylist() == ["NA", "DE"]


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(InvalidData, match="10001 columns, at most 10000"):
        read(",".join(f"c{n}" for n in range(10_001)) + "\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_invalid_data(data: bytes) -> None:
    try:
        table = read(data)
    except InvalidData:
        return
    assert table.num_rows >= 1


_cell = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)


@given(st.lists(st.tuples(_cell, _cell), min_size=1, max_size=10))
def test_what_python_writes_comes_back(rows: list[tuple[str, str]]) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
    # An x before and after makes every field text that no trimming or typing touches.
    writer.writerows([("a", "b"), *((f"x{one}x", f"x{two}x") for one, two in rows)])
    expected = {"a": [f"x{one}x" for one, _ in rows], "b": [f"x{two}x" for _, two in rows]}
    assert read(sink.getvalue()).to_pydict() == expected
