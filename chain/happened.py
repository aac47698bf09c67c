"""Events as the database keeps them: many of a block in one row, since a row for each cost more than to make it.

A row is bounded (ROW_EVENTS), so that a page of events costs the same wherever it begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

#: Events in one row at most.
ROW_EVENTS = 128
#: Names that an event's own fields may not take in the flat JSON object; such a field gets the prefix.
RESERVED = frozenset({"seq", "height", "block", "kind", "undone", "time"})
PREFIX = "of_"

Field = str | int | None
Said = tuple[str, Mapping[str, Field]]
"""An event's kind and its fields."""

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class StoredEvent(NamedTuple):
    """One event of the log, numbered."""

    seq: int
    height: int
    block: str
    kind: str
    undone: bool
    time: int
    fields: Mapping[str, Field]


class Row(NamedTuple):
    """Events of one block that follow each other, in the order of the table's columns."""

    last: int
    """Number of the last of them."""
    height: int
    block: str
    undone: bool
    time: int
    said: str
    """JSON: a list of kind and fields for each."""


def rows_of(
    said: Sequence[Said], after: int, *, height: int, block: str, undone: bool, time: int
) -> Iterator[Row]:
    """The rows of a block's events, numbered from ``after + 1``."""
    for start in range(0, len(said), ROW_EVENTS):
        part = [(kind, dict(fields)) for kind, fields in said[start : start + ROW_EVENTS]]
        yield Row(after + start + len(part), height, block, undone, time, _to_json(part))


def events_in(rows: Iterable[Row], after: int) -> Iterator[StoredEvent]:
    """The events with numbers above ``after`` in these rows."""
    for last, height, block, undone, time, text in rows:
        said = json.loads(text)
        first = last - len(said) + 1
        for number, (kind, fields) in enumerate(said[max(0, after + 1 - first) :], max(first, after + 1)):
            yield StoredEvent(number, height, block, kind, bool(undone), time, _renamed(fields))


def _renamed(fields: dict[str, Field]) -> dict[str, Field]:
    if RESERVED.isdisjoint(fields):
        return fields
    return {(PREFIX + name if name in RESERVED else name): value for name, value in fields.items()}
