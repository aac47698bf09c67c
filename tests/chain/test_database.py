"""The file that a node's database is: who writes, who reads, and what is refused as one."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from chain.database import StoreError
from chain.store import Store, StoredBlock

BLOCK = StoredBlock("a", 1, 2**200, b"a")


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


def test_what_is_being_read_is_read_to_its_end_before_the_database_is_closed(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = Store(path)
    with store.write():
        store.put_block(BLOCK)
    reading, over, said = threading.Event(), threading.Event(), []

    def held() -> bool:
        reading.set()
        over.wait()
        return False

    def read() -> None:
        connection = store._reader().connection
        connection.set_progress_handler(held, 1)
        said.append(store.block("a"))
        try:
            store.block("a")
        except sqlite3.ProgrammingError as error:
            said.append(str(error))

    reader, closer = threading.Thread(target=read), threading.Thread(target=store.close)
    reader.start()
    reading.wait()
    closer.start()
    closer.join(0.1)
    assert closer.is_alive(), "closed what is being read, which ends the process"
    over.set()
    closer.join()
    reader.join()
    assert said[0] == BLOCK
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.block("a")
    opened = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert not any(each.startswith(str(path)) for each in opened)


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
