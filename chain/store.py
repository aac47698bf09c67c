"""What a node keeps on disk: blocks, the head's branch, pending transactions, events, jobs that are over, names,
snapshots of the state.

Whatever is asked for, an index leads to it, so that answers cost the same however long the chain is.

SQLite in WAL mode with ``synchronous=FULL``: what a :meth:`Store.write` block committed survives the death of
the process and of the machine.  One writer; any thread may read beside it, each over a connection of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.happened import Row, StoredEvent, events_in
from chain.places import Place, Places

#: Pages (4 KiB) that the log beside the database has before they are copied into it. Places of transactions lie all
#: over the database, so the fewer times, the less is copied.
CHECKPOINT_PAGES = 8_192
#: KiB of the database that the writer keeps in memory.
CACHE_KIB = 16_384
#: Version of the tables below; a database of another version is refused.
SCHEMA_VERSION = 3
#: Snapshots kept: the newest, and one to fall back on.
SNAPSHOTS_KEPT = 2

# The header's text inside a block's bytes (``chain.blocks.Block.data``): 176 characters after the map's head, the
# key and the text's head, 10 bytes together. SQLite reads no more of the row than that.
_HEADER_OF = "SELECT CAST(substr(data, 11, 176) AS TEXT) FROM blocks WHERE id = ?"
_HEADERS = """
SELECT CAST(substr(data, 11, 176) AS TEXT) FROM branch JOIN blocks USING (id)
WHERE branch.height > ? AND branch.height <= ? ORDER BY branch.height"""
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Every valid block, of all branches, in the order in which they were accepted (a parent before its
-- children).
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, height INTEGER NOT NULL,
    work TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX blocks_by_height ON blocks (height);
-- The head's branch.
CREATE TABLE branch (height INTEGER PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
-- Where transactions of the head's branch stand, up to the newest snapshot: see chain.places.
CREATE TABLE included (
    id TEXT PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, received INTEGER NOT NULL,
    data BLOB NOT NULL);
-- By the number of the last of a row's events: see chain.happened.
CREATE TABLE events (
    last INTEGER PRIMARY KEY, height INTEGER NOT NULL, block TEXT NOT NULL, undone INTEGER NOT NULL,
    time INTEGER NOT NULL, said TEXT NOT NULL);
-- Jobs that have left the state, as they last were (chain.state.jobs.compact), by the height that opened them.
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, height INTEGER NOT NULL, state TEXT NOT NULL,
    data BLOB NOT NULL);
CREATE INDEX jobs_by_height ON jobs (height, id);
CREATE INDEX jobs_by_state ON jobs (state, height, id);
-- Names that the head's branch has registered, by kind, to page through in order.
CREATE TABLE names (kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE snapshots (
    block TEXT PRIMARY KEY, height INTEGER NOT NULL, sha256 TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The database is of another network or version, or in use by another process."""


@dataclass(frozen=True)
class StoredBlock:
    """A block as it lies in the database."""

    id: str
    height: int
    work: int
    """Work of its branch from genesis up to and with it."""
    data: bytes


@dataclass(frozen=True)
class StoredJob:
    """A job that has left the state, as DAG-CBOR; ``height`` is that of the block which opened it."""

    id: str
    height: int
    state: str
    data: bytes


@dataclass(frozen=True)
class Snapshot:
    """The state after a final block, as ``State.snapshot`` wrote it."""

    block: str
    height: int
    data: bytes


class Store:
    """One node's database.  Methods named ``put_``, ``set_``, ``drop_`` are for use within :meth:`write`."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the database at ``path``; None keeps it in memory, for simulations.

        Raises :class:`StoreError` for a database of another version, one that another process writes to, and what is
        no database.
        """
        self._path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._places = Places()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = self._connect()
            try:
                self._prepare()
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"expected a node's database at {path}, found something that cannot be read as one ({error}): restore "
                "a copy, or move it away, and the node fetches the chain from its peers"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        where = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(where, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        self._writer.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        found = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            with self.write():
                for statement in _TABLES.split(";"):
                    self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif found != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has tables of version {found}, this program knows version {SCHEMA_VERSION}: "
                "start it with the program that wrote it, or name another folder"
            )

    def close(self) -> None:
        """Close all connections; nobody may be reading any more."""
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            self._writer.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """All or nothing: on the disk when the block ends, or, when it raises, as if it had never begun."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            self._places.forget()
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        self._places.commit()

    def _reader(self) -> sqlite3.Connection:
        if self._path is None:
            return self._writer
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if reader is None:
            reader = self._connect()
            reader.execute("PRAGMA query_only=ON")
            with self._lock:
                self._readers.append(reader)
            self._local.connection = reader
        return reader

    # ------------------------------------------------------------------ writing

    def set_meta(self, key: str, value: str) -> None:
        self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def put_block(self, block: StoredBlock) -> None:
        """Keep a valid block whose parent is kept already."""
        self._writer.execute(
            "INSERT OR IGNORE INTO blocks (id, height, work, data) VALUES (?, ?, ?, ?)",
            (block.id, block.height, str(block.work), block.data),
        )

    def set_connected(self, height: int, block: str, transactions: Sequence[str]) -> None:
        """The block is now on the head's branch, with these transactions in this order."""
        self._writer.execute("INSERT OR REPLACE INTO branch VALUES (?, ?)", (height, block))
        self._places.connect(height, block, transactions)

    def remember(self, height: int, block: str, transactions: Sequence[str]) -> None:
        """When the node starts: a block above the snapshot on the head's branch, whose places are in memory alone."""
        self._places.connect(height, block, transactions)
        self._places.commit()

    def set_disconnected(self, height: int, block: str, transactions: Sequence[str]) -> None:
        """The block with these transactions has left the head's branch."""
        self._writer.execute("DELETE FROM branch WHERE height = ? AND id = ?", (height, block))
        self._places.disconnect(block, transactions)
        # By their ids, which are the key: by the height alone, every transaction there ever was would be looked at.
        self._writer.executemany(
            "DELETE FROM included WHERE id = ? AND height = ?", [(each, height) for each in transactions]
        )

    def put_pending(self, transactions: Iterable[tuple[str, int, bytes]]) -> None:
        """Keep signed transactions, each as (id, milliseconds of arrival, bytes)."""
        self._writer.executemany(
            "INSERT OR IGNORE INTO pending (id, received, data) VALUES (?, ?, ?)", transactions
        )

    def drop_pending(self, transactions: Iterable[str]) -> None:
        self._writer.executemany("DELETE FROM pending WHERE id = ?", [(each,) for each in transactions])

    def put_events(self, rows: Iterable[Row]) -> None:
        self._writer.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)

    def put_jobs(self, jobs: Iterable[StoredJob]) -> None:
        """Keep jobs that have left the state; one that is kept already is the same."""
        self._writer.executemany(
            "INSERT OR REPLACE INTO jobs (id, height, state, data) VALUES (?, ?, ?, ?)",
            [(job.id, job.height, job.state, job.data) for job in jobs],
        )

    def put_names(self, names: Iterable[tuple[str, str]]) -> None:
        """Keep registered names, each as (kind, name)."""
        self._writer.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", names)

    def drop_names(self, names: Iterable[tuple[str, str]]) -> None:
        self._writer.executemany("DELETE FROM names WHERE kind = ? AND name = ?", names)

    def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep the newest snapshot and drop the oldest; the places up to it need no replay from now on."""
        rows = self._places.take(snapshot.height)
        self._writer.executemany("INSERT OR REPLACE INTO included VALUES (?, ?, ?)", rows)
        self._writer.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)",
            (snapshot.block, snapshot.height, hashlib.sha256(snapshot.data).hexdigest(), snapshot.data),
        )
        self._writer.execute(
            "DELETE FROM snapshots WHERE block NOT IN (SELECT block FROM snapshots ORDER BY height DESC "
            "LIMIT ?)",
            (SNAPSHOTS_KEPT,),
        )

    # ------------------------------------------------------------------ reading

    def meta(self, key: str) -> str | None:
        row = self._reader().execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def block(self, block: str) -> StoredBlock | None:
        """A block of any branch, by its id."""
        row = (
            self._reader()
            .execute("SELECT id, height, work, data FROM blocks WHERE id = ?", (block,))
            .fetchone()
        )
        return None if row is None else StoredBlock(row[0], row[1], int(row[2]), row[3])

    def header(self, block: str) -> str | None:
        """The header of a block of any branch, in hexadecimal; its body is not read."""
        row = self._reader().execute(_HEADER_OF, (block,)).fetchone()
        return None if row is None else str(row[0])

    def headers(self, above: int, limit: int) -> list[str]:
        """Up to ``limit`` headers of the head's branch above a height, in hexadecimal, lowest first."""
        return [str(row[0]) for row in self._reader().execute(_HEADERS, (above, above + limit))]

    def blocks_above(self, height: int) -> Iterator[StoredBlock]:
        """Blocks of all branches higher than ``height``, in the order in which they were accepted."""
        # The numbers first: sorting whole blocks would read all of them at once.
        rows = self._reader().execute("SELECT number FROM blocks WHERE height > ?", (height,)).fetchall()
        for number in sorted(rows):
            row = (
                self._reader()
                .execute("SELECT id, height, work, data FROM blocks WHERE number = ?", number)
                .fetchone()
            )
            yield StoredBlock(row[0], row[1], int(row[2]), row[3])

    def branch_at(self, height: int) -> str | None:
        """Id of the block at this height of the head's branch."""
        row = self._reader().execute("SELECT id FROM branch WHERE height = ?", (height,)).fetchone()
        return None if row is None else str(row[0])

    def branch_height(self, block: str) -> int | None:
        """The height of a block on the head's branch; None for all others."""
        row = (
            self._reader()
            .execute("SELECT height FROM blocks JOIN branch USING (id, height) WHERE id = ?", (block,))
            .fetchone()
        )
        return None if row is None else int(row[0])

    def included(self, transaction: str) -> Place | None:
        """Where the head's branch holds the transaction."""
        found = self._places.get(transaction)
        if found is not None:
            return found
        row = (
            self._reader()
            .execute(
                "SELECT branch.id, height, position FROM included JOIN branch USING (height) WHERE included.id = ?",
                (transaction,),
            )
            .fetchone()
        )
        return None if row is None else Place(*row)

    def pending(self) -> list[tuple[int, bytes]]:
        """Pending transactions as (milliseconds of arrival, bytes), oldest first."""
        return self._reader().execute("SELECT received, data FROM pending ORDER BY number").fetchall()

    def pending_one(self, transaction: str) -> bytes | None:
        """The bytes of a pending transaction."""
        row = self._reader().execute("SELECT data FROM pending WHERE id = ?", (transaction,)).fetchone()
        return None if row is None else bytes(row[0])

    def last_seq(self) -> int:
        """Number of the last event; 0 when there is none."""
        return int(self._reader().execute("SELECT coalesce(max(last), 0) FROM events").fetchone()[0])

    def events(self, after: int, limit: int) -> list[StoredEvent]:
        """Up to ``limit`` events with numbers above ``after``."""
        rows = self._reader().execute(
            "SELECT last, height, block, undone, time, said FROM events WHERE last > ? ORDER BY last", (after,)
        )
        with contextlib.closing(rows):
            return list(itertools.islice(events_in(map(Row._make, rows), after), limit))

    def job(self, job: str) -> bytes | None:
        """A job that has left the state."""
        row = self._reader().execute("SELECT data FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else bytes(row[0])

    def has_job(self, job: str) -> bool:
        """Whether this job has left the state."""
        return self._reader().execute("SELECT 1 FROM jobs WHERE id = ?", (job,)).fetchone() is not None

    def jobs(
        self, state: str | None, after: tuple[int, str] | None, limit: int, newest: bool = False
    ) -> Iterator[StoredJob]:
        """Up to ``limit`` jobs that have left the state by (height, id), highest first if ``newest``.

        ``state``: only those that ended so; ``after``: only those that come after this (height, id).
        """
        order, compare = ("DESC", "<") if newest else ("ASC", ">")
        conditions = [] if state is None else ["state = ?"]
        conditions += [] if after is None else [f"(height, id) {compare} (?, ?)"]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        values = (*([] if state is None else [state]), *(after or ()), limit)
        rows = self._reader().execute(
            f"SELECT id, height, state, data FROM jobs {where} ORDER BY height {order}, id {order} LIMIT ?",  # noqa: S608
            values,
        )
        for row in rows:
            yield StoredJob(*row)

    def names(self, kind: str, after: str, limit: int) -> list[str]:
        """Up to ``limit`` registered names of a kind behind ``after``, in order."""
        rows = self._reader().execute(
            "SELECT name FROM names WHERE kind = ? AND name > ? ORDER BY name LIMIT ?", (kind, after, limit)
        )
        return [str(row[0]) for row in rows]

    def snapshot_height(self) -> int:
        """Height of the newest snapshot; 0 where there is none."""
        return int(self._reader().execute("SELECT coalesce(max(height), 0) FROM snapshots").fetchone()[0])

    def snapshots(self) -> Iterator[Snapshot]:
        """Undamaged snapshots, newest first; each is read when it is its turn."""
        rows = self._reader().execute("SELECT block FROM snapshots ORDER BY height DESC").fetchall()
        for name in rows:
            row = (
                self._reader()
                .execute("SELECT block, height, sha256, data FROM snapshots WHERE block = ?", name)
                .fetchone()
            )
            if hashlib.sha256(row[3]).hexdigest() == row[2]:
                yield Snapshot(row[0], row[1], row[3])
