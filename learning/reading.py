"""From the bytes of a CSV file to typed Arrow columns, by rules that leave nothing to a library's guessing.

The format (RFC 4180 with these choices):

* UTF-8, with or without a byte order mark; lines end in LF, CRLF or CR; empty lines are skipped.
* The first record holds the columns' names: not empty, no two equal, at most 256 characters.
* Fields are separated by commas and may be quoted with ``"`` (a quote inside is doubled; a quoted field may
  hold commas and line ends).  Every record has as many fields as the first.
* Spaces and tabs around a field are dropped, from names too.  An empty field, quoted or not, is a missing
  value.

A column's type is the first of these that all its values have:

* ``boolean``: ``true`` or ``false`` in any case;
* ``integer``: ``[+-]?[0-9]+``, of a magnitude up to 2^53 - 1 (what a double and JSON keep exactly);
* ``number``: ``[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?``, read as the nearest double, finite;
* ``text``: anything else.

Negative zero is read as zero, so that equal numbers are equal rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from learning.canonical import MAX_INTEGER
from learning.errors import InvalidData

#: Raised whenever the same bytes would be read as another table; caches of other numbers are not used.
FORMAT_VERSION = 1
MAX_COLUMNS = 10_000
MAX_NAME = 256

_BLANK = " \t"
_BOOLEAN = r"\A(?i:true|false)\z"
_INTEGER = r"\A[+-]?[0-9]+\z"
_NUMBER = r"\A[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
#: What other programs write for a missing or impossible number.
_NOT_NUMBERS = r"\A(?i:[+-]?(nan|inf|infinity)|na|n/a|#n/a|null|none|nil|\?|-|\.)\z"
_NEVER_TEXT = r"\A(?i:[+-]?(nan|inf|infinity))\z"

ARROW_TYPES = {"boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64(), "text": pa.string()}


def read_csv(stream: BinaryIO) -> pa.Table:
    """The table in a CSV file: columns of Arrow types bool, int64, float64 or string, null where missing.

    Raises :class:`InvalidData`, naming line and column, for whatever is not as the module's text says, for a
    file without rows, and for a column without any value.
    """
    data = stream.read()
    if not data.strip():
        raise InvalidData(
            "the file is empty: expected CSV text with a line of column names and at least one row"
        )
    if (nul := data.find(b"\0")) >= 0:
        raise InvalidData(
            f"line {_line_at(data, nul)} holds a NUL byte: expected CSV text in UTF-8 (was it saved as "
            "UTF-16, or is it another kind of file?)"
        )
    names = _header(data)
    strings = _split(data, len(names))
    if strings.num_rows == 0:
        raise InvalidData(f"there is no row below the column names {_listed(names)}: expected at least one")
    columns = [_typed(data, name, strings.column(index)) for index, name in enumerate(names)]
    return pa.table(dict(zip(names, columns, strict=True)))


def _records(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Each record's first line number and fields, by Python's own strict reader: the source of line
    numbers.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), strict=True)
    while True:
        before = lines.line_num
        try:
            record = next(lines)
        except StopIteration:
            return
        except UnicodeDecodeError:
            raise _not_utf8(data) from None
        except csv.Error as problem:
            raise InvalidData(
                f"line {before + 1}: {problem}; expected fields separated by commas, quoted as a whole "
                "with \" or not at all, a quote inside a quoted field doubled"
            ) from None
        if record:
            yield before + 1, record


def _header(data: bytes) -> list[str]:
    line, fields = next(_records(data), (1, []))
    names = [field.strip(_BLANK) for field in fields]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise InvalidData(
            f"line {line} has the one column name {names[0]!r}: the fields seem to be separated by "
            "something else than commas; expected comma-separated values"
        )
    if len(names) > MAX_COLUMNS:
        raise InvalidData(f"the table has {len(names)} columns, at most {MAX_COLUMNS} are read")
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise InvalidData(
                f"line {line}: column {number} of {len(names)} has no name; name it in the first line or "
                "remove the column (an index that was saved with the table often looks so)"
            )
        if len(name) > MAX_NAME or any(not character.isprintable() for character in name):
            raise InvalidData(
                f"line {line}: the name of column {number}, {name[:40]!r}, is too long or not printable; "
                f"expected 1 to {MAX_NAME} printable characters"
            )
        if name in seen:
            raise InvalidData(
                f"line {line}: columns {seen[name]} and {number} are both named {name!r}; rename one of them"
            )
        seen[name] = number
    return names


def _split(data: bytes, width: int) -> pa.Table:
    """All records but the first, as string columns, by pyarrow's parser (ten times faster than Python's)."""
    if b'"' in data:
        # Arrow's parser forgives a quote that is never closed and text after a closing one; we do not.
        for _ in _records(data):
            pass
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 24),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={f"f{index}": pa.string() for index in range(width)},
                null_values=[],
                strings_can_be_null=False,
                check_utf8=True,
            ),
        )
    except pa.ArrowInvalid as problem:
        raise _diagnosis(data, width, problem) from None
    return table.slice(1)


def _diagnosis(data: bytes, width: int, problem: Exception) -> InvalidData:
    """What is wrong with data that Arrow refused, with the line."""
    for line, fields in _records(data):
        if len(fields) != width:
            return InvalidData(
                f"line {line} has {len(fields)} fields, expected {width} as in the line of column names; "
                "quote fields that hold commas and fill missing values with nothing between two commas"
            )
    return InvalidData(f"the file could not be read as CSV: {problem}")


def _not_utf8(data: bytes) -> InvalidData:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        byte = data[problem.start]
        return InvalidData(
            f"line {_line_at(data, problem.start)} is not UTF-8 (byte 0x{byte:02x} at offset "
            f"{problem.start}); save the file in UTF-8"
        )
    raise AssertionError("only called where decoding fails")


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def _line_of(data: bytes, row: int) -> int:
    """The line on which a row (0 for the first below the names) begins."""
    for number, (line, _) in enumerate(_records(data)):
        if number == row + 1:
            return line
    raise AssertionError("only called for rows that were read")


def _typed(data: bytes, name: str, strings: pa.ChunkedArray) -> pa.Array:
    """One column in the narrowest type that all its values have."""
    trimmed = pc.ascii_trim(strings.combine_chunks(), characters=_BLANK)
    array = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    if array.null_count == len(array):
        raise InvalidData(f"column {name!r} has no value in any row; remove the column")
    if _all_match(array, _BOOLEAN):
        return pc.equal(pc.ascii_lower(array), "true")
    numeric = pc.match_substring_regex(array, _NUMBER)
    if _all_match(array, _INTEGER):
        return _integers(data, name, array)
    if _all(numeric):
        return _numbers(data, name, array)
    odd = pc.match_substring_regex(array, _NOT_NUMBERS)
    marked = _all(pc.or_(numeric, odd)) and pc.any(numeric).as_py()
    if marked or _all_match(array, _NEVER_TEXT):
        row = pc.index(odd, True).as_py()
        raise InvalidData(
            f"line {_line_of(data, row)}, column {name!r}: expected a number, found "
            f"{array[row].as_py()!r}; leave "
            "the field empty where a value is missing, and remove rows whose value is no finite number"
        )
    return array


def _integers(data: bytes, name: str, array: pa.Array) -> pa.Array:
    # By way of the nearest double, which decides exactly whether the bound is kept: 2^53 is a double itself.
    approximate = pc.cast(_unsigned(array), pa.float64())
    large = pc.greater(pc.abs(approximate), float(MAX_INTEGER))
    if pc.any(large).as_py():
        row = pc.index(large, True).as_py()
        raise InvalidData(
            f"line {_line_of(data, row)}, column {name!r}: the integer {array[row].as_py()[:40]} is beyond "
            "2^53 - 1 (9007199254740991), so it would lose digits; remove the column if it is an "
            "identifier, or write it as a number in scientific notation if it is a measurement"
        )
    return pc.cast(pc.add(approximate, 0.0), pa.int64())


def _numbers(data: bytes, name: str, array: pa.Array) -> pa.Array:
    numbers = pc.cast(_unsigned(array), pa.float64())
    finite = pc.is_finite(numbers)
    if not _all(finite):
        row = pc.index(finite, False).as_py()
        raise InvalidData(
            f"line {_line_of(data, row)}, column {name!r}: the number {array[row].as_py()[:40]!r} is too "
            "large for a double (1.8e308); use another unit or remove the row"
        )
    return pc.add(numbers, 0.0)  # -0.0 + 0.0 is 0.0


def _unsigned(array: pa.Array) -> pa.Array:
    """Without leading plus signs."""
    return pc.replace_substring_regex(array, pattern=r"\A\+", replacement="")


def _all_match(array: pa.Array, pattern: str) -> bool:
    return _all(pc.match_substring_regex(array, pattern))


def _all(mask: pa.Array) -> bool:
    """Whether a mask is true wherever it is not null."""
    return bool(pc.all(mask).as_py())


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown}, ... ({len(names)} in all)"


def column_type(array: pa.DataType) -> str:
    """The name of an Arrow type in manifests.  Raises ``KeyError`` for one that :func:`read_csv` never
    makes.
    """
    found: dict[Any, str] = {arrow: name for name, arrow in ARROW_TYPES.items()}
    return found[array]
