"""What a node keeps in its database beside the chain: evidence, that it had to stop, and what it knows of other nodes.

Each is one value under one key, replaced as a whole.  Evidence is bounded by the validators there have been (two votes
each); the book by the bounds of :class:`chain.node.peering.limits.Limits`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chain.errors import ConflictingFinality
from chain.schema import from_bytes, to_bytes
from chain.store import Store
from chain.transactions import ReportMisconduct

EVIDENCE = "evidence"
CONFLICT = "conflicting_finality"
BOOK = "book"
#: Largest report that is read back, bytes: two votes and their envelopes (see `Params.largest_transaction`).
MAX_REPORT = 4 * 1024 * 1024


def evidence(store: Store) -> list[ReportMisconduct]:
    """Reports that were ready and not on a final block yet."""
    return [from_bytes(ReportMisconduct, bytes.fromhex(each), MAX_REPORT) for each in _read(store, EVIDENCE, [])]


def keep_evidence(store: Store, reports: Sequence[ReportMisconduct]) -> None:
    """Replaces what was kept."""
    _write(store, EVIDENCE, [to_bytes(report).hex() for report in reports])


def conflict(store: Store) -> ConflictingFinality | None:
    """Why this node has stopped for good, if it has."""
    found = _read(store, CONFLICT, None)
    return None if found is None else ConflictingFinality(found["expected"], found["found"])


def keep_conflict(store: Store, error: ConflictingFinality, now: int) -> None:
    """The node stops, and must not go on by itself when it is started again.  ``now``: milliseconds since 1970 UTC."""
    _write(store, CONFLICT, {"expected": error.expected, "found": error.found, "time": now})


def forget_conflict(store: Store) -> bool:
    """An operator has decided that it may go on; whether there was anything to forget."""
    found = conflict(store) is not None
    if found:
        _write(store, CONFLICT, None)
    return found


def book(store: Store) -> dict[str, Any]:
    """What :meth:`keep_book` was given last; empty at first."""
    return dict(_read(store, BOOK, {}))


def keep_book(store: Store, content: dict[str, Any]) -> None:
    """Replaces what was kept."""
    _write(store, BOOK, content)


def _read(store: Store, key: str, default: Any) -> Any:
    text = store.meta(key)
    return default if text is None else json.loads(text)


def _write(store: Store, key: str, value: Any) -> None:
    with store.write():
        store.set_meta(key, json.dumps(value))
