"""What the coordinator signed and promised, on disk before the promise: transactions until they are final,
and the Idempotency-Keys of jobs.

One SQLite file in the coordinator's own folder (WAL, synchronous=FULL). A transaction is written here before
it goes to the node, and the identical bytes are sent again until it is final, whatever dies in between.
Losing the file loses no work that the chain holds.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Idempotency-Keys are kept this long, in milliseconds (a day, as the draft's examples do:
#: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
KEEP_KEYS_MS = 24 * 3600 * 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, data BLOB NOT NULL, kind TEXT NOT NULL, expires
INTEGER NOT NULL); CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, digest TEXT NOT NULL, job TEXT NOT
NULL, time INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Pending:
    """A signed transaction that is not known to be final: its id, its bytes, kind and expiry (ms since 1970)."""

    id: str
    data: bytes
    kind: str
    expires: int


@dataclass(frozen=True)
class Remembered:
    """What an Idempotency-Key stood for: the SHA-256 of the request and the job that it opened."""

    digest: str
    job: str


class Outbox:
    """May be shared by threads. Raises `sqlite3.Error` when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def put(self, pending: Pending, key: str | None = None, digest: str = "", now: int = 0) -> None:
        """Keep a transaction and, where given, the Idempotency-Key of the request that it answers, both or neither."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?)",
                (pending.id, pending.data, pending.kind, pending.expires),
            )
            if key is not None:
                database.execute("DELETE FROM keys WHERE time < ?", (now - KEEP_KEYS_MS,))
                database.execute("INSERT INTO keys VALUES (?, ?, ?, ?)", (key, digest, pending.id, now))

    def remembered(self, key: str) -> Remembered | None:
        """What a key stood for."""
        with self._lock:
            row = self._database.execute("SELECT digest, job FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else Remembered(*row)

    def forget(self, transaction: str) -> None:
        """The transaction is final, refused or expired: send it no more. A key that stands for one that was
        refused must be dropped with `forget_key`."""
        with self._transaction() as database:
            database.execute("DELETE FROM outbox WHERE id = ?", (transaction,))

    def forget_key(self, transaction: str) -> None:
        """The transaction was refused: its Idempotency-Key may be used again."""
        with self._transaction() as database:
            database.execute("DELETE FROM keys WHERE job = ?", (transaction,))

    def pending(self) -> list[Pending]:
        """All that is not known to be final, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, data, kind, expires FROM outbox ORDER BY rowid"
            ).fetchall()
        return [Pending(*row) for row in rows]


def request_digest(body: bytes) -> str:
    """SHA-256 of a request's canonical body, in hex: what the same Idempotency-Key must come with."""
    return hashlib.sha256(body).hexdigest()
