"""Snapshots of the state."""

from __future__ import annotations

from typing import Any

import pytest

from chain.encoding import decode, encode
from chain.errors import InvalidEncoding
from chain.state import State
from chain.transactions import Transfer


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
