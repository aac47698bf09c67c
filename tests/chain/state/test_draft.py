"""What a block changes: transactions whole or not at all, and the digest over the changes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import INT_MAX, INT_MIN, encode
from chain.errors import InvalidEncoding
from chain.schema import to_object
from chain.state import Account
from chain.state.draft import Draft
from chain.state.tables import ACCOUNTS, EMPTY, IDS, JUSTIFIED, Table


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


def test_keys_are_the_parent_s_and_the_changed_ones() -> None:
    base = Draft(EMPTY)
    base.put(IDS, "a", 1)
    base.put(IDS, "b", 1)
    draft = Draft(base.finish(1, 1, EMPTY.genesis))
    draft.remove(IDS, "a")
    draft.begin()
    draft.put(IDS, "c", 1)
    assert draft.keys(IDS) == ["b", "c"]


NUMBER = st.integers(INT_MIN, INT_MAX)
VALUES: dict[Table[Any], st.SearchStrategy[Any]] = {
    IDS: NUMBER,
    JUSTIFIED: st.text(),
    ACCOUNTS: st.builds(Account, st.integers(0, INT_MAX), st.integers(0, 3)),
}
KEYS = st.sampled_from(["a", "b", "é", "b" * 59])
#: What a transaction sets (None: removes), as table, key and value, in order.
CHANGES = st.lists(
    st.sampled_from(list(VALUES)).flatmap(lambda table: st.tuples(st.just(table), KEYS, st.none() | VALUES[table]))
)


@given(CHANGES, st.lists(st.tuples(CHANGES, st.booleans())))
def test_what_is_left_is_what_the_kept_transactions_did(before: list[Any], done: list[Any]) -> None:
    base = Draft(EMPTY)
    change(base, before, expected := {})
    draft = Draft(base.finish(1, 1, EMPTY.genesis))
    old = dict(expected)
    for changes, ends_well in done:
        draft.begin()
        change(draft, changes, seen := dict(expected))
        assert rows(draft) == seen
        if ends_well:
            draft.keep()
            expected = seen
        else:
            draft.drop()
        assert rows(draft) == expected
    state = draft.finish(2, 2, EMPTY.genesis)
    assert {(table.name, key): value for table in VALUES for key, value in state.table(table).items()} == expected
    changed = sorted(place for place in old | expected if old.get(place) != expected.get(place))
    told = [[*place, plain(expected.get(place))] for place in changed]
    assert state.digest == hashlib.sha256(encode([draft.base.digest, told])).hexdigest()


def change(draft: Draft, changes: list[Any], known: dict[tuple[str, str], Any]) -> None:
    """Do it, and the same to what a draft should know."""
    for table, key, value in changes:
        if value is None:
            draft.remove(table, key)
            known.pop((table.name, key), None)
        else:
            draft.put(table, key, value)
            known[table.name, key] = value


def rows(draft: Draft) -> dict[tuple[str, str], Any]:
    return {(table.name, key): draft.get(table, key) for table in VALUES for key in draft.keys(table)}


def plain(value: Any) -> Any:
    return to_object(value) if isinstance(value, Account) else value


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
