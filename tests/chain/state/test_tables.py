"""The state as a whole: drafts, digests, snapshots."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chain.encoding import decode, encode
from chain.errors import InvalidEncoding
from chain.state import Account, State
from chain.state.tables import ACCOUNTS, EMPTY, IDS, Draft
from chain.transactions import Transfer


def test_the_digest_is_over_the_parent_s_and_the_sorted_changes() -> None:
    draft = Draft(EMPTY)
    draft.put(IDS, "b", 2)
    draft.put(IDS, "a", 1)
    draft.put(ACCOUNTS, "z", Account(3))
    state = draft.finish(1, 1, EMPTY.genesis)
    changes = [["accounts", "z", {"balance": 3, "stake": 0, "unbonding": []}], ["ids", "a", 1], ["ids", "b", 2]]
    assert state.digest == hashlib.sha256(encode([EMPTY.digest, changes])).hexdigest()
    draft = Draft(state)
    draft.remove(IDS, "a")
    gone = hashlib.sha256(encode([state.digest, [["ids", "a", None]]])).hexdigest()
    assert draft.finish(2, 2, EMPTY.genesis).digest == gone


@pytest.mark.parametrize("count", [23, 24, 255, 256, 300])
def test_the_digest_is_the_same_however_many_changes_there_are(count: int) -> None:
    draft = Draft(EMPTY)
    keys = [f"{number:04}" for number in range(count)]
    for key in reversed(keys):
        draft.put(IDS, key, 5)
    changes = [["ids", key, 5] for key in keys]
    expected = hashlib.sha256(encode([EMPTY.digest, changes])).hexdigest()
    assert draft.finish(1, 1, EMPTY.genesis).digest == expected


def test_an_empty_block_changes_the_digest_too() -> None:
    assert Draft(EMPTY).finish(1, 1, EMPTY.genesis).digest != EMPTY.digest


def test_what_is_changed_back_is_no_change() -> None:
    changed = Draft(EMPTY)
    changed.put(IDS, "a", 1)
    changed.remove(IDS, "a")
    assert changed.finish(1, 1, EMPTY.genesis) == Draft(EMPTY).finish(1, 1, EMPTY.genesis)


def test_a_parent_s_state_is_as_it_was() -> None:
    draft = Draft(EMPTY)
    draft.put(IDS, "a", 1)
    assert dict(draft.finish(1, 1, EMPTY.genesis).table(IDS)) == {"a": 1}
    assert not EMPTY.table(IDS)


def test_what_a_dropped_transaction_changed_is_forgotten() -> None:
    draft = Draft(EMPTY)
    draft.put(IDS, "a", 1)

    draft.begin()
    draft.put(IDS, "a", 2)
    draft.put(IDS, "b", 2)
    draft.remove(IDS, "a")
    assert draft.get(IDS, "a") is None
    with pytest.raises(RuntimeError, match="do not nest"):
        draft.begin()
    draft.drop()
    assert draft.get(IDS, "a") == 1
    assert draft.keys(IDS) == ["a"]


def test_what_a_transaction_changed_is_kept_when_it_ends_well() -> None:
    draft = Draft(EMPTY)
    draft.begin()
    draft.put(IDS, "a", 1)
    draft.keep()
    draft.begin()
    draft.drop()
    assert dict(draft.finish(1, 1, EMPTY.genesis).table(IDS)) == {"a": 1}


def test_keys_see_all_layers() -> None:
    base = Draft(EMPTY)
    base.put(IDS, "a", 1)
    base.put(IDS, "b", 1)
    draft = Draft(base.finish(1, 1, EMPTY.genesis))
    draft.remove(IDS, "a")
    draft.begin()
    draft.put(IDS, "c", 1)
    assert draft.keys(IDS) == ["b", "c"]


def test_a_snapshot_comes_back_equal(registered: Any) -> None:
    registered.votes(registered.candidate(rounds=2), "approve")
    registered.claim("carol", registered.open(), 0)
    state = registered.state
    again = State.from_snapshot(state.snapshot())
    assert again == state
    assert again.digest == state.digest
    assert again.jobs == state.jobs
    assert again.snapshot() == state.snapshot()
    registered.states[-1] = again
    registered.do("alice", Transfer(registered.address("bob"), 1))
    after_snapshot = registered.state
    registered.states[-2:] = [state]
    registered.ids.pop()
    registered._salts -= 1
    registered.do("alice", Transfer(registered.address("bob"), 1))
    assert registered.state == after_snapshot


@pytest.mark.parametrize("data", [b"", b"\xa0", encode({"format": 1}), encode([1])])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        State.from_snapshot(data)


@pytest.mark.parametrize("field", ["digest", "height", "time", "genesis", "tables"])
@pytest.mark.parametrize("value", [None, -1, "x", [], {"accounts": 1}])
def test_a_snapshot_with_a_strange_field_is_refused(registered: Any, field: str, value: object) -> None:
    whole = decode(registered.state.snapshot(), 1 << 24)
    with pytest.raises(InvalidEncoding):
        State.from_snapshot(encode({**whole, field: value}))
    with pytest.raises(InvalidEncoding):
        State.from_snapshot(encode({name: each for name, each in whole.items() if name != field}))


def test_a_job_s_change_is_encoded_once_in_a_block(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = registered.open(partitions=4, minimum_updates=4)
    draft = registered.draft()
    for number, worker in enumerate(("alice", "bob", "carol", "dave")):
        draft.add(registered.sign(worker, registered.claiming(job, number)))
    from chain.state import tables

    written: list[object] = []
    monkeypatch.setattr(tables, "pack", lambda value, pack=tables.pack: (written.append(value), pack(value))[1])
    draft.finish()
    assert sum(1 for value in written if type(value).__name__ == "Job") == 1
