"""The node's database."""

from __future__ import annotations

import itertools
import re

import pytest

from chain.happened import StoredEvent, rows_of
from chain.params import DEVELOPMENT, Genesis
from chain.places import Place
from chain.schema import Address
from chain.store import Snapshot, Store, StoredBlock, StoredJob
from chain.tree import genesis_entry


def block(name: str, height: int) -> StoredBlock:
    return StoredBlock(name, height, 2**200 + height, name.encode())


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    found = Store(None if request.param == "memory" else tmp_path / "folder" / "chain.sqlite")
    yield found
    found.close()


def test_what_is_written_is_read(store):
    rows = list(rows_of([("transfer", {})], 0, height=1, block="b1", undone=False, time=5))
    with store.write():
        store.set_meta("genesis", "text")
        store.put_block(block("b1", 1))
        store.set_connected(1, "b1", ["t1", "t2"])
        store.put_pending([("t3", 7, b"three"), ("t4", 8, b"four")])
        store.put_events(rows)
    assert store.meta("genesis") == "text"
    assert store.block("b1") == block("b1", 1)
    assert store.branch_at(1) == "b1"
    assert store.included("t2") == Place("b1", 1, 1)
    assert store.pending() == [(7, b"three"), (8, b"four")]
    assert store.events(0, 10) == [StoredEvent(1, 1, "b1", "transfer", False, 5, {})]
    assert store.last_seq() == 1


def test_what_was_never_written_is_none(store):
    assert store.meta("x") is store.block("x") is store.branch_at(1) is store.included("x") is None
    assert store.pending() == store.events(0, 5) == list(store.snapshots()) == []
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


def test_every_statement_finds_what_it_is_about_by_an_index(store):
    """So nothing costs more because the chain is longer; what waits and the two snapshots may be read whole."""
    said: list[str] = []
    connection = store._reader().connection
    store._writer.set_trace_callback(said.append)
    connection.set_trace_callback(said.append)
    with store.write():
        store.set_meta("genesis", "text")
        store.put_block(block("b1", 1))
        store.set_connected(1, "b1", ["t1"])
        store.set_disconnected(1, "b1", ["t1"])
        store.put_pending([("t3", 7, b"three")])
        store.drop_pending(["t3"])
        store.put_events(rows_of([("transfer", {})], 0, height=1, block="b1", undone=False, time=5))
        store.put_jobs([job("j1", 1)])
        store.put_names([("models", "iris")])
        store.drop_names([("models", "iris")])
        store.put_snapshot(Snapshot("b1", 1, b"state"))
    for find in (store.meta, store.block, store.header, store.branch_height, store.included, store.job, store.has_job):
        find("b1")
    store.pending_one("t3")
    store.branch_at(1)
    store.headers(0, 5)
    store.events(0, 5)
    store.names("models", "a", 5)
    for state, after, newest in itertools.product((None, "adopted"), (None, (1, "j")), (True, False)):
        list(store.jobs(state, after, 5, newest))
    list(store.blocks_above(0))
    store.last_seq()
    store.pending()
    store.snapshot_height()
    list(store.snapshots())
    store._writer.set_trace_callback(None)
    connection.set_trace_callback(None)
    assert len({statement.split("(")[0] for statement in said}) > 25
    for statement in said:
        if statement.split()[0] not in ("BEGIN", "COMMIT", "INSERT"):
            for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall():
                whole = re.fullmatch(r"SCAN (pending|snapshots)|SCAN jobs USING INDEX jobs_by_height", step[3])
                few = "snapshots" in statement
                assert step[3].startswith("SEARCH ") or whole or few, (statement, step[3])


def job(name: str, height: int, state: str = "adopted") -> StoredJob:
    return StoredJob(name, height, state, name.encode())


def test_jobs_come_by_height_and_id_from_either_end(store):
    kept = [job("a", 1), job("c", 1, "failed"), job("b", 2), job("d", 9, "failed")]
    with store.write():
        store.put_jobs(reversed(kept))
        store.put_jobs(kept[:2])  # again, after a reorganisation
    assert list(store.jobs(None, None, 9)) == kept
    assert list(store.jobs(None, None, 9, newest=True)) == kept[::-1]
    assert list(store.jobs(None, (1, "a"), 2)) == kept[1:3]
    assert list(store.jobs(None, (2, "b"), 9, newest=True)) == kept[1::-1]
    assert list(store.jobs("failed", None, 9)) == [kept[1], kept[3]]
    assert list(store.jobs("failed", (9, "d"), 9, newest=True)) == [kept[1]]
    assert list(store.jobs("expired", None, 9)) == []
    assert store.job("b") == b"b"
    assert store.job("z") is None
    assert store.has_job("d")
    assert not store.has_job("z")


def test_names_come_in_order_until_they_are_dropped(store):
    with store.write():
        store.put_names([("models", "b"), ("models", "a"), ("datasets", "a"), ("models", "c")])
        store.put_names([("models", "b")])
        store.drop_names([("models", "c"), ("datasets", "z")])
    assert store.names("models", "", 9) == ["a", "b"]
    assert store.names("models", "a", 9) == ["b"]
    assert store.names("models", "", 1) == ["a"]
    assert store.names("datasets", "", 9) == ["a"]


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


def test_places_go_to_the_disk_with_the_snapshot_and_are_found_before_and_after(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = Store(path)
    with store.write():
        store.set_connected(1, "a", ["t2", "t1"])
        store.set_connected(2, "b", ["t3"])
    with store.write():
        store.set_connected(3, "c", ["t4"])
        store.put_snapshot(Snapshot("b", 2, b"state"))
    with store.write():
        store.set_disconnected(3, "c", ["t4"])
        store.set_connected(3, "d", ["t5"])
    wanted = {"t1": Place("a", 1, 1), "t2": Place("a", 1, 0), "t3": Place("b", 2, 0), "t5": Place("d", 3, 0)}
    assert {each: store.included(each) for each in wanted} == wanted
    assert store.included("t4") is None
    store.close()
    again = Store(path)
    assert [again.included(each) for each in ("t1", "t2", "t3")] == [wanted[each] for each in ("t1", "t2", "t3")]
    assert again.included("t5") is None  # who starts replays what is above the snapshot, and says so
    again.remember(3, "d", ["t5"])
    assert again.included("t5") == wanted["t5"]
    again.close()


def test_places_of_a_write_that_failed_are_not_kept(store):
    def write() -> None:
        with store.write():
            store.set_disconnected(1, "a", ["t1"])
            store.set_connected(1, "b", ["t2"])
            store.put_snapshot(Snapshot("b", 1, b"state"))
            raise KeyError

    with store.write():
        store.set_connected(1, "a", ["t1"])
    with pytest.raises(KeyError):
        write()
    assert store.included("t1") == Place("a", 1, 0)
    assert store.included("t2") is None
