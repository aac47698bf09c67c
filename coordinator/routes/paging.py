"""What groups of routes share: lists in pages (`?limit=&cursor=`, and the answer's `next`, null at the end), and how
OpenAPI shows a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from coordinator.problems import bad_field

T = TypeVar("T")

#: The responses of a route that answers with Server-Sent Events.
STREAM: Final[dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]] = {
    200: {"description": "Events", "content": {"text/event-stream": {}}},
    503: {"description": "Too many streams are open"},
}


def page(
    items: Sequence[T], limit: int, cursor: str | None, key: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """The items after the one whose key is `cursor`, at most `limit`, and the cursor for the rest.

    Raises the 400 problem for a cursor that names none of them.
    """
    begin = 0
    if cursor is not None:
        places = [index for index, item in enumerate(items) if key(item) == cursor]
        if not places:
            raise bad_field("cursor", "expected what the answer before gave as next")
        begin = places[0] + 1
    found = list(items[begin : begin + limit])
    more = begin + limit < len(items)
    return found, key(found[-1]) if more and found else None
