"""A validator's side of finality: which vote it casts and which two votes break the rules."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.finality import choose_vote, conflict, may_follow
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Hash
from chain.state import BlockDraft, State, genesis_state
from chain.transactions import Signed, Transfer, VoteCheckpoint, body_of, sign

KEYS = [Key(hashlib.sha256(bytes([number])).digest()) for number in range(4)]
START = 1_700_000_000_000


def block(height: int, branch: str = "") -> Hash:
    return Hash(hashlib.sha256(f"{branch}{height}".encode()).hexdigest())


def vote(source: int, target: int, branch: str = "") -> VoteCheckpoint:
    return VoteCheckpoint(block(source), source, block(target, branch), target)


def signed(payload: VoteCheckpoint | Transfer, number: int = 0) -> Signed:
    expires = 0 if isinstance(payload, VoteCheckpoint) else START + 10_000
    return sign(body_of(payload, KEYS[number].address, block(0), "0" * 32, expires), KEYS[number])


def after(state: State, *transactions: Signed) -> State:
    draft = BlockDraft(
        state,
        parent=block(state.height),
        height=state.height + 1,
        time=state.time + 1,
        params=DEVELOPMENT,
        ancestor=block,
    )
    for transaction in transactions:
        draft.add(transaction)
    return draft.finish()[0]


@pytest.fixture
def work() -> State:
    """After a block with a transfer, at height 1."""
    genesis = Genesis(
        DEVELOPMENT.name,
        START,
        tuple(key.address for key in KEYS),
        tuple(sorted((key.address, 10_000) for key in KEYS)),
        "",
    )
    return after(genesis_state(genesis, DEVELOPMENT), signed(Transfer(KEYS[1].address, 1)))


def quorum(payload: VoteCheckpoint) -> list[Signed]:
    return [signed(payload, number) for number in range(3)]


def test_the_vote_goes_from_the_highest_justified_block_to_the_head(work: State) -> None:
    assert choose_vote(work, block(1), None) == vote(0, 1)
    second = after(work, *quorum(vote(0, 1)))
    assert choose_vote(second, block(2), vote(0, 1)) == vote(1, 2)


def test_nothing_is_voted_on_once_all_but_votes_is_final(work: State) -> None:
    third = after(after(work, *quorum(vote(0, 1))), *quorum(vote(1, 2)))
    assert (third.finality.final_height, third.finality.work_height) == (1, 1)
    assert choose_vote(third, block(3), vote(1, 2)) is None


def test_no_vote_for_a_target_that_is_not_higher_than_every_earlier_one(work: State) -> None:
    assert choose_vote(work, block(1), vote(0, 1)) is None
    assert choose_vote(work, block(1), vote(0, 7)) is None


def test_no_vote_from_a_source_lower_than_an_earlier_one(work: State) -> None:
    second = after(work)
    assert choose_vote(second, block(2), VoteCheckpoint(block(1), 1, block(1), 1)) is None


def test_two_votes_for_one_height_conflict() -> None:
    assert "targets at height 2" in (conflict(vote(0, 2), vote(0, 2, "other")) or "")
    assert "targets at height 2" in (conflict(vote(0, 2), vote(1, 2)) or "")


def test_a_vote_around_another_and_one_inside_another_conflict() -> None:
    assert "inside" in (conflict(vote(0, 5), vote(1, 4)) or "")
    assert "inside" in (conflict(vote(1, 4), vote(0, 5)) or "")


def test_two_sources_at_one_height_are_no_offence_an_honest_validator_may_change_branches() -> None:
    other = VoteCheckpoint(block(1, "other"), 1, block(3), 3)
    assert conflict(vote(1, 2), other) is None
    assert may_follow(other, vote(1, 2))


def test_the_same_vote_twice_is_no_conflict() -> None:
    assert conflict(vote(0, 1), vote(0, 1)) is None


votes = st.tuples(st.integers(0, 6), st.integers(1, 6)).map(lambda pair: vote(pair[0], pair[0] + pair[1]))


@given(st.lists(votes, max_size=12))
def test_votes_cast_by_the_rule_never_conflict(offered: list[VoteCheckpoint]) -> None:
    cast: list[VoteCheckpoint] = []
    for one in offered:
        if may_follow(one, cast[-1] if cast else None):
            cast.append(one)
    assert all(conflict(one, other) is None for one in cast for other in cast)


@given(votes, votes)
def test_conflict_does_not_depend_on_the_order(one: VoteCheckpoint, other: VoteCheckpoint) -> None:
    assert (conflict(one, other) is None) == (conflict(other, one) is None)
    if one != other and conflict(one, other) is None:
        assert may_follow(other, one) or may_follow(one, other)
