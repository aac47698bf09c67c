"""The node's database."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.store import Place, Snapshot, Store, StoredBlock, StoredEvent, StoreError
from chain.tree import genesis_entry


def block(name: str, height: int) -> StoredBlock:
    return StoredBlock(name, height, 2**200 + height, name.encode())


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    found = Store(None if request.param == "memory" else tmp_path / "folder" / "chain.sqlite")
    yield found
    found.close()


def test_what_is_written_is_read(store):
    event = StoredEvent(1, 1, "b1", "transfer", False, 5, "{}")
    with store.write():
        store.set_meta("genesis", "text")
        store.put_block(block("b1", 1))
        store.set_connected(1, "b1", ["t1", "t2"])
        store.put_pending([("t3", 7, b"three"), ("t4", 8, b"four")])
        store.put_events([event])
    assert store.meta("genesis") == "text"
    assert store.block("b1") == block("b1", 1)
    assert store.branch_at(1) == "b1"
    assert store.included("t2") == Place("b1", 1, 1)
    assert store.pending() == [(7, b"three"), (8, b"four")]
    assert store.events(0, 10) == [event]
    assert store.last_seq() == 1


def test_what_was_never_written_is_none(store):
    assert store.meta("x") is store.block("x") is store.branch_at(1) is store.included("x") is None
    assert store.pending() == store.events(0, 5) == store.snapshots() == []
    assert store.last_seq() == 0


def test_a_failed_write_leaves_nothing(store):
    def write() -> None:
        with store.write():
            store.put_block(block("b1", 1))
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert store.block("b1") is None


def test_a_block_that_left_the_branch_takes_its_transactions_along(store):
    with store.write():
        store.put_block(block("a", 1))
        store.put_block(block("b", 1))
        store.set_connected(1, "a", ["t1", "t2"])
    with store.write():
        store.set_disconnected(1, "a", ["t1", "t2"])
        store.set_connected(1, "b", ["t2"])
    assert store.branch_at(1) == "b"
    assert store.included("t1") is None
    assert store.included("t2") == Place("b", 1, 0)
    assert store.block("a") is not None


def test_the_order_of_connecting_first_does_not_matter(store):
    with store.write():
        store.set_connected(1, "b", ["t"])
        store.set_disconnected(1, "a", ["t", "u"])
    assert store.branch_at(1) == "b"
    assert store.included("t") == Place("b", 1, 0)


def test_leaving_the_branch_costs_what_the_block_holds_whatever_the_chain_holds(store):
    """No statement scans a table: the plan of each is a search by a key."""
    said: list[str] = []
    with store.write():
        store.set_connected(1, "a", ["t"])
        store._writer.set_trace_callback(said.append)
        store.set_disconnected(1, "a", ["t"])
        store._writer.set_trace_callback(None)
    assert len(said) == 2
    for statement in said:
        plan = store._writer.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        assert [row[3].split()[0] for row in plan] == ["SEARCH"], (statement, plan)


def test_blocks_come_in_the_order_of_their_acceptance(store):
    with store.write():
        for name, height in (("a", 1), ("b", 2), ("c", 1), ("d", 3)):
            store.put_block(block(name, height))
            store.put_block(block(name, height))
    assert [each.id for each in store.blocks_above(0)] == ["a", "b", "c", "d"]
    assert [each.id for each in store.blocks_above(1)] == ["b", "d"]


def test_pending_is_kept_once_and_dropped(store):
    with store.write():
        store.put_pending([("t1", 1, b"x"), ("t2", 2, b"y")])
        store.put_pending([("t1", 9, b"x")])
        store.drop_pending(["t2", "unknown"])
    assert store.pending() == [(1, b"x")]


def test_two_snapshots_are_kept_and_damaged_ones_are_passed_over(store):
    with store.write():
        for height in (10, 20, 30):
            store.put_snapshot(Snapshot(f"b{height}", height, bytes([height])))
    assert [each.height for each in store.snapshots()] == [30, 20]
    with store.write():
        store._writer.execute("UPDATE snapshots SET data = x'ff' WHERE height = 30")
    assert [each.height for each in store.snapshots()] == [20]


def test_is_synced_and_survives_reopening(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = Store(path)
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with store.write():
        store.put_block(block("a", 1))
    store.close()
    again = Store(path)
    assert again.block("a") == block("a", 1)
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
        store.put_block(block("a", 1))
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


def test_headers_are_read_out_of_blocks(store):
    validators = (Address("0x" + "1" * 40),)
    entries = [genesis_entry(Genesis("development", 1, validators, (), note), DEVELOPMENT) for note in "ab"]
    with store.write():
        for height, entry in enumerate(entries):
            store.put_block(StoredBlock(entry.id, height, 0, entry.block.encode()))
            store.set_connected(height, entry.id, [])
    headers = [entry.block.header.pack().hex() for entry in entries]
    assert [store.header(entry.id) for entry in entries] == headers
    assert store.headers(-1, 5) == headers
    assert store.headers(0, 5) == headers[1:]
    assert store.headers(-1, 1) == headers[:1]
    assert store.branch_height(entries[1].id) == 1
    with store.write():
        store.set_disconnected(1, entries[1].id, [])
    assert store.branch_height(entries[1].id) is None
    assert store.header("nothing") is None
