"""What happened on the head's branch, numbered: made from blocks, read by followers over long polls.

Numbers increase strictly and survive a restart, since events are written with the block they belong to, in
one transaction.  When a block leaves the head's branch, its events are said again with ``undone``, last
first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from chain.happened import Field, Row, Said, StoredEvent, rows_of
from chain.tree import Entry


def block_events(connected: Sequence[Entry], disconnected: Sequence[Entry], after: int) -> list[Row]:
    """The events of a change of the head, numbered from ``after + 1``."""
    found: list[Row] = []

    def say(entry: Entry, said: Sequence[Said], undone: bool) -> None:
        number = found[-1].last if found else after
        found.extend(
            rows_of(said, number, height=entry.height, block=entry.id, undone=undone, time=entry.time)
        )

    if disconnected and connected:
        fields: dict[str, Field] = {
            "undone_blocks": len(disconnected),
            "new_blocks": len(connected),
            "old_head": disconnected[0].id,
        }
        say(connected[-1], [("reorganisation", fields)], False)
    for entry in disconnected:
        say(entry, [*reversed(entry.events), ("block", _summary(entry))], True)
    for entry in connected:
        say(entry, [("block", _summary(entry)), *entry.events], False)
    return found


def _summary(entry: Entry) -> dict[str, Field]:
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
        **event.fields,
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
