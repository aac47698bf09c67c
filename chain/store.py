"""What a node keeps on disk: blocks, the head's branch, pending transactions, events, jobs that are over, names,
snapshots of the state.

Whatever is asked for, an index leads to it, so that answers cost the same however long the chain is.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.database import Database
from chain.happened import Row, StoredEvent, events_in
from chain.places import Place, Places

#: Snapshots kept: the newest, and one to fall back on.
SNAPSHOTS_KEPT = 2

# The header's text inside a block's bytes (``chain.blocks.Block.data``): 176 characters after the map's head, the
# key and the text's head, 10 bytes together. SQLite reads no more of the row than that.
_HEADER_OF = "SELECT CAST(substr(data, 11, 176) AS TEXT) FROM blocks WHERE id = ?"
_HEADERS = """
SELECT CAST(substr(data, 11, 176) AS TEXT) FROM branch JOIN blocks USING (id)
WHERE branch.height > ? AND branch.height <= ? ORDER BY branch.height"""


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


class Store(Database):
    """One node's database.  Methods named ``put_``, ``set_``, ``drop_`` are for use within :meth:`write`."""

    def __init__(self, path: Path | None) -> None:
        """As `chain.database.Database`."""
        self._places = Places()
        super().__init__(path)

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """All or nothing: on the disk when the block ends, or, when it raises, as if it had never begun."""
        try:
            with super().write():
                yield
        except BaseException:
            self._places.forget()
            raise
        self._places.commit()

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
        self._writer.executemany("INSERT OR IGNORE INTO pending (id, received, data) VALUES (?, ?, ?)", transactions)

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
            "DELETE FROM snapshots WHERE block NOT IN (SELECT block FROM snapshots ORDER BY height DESC LIMIT ?)",
            (SNAPSHOTS_KEPT,),
        )

    # ------------------------------------------------------------------ reading

    def meta(self, key: str) -> str | None:
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def block(self, block: str) -> StoredBlock | None:
        """A block of any branch, by its id."""
        row = self._one("SELECT id, height, work, data FROM blocks WHERE id = ?", (block,))
        return None if row is None else StoredBlock(row[0], row[1], int(row[2]), row[3])

    def header(self, block: str) -> str | None:
        """The header of a block of any branch, in hexadecimal; its body is not read."""
        row = self._one(_HEADER_OF, (block,))
        return None if row is None else str(row[0])

    def headers(self, above: int, limit: int) -> list[str]:
        """Up to ``limit`` headers of the head's branch above a height, in hexadecimal, lowest first."""
        return [str(row[0]) for row in self._all(_HEADERS, (above, above + limit))]

    def blocks_above(self, height: int) -> Iterator[StoredBlock]:
        """Blocks of all branches higher than ``height``, in the order in which they were accepted."""
        # The numbers first: sorting whole blocks would read all of them at once.
        rows = self._all("SELECT number FROM blocks WHERE height > ?", (height,))
        for number in sorted(rows):
            row = self._one("SELECT id, height, work, data FROM blocks WHERE number = ?", number)
            yield StoredBlock(row[0], row[1], int(row[2]), row[3])

    def branch_at(self, height: int) -> str | None:
        """Id of the block at this height of the head's branch."""
        row = self._one("SELECT id FROM branch WHERE height = ?", (height,))
        return None if row is None else str(row[0])

    def branch_height(self, block: str) -> int | None:
        """The height of a block on the head's branch; None for all others."""
        row = self._one("SELECT height FROM blocks JOIN branch USING (id, height) WHERE id = ?", (block,))
        return None if row is None else int(row[0])

    def included(self, transaction: str) -> Place | None:
        """Where the head's branch holds the transaction."""
        found = self._places.get(transaction)
        if found is not None:
            return found
        row = self._one(
            "SELECT branch.id, height, position FROM included JOIN branch USING (height) WHERE included.id = ?",
            (transaction,),
        )
        return None if row is None else Place(*row)

    def pending(self) -> list[tuple[int, bytes]]:
        """Pending transactions as (milliseconds of arrival, bytes), oldest first."""
        return self._all("SELECT received, data FROM pending ORDER BY number")

    def pending_one(self, transaction: str) -> bytes | None:
        """The bytes of a pending transaction."""
        row = self._one("SELECT data FROM pending WHERE id = ?", (transaction,))
        return None if row is None else bytes(row[0])

    def last_seq(self) -> int:
        """Number of the last event; 0 when there is none."""
        return int(self._one("SELECT coalesce(max(last), 0) FROM events")[0])

    def events(self, after: int, limit: int) -> list[StoredEvent]:
        """Up to ``limit`` events with numbers above ``after``."""
        query = "SELECT last, height, block, undone, time, said FROM events WHERE last > ? ORDER BY last"
        reader = self._reader()
        with reader.busy, contextlib.closing(reader.opened().execute(query, (after,))) as rows:
            return list(itertools.islice(events_in(map(Row._make, rows), after), limit))

    def job(self, job: str) -> bytes | None:
        """A job that has left the state."""
        row = self._one("SELECT data FROM jobs WHERE id = ?", (job,))
        return None if row is None else bytes(row[0])

    def has_job(self, job: str) -> bool:
        """Whether this job has left the state."""
        return self._one("SELECT 1 FROM jobs WHERE id = ?", (job,)) is not None

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
        rows = self._all(
            f"SELECT id, height, state, data FROM jobs {where} ORDER BY height {order}, id {order} LIMIT ?",  # noqa: S608
            values,
        )
        for row in rows:
            yield StoredJob(*row)

    def names(self, kind: str, after: str, limit: int) -> list[str]:
        """Up to ``limit`` registered names of a kind behind ``after``, in order."""
        rows = self._all(
            "SELECT name FROM names WHERE kind = ? AND name > ? ORDER BY name LIMIT ?", (kind, after, limit)
        )
        return [str(row[0]) for row in rows]

    def snapshot_height(self) -> int:
        """Height of the newest snapshot; 0 where there is none."""
        return int(self._one("SELECT coalesce(max(height), 0) FROM snapshots")[0])

    def snapshots(self) -> Iterator[Snapshot]:
        """Undamaged snapshots, newest first; each is read when it is its turn."""
        rows = self._all("SELECT block FROM snapshots ORDER BY height DESC")
        for name in rows:
            row = self._one("SELECT block, height, sha256, data FROM snapshots WHERE block = ?", name)
            if hashlib.sha256(row[3]).hexdigest() == row[2]:
                yield Snapshot(row[0], row[1], row[3])
