"""What streams share: how OpenAPI shows one, and where a client wants it resumed."""

from __future__ import annotations

from typing import Any, Final

from flask import request

from coordinator.problems import bad_field

#: The responses of a route that answers with Server-Sent Events.
STREAM: Final[dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]] = {
    200: {"description": "Events", "content": {"text/event-stream": {}}},
    503: {"description": "Too many streams are open"},
}


def last_seen() -> int | None:
    """The number of the last event that the client has, None where it begins. Raises `Problem` 400."""
    text = request.headers.get("Last-Event-ID")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 17):
        raise bad_field("Last-Event-ID", "expected the number that an event's id gave")
    return None if text is None else int(text)
