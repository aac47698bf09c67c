"""What a block changes: transactions whole or not at all, and the digest over the changes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import INT_MAX, encode
from chain.errors import InvalidEncoding
from chain.state import Account
from chain.state.draft import Draft
from chain.state.tables import ACCOUNTS, EMPTY, IDS


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


#: A transaction: what it sets (None: removes) by key, in order, and whether it ends well.
transactions = st.tuples(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 3))), st.booleans())


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), st.lists(transactions))
def test_what_is_left_is_what_the_kept_transactions_did(before: dict[str, int], done: list[Any]) -> None:
    base = Draft(EMPTY)
    for key, value in before.items():
        base.put(IDS, key, value)
    draft, expected = Draft(base.finish(1, 1, EMPTY.genesis)), dict(before)
    for changes, well in done:
        draft.begin()
        seen = dict(expected)
        for key, value in changes:
            if value is None:
                draft.remove(IDS, key)
                seen.pop(key, None)
            else:
                draft.put(IDS, key, value)
                seen[key] = value
            assert {each: draft.get(IDS, each) for each in draft.keys(IDS)} == seen
        if well:
            draft.keep()
            expected = seen
        else:
            draft.drop()
        assert {each: draft.get(IDS, each) for each in draft.keys(IDS)} == expected
    state = draft.finish(2, 2, EMPTY.genesis)
    assert dict(state.table(IDS)) == expected
    changed = sorted(key for key in "abc" if before.get(key) != expected.get(key))
    told = [["ids", key, expected.get(key)] for key in changed]
    assert state.digest == hashlib.sha256(encode([draft.base.digest, told])).hexdigest()


@pytest.mark.parametrize("number", [INT_MAX + 1, -INT_MAX - 2])
def test_numbers_have_64_bits(number: int) -> None:
    draft = Draft(EMPTY)
    draft.put(IDS, "a", number)
    with pytest.raises(InvalidEncoding, match="64 bits"):
        draft.finish(1, 1, EMPTY.genesis)


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
