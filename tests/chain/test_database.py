"""The file that a node's database is: who writes, who reads, and what is refused as one."""

from __future__ import annotations

import sqlite3
import threading

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
            store._reader().execute("DELETE FROM blocks")
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
