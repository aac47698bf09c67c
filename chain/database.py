"""A node's database: its tables, its one writer and its readers; what is in them is the business of `chain.store`.

SQLite in WAL mode with ``synchronous=FULL``: what a :meth:`Database.write` block committed survives the death of the
process and of the machine.  One writer; any thread may read beside it, each over a connection of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: Pages (4 KiB) that the log beside the database has before they are copied into it. Places of transactions lie all
#: over the database, so the fewer times, the less is copied.
CHECKPOINT_PAGES = 8_192
#: KiB of the database that the writer keeps in memory.
CACHE_KIB = 16_384
#: Version of the tables below; a database of another version is refused.
SCHEMA_VERSION = 3

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


class StoreClosed(Exception):  # noqa: N818 - says what happened
    """The node stops: what it keeps is read and written no more."""

    def __init__(self) -> None:
        super().__init__("the node's database is closed: the node stops")


class StoreError(Exception):
    """The database is of another network or version, or in use by another process."""


class _Reader:
    """One thread's connection to read with, within ``with busy``: to close it meanwhile, from another thread, would end
    the process, since SQLite frees what is being read.

    A lock of the interpreter's own, since an interrupt may come between any two steps of Python: none leaves it taken.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.busy = threading.Lock()
        self._closed = False

    def opened(self) -> sqlite3.Connection:
        """The connection, to be asked for within ``with busy``. Raises :class:`StoreClosed`."""
        if self._closed:
            raise StoreClosed
        return self.connection

    def close(self) -> None:
        """Once what is being read is read."""
        with self.busy:
            self._closed = True
            self.connection.close()


class Database:
    """Connections to the file, or to what is in memory alone."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the database at ``path``; None keeps it in memory, for simulations.

        Raises :class:`StoreError` for a database of another version, one that another process writes to, and what is
        no database.
        """
        self._path = path
        self._local = threading.local()
        self._readers: list[_Reader] = []
        self._closed = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()
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
        """Close all connections, once what is being read is read and what is being written is written. Whoever reads
        or writes after that gets :class:`StoreClosed`."""
        with self._writing:
            with self._lock:
                self._closed = True
            for reader in self._readers:
                reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """All or nothing: on the disk when the block ends, or, when it raises, as if it had never begun."""
        with self._writing:
            self._must_be_open()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first row that the query finds, or None."""
        reader = self._reader()
        with reader.busy:
            return reader.opened().execute(query, values).fetchone()

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that the query finds."""
        reader = self._reader()
        with reader.busy:
            return reader.opened().execute(query, values).fetchall()

    def _must_be_open(self) -> None:
        """To be asked within a lock that :meth:`close` takes. Raises :class:`StoreClosed`."""
        if self._closed:
            raise StoreClosed

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._new_reader()
        return reader

    def _new_reader(self) -> _Reader:
        with self._lock:
            self._must_be_open()
            if self._path is None:  # one connection, one lock: all threads read over it
                if not self._readers:
                    self._readers.append(_Reader(self._writer))
                return self._readers[0]
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._readers.append(_Reader(connection))
            return self._readers[-1]
