"""What happened on the head's branch, numbered: made from blocks, read by followers over long polls.

Numbers increase strictly and survive a restart, since events are written with the block they belong to, in
one transaction.  When a block leaves the head's branch, its events are said again with ``undone``, last
first.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from chain.store import StoredEvent
from chain.tree import Entry

#: Names that an event's own fields may not take in the flat JSON object; such a field gets the prefix.
RESERVED = frozenset({"seq", "height", "block", "kind", "undone", "time"})
PREFIX = "of_"
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def block_events(connected: Iterable[Entry], disconnected: Iterable[Entry], after: int) -> list[StoredEvent]:
    """The events of a change of the head, numbered from ``after + 1``."""
    lost, came = tuple(disconnected), tuple(connected)
    found: list[StoredEvent] = []

    def say(entry: Entry, kind: str, fields: Mapping[str, str | int | None], undone: bool) -> None:
        flat = dict(fields)
        if not RESERVED.isdisjoint(flat):
            flat = {(PREFIX + name if name in RESERVED else name): value for name, value in fields.items()}
        text = _to_json(flat)
        number = after + 1 + len(found)
        found.append(StoredEvent(number, entry.height, entry.id, kind, undone, entry.time, text))

    if lost and came:
        fields: dict[str, str | int | None] = {
            "undone_blocks": len(lost),
            "new_blocks": len(came),
            "old_head": lost[0].id,
        }
        say(came[-1], "reorganisation", fields, False)
    for entry in lost:
        for event in reversed(entry.events):
            say(entry, event.kind, event.fields, True)
        say(entry, "block", _summary(entry), True)
    for entry in came:
        say(entry, "block", _summary(entry), False)
        for event in entry.events:
            say(entry, event.kind, event.fields, False)
    return found


def _summary(entry: Entry) -> dict[str, str | int | None]:
    commitment = entry.block.commitment
    return {"transactions": len(entry.block.transactions), "miner": commitment.miner, "parent": entry.parent}


def to_json(event: StoredEvent) -> dict[str, Any]:
    """The event as ``GET /events`` shows it: one flat object."""
    return {
        "seq": event.seq,
        "height": event.height,
        "block": event.block,
        "kind": event.kind,
        "undone": event.undone,
        "time": event.time,
        **json.loads(event.fields),
    }


class Bell:
    """Wakes those who wait for the chain to move; each waits on one condition, nobody polls."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._closed = False

    @property
    def count(self) -> int:
        """How often it rang; take it before looking, and hand it to :meth:`wait`."""
        return self._count

    @property
    def closed(self) -> bool:
        """The node stops; do not wait again."""
        return self._closed

    def ring(self) -> None:
        """Something changed."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Wake everybody for good."""
        with self._condition:
            self._closed = True
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, deadline: float) -> bool:
        """Wait until it rang more often than ``seen``; False at ``deadline`` (``time.monotonic`` seconds)."""
        with self._condition:
            while self._count == seen and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._condition.wait(left)
            return not self._closed
