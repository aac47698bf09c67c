"""How OpenAPI shows a stream."""

from __future__ import annotations

from typing import Any, Final

#: The responses of a route that answers with Server-Sent Events.
STREAM: Final[dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]] = {
    200: {"description": "Events", "content": {"text/event-stream": {}}},
    503: {"description": "Too many streams are open"},
}
