"""The file that a node's database is: who writes, who reads, and what is refused as one."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.database import StoreClosed, StoreError
from chain.store import Store, StoredBlock

BLOCK = StoredBlock("a", 1, 2**200, b"a")
#: Seconds.
WITHIN = 20.0


def test_is_synced_and_survives_reopening(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = Store(path)
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with store.write():
        store.put_block(BLOCK)
    store.close()
    again = Store(path)
    assert again.block("a") == BLOCK
    again.close()


def test_readers_in_other_threads_see_what_is_committed_and_write_nothing(tmp_path):
    store = Store(tmp_path / "chain.sqlite")
    found = []

    def read() -> None:
        found.append(store.block("a"))
        try:
            store._reader().connection.execute("DELETE FROM blocks")
        except sqlite3.OperationalError as error:
            found.append(str(error))

    with store.write():
        store.put_block(BLOCK)
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert found[0] is None
    assert "readonly" in found[1]
    assert store.block("a") is not None
    store.close()


class Held:
    """Holds whoever runs a statement over a connection until it is let go."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.begun, self._over = threading.Event(), threading.Event()
        connection.set_progress_handler(self._hold, 1)

    def _hold(self) -> bool:
        self.begun.set()
        self._over.wait(WITHIN)
        return False

    @contextlib.contextmanager
    def at_work(self, store: Store) -> Iterator[threading.Thread]:
        """Begin to close the store meanwhile; the thread that does has ended when the block has."""
        assert self.begun.wait(WITHIN)
        closer = threading.Thread(target=store.close, daemon=True)
        closer.start()
        try:
            closer.join(0.1)  # long enough to close what it does not wait for; no event tells that nothing happens
            yield closer
        finally:
            self._over.set()
            closer.join(WITHIN)


def test_what_is_being_read_is_read_to_its_end_before_the_database_is_closed(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = Store(path)
    with store.write():
        store.put_block(BLOCK)
    held, said = [], []

    def read() -> None:
        store.last_seq()
        held.append(Held(store._reader().connection))
        ready.set()
        said.append(store.block("a"))
        try:
            while True:
                store.block("a")
        except StoreClosed as error:
            said.append(str(error))

    ready = threading.Event()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert ready.wait(WITHIN)
    with held[0].at_work(store) as closer:
        assert closer.is_alive(), "closed what is being read, which ends the process"
    reader.join(WITHIN)
    assert not closer.is_alive()
    assert said == [BLOCK, "the node's database is closed: the node stops"]
    with pytest.raises(StoreClosed):
        store.block("a")
    opened = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert not any(each.startswith(str(path)) for each in opened)


class Interruption(Exception):  # noqa: N818 - no error: somebody wants the program to end
    """What the signal raises, wherever the program is."""


def interrupt(*_: object) -> None:
    raise Interruption


@pytest.mark.parametrize("name", [None, "chain.sqlite"])
def test_an_interrupt_while_reading_keeps_nobody_from_closing(tmp_path, name):
    before = signal.signal(signal.SIGVTALRM, interrupt)  # by the process's own time, so that it hits all places alike
    try:
        for _ in range(100):
            store = Store(name and tmp_path / name)
            with contextlib.suppress(Interruption):
                signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)
                while True:
                    store.meta("a")
            closer = threading.Thread(target=store.close, daemon=True)
            closer.start()
            closer.join(WITHIN)
            assert not closer.is_alive()
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_what_is_being_written_is_written_before_the_database_is_closed(tmp_path):
    store = Store(tmp_path / "chain.sqlite")
    store.last_seq()
    held = Held(store._writer)
    writer = threading.Thread(target=written, args=(store,), daemon=True)
    writer.start()
    with held.at_work(store) as closer:
        assert closer.is_alive(), "closed what is being written, which ends the process"
    writer.join(WITHIN)
    with pytest.raises(StoreClosed), store.write():
        pass
    again = Store(tmp_path / "chain.sqlite")
    assert again.block("a") == BLOCK
    again.close()


def written(store: Store) -> None:
    with store.write():
        store.put_block(BLOCK)
        assert store.block("a") is None, "readers see what is committed, and may look"


def test_tables_of_another_version_are_refused(tmp_path):
    path = tmp_path / "chain.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(StoreError, match="version 99"):
        Store(path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + bytes(4080), None])
def test_what_is_no_database_is_named(tmp_path, content):
    path = tmp_path / "chain.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"chain\.sqlite.*restore a copy"):
        Store(path)
