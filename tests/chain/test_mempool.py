"""What waits, in which order, within which bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import (
    ChainError,
    Conflict,
    Duplicate,
    Expired,
    ExpiresTooLate,
    Forbidden,
    InvalidSignature,
    MempoolFull,
    NotYet,
    WrongNetwork,
)
from chain.keys import Key
from chain.mempool import Check, Limits, Mempool
from chain.params import DEVELOPMENT
from chain.schema import Hash
from chain.transactions import Payload, Signed, Transfer, VoteCheckpoint

NOW = 1_700_000_000_000
GENESIS = Hash("ab" * 32)
ALICE, BOB = Key(b"\x01" * 32), Key(b"\x02" * 32)
SignedOf = Callable[..., Signed]


def _valid(signed: Signed) -> None:
    """The state has nothing against it."""


def _refusing(error: ChainError) -> Check:
    def check(signed: Signed) -> None:
        raise error

    return check


def _pool(**limits: int) -> Mempool:
    return Mempool(DEVELOPMENT, GENESIS, Limits(**limits))


@pytest.fixture(scope="module")
def transfers(signed_of: SignedOf) -> list[Signed]:
    """Ten of Alice's, then one of Bob's."""
    return [
        *(signed_of(Transfer(BOB.address, 1), salt=f"{number:032x}") for number in range(10)),
        signed_of(Transfer(ALICE.address, 1), BOB),
    ]


def test_a_transaction_waits_once(transfers: list[Signed]) -> None:
    pool = _pool()
    pool.add(transfers[0], NOW, _valid)
    pool.add(transfers[0], NOW, _valid)
    assert len(pool) == 1
    assert len(pool) == 1
    assert transfers[0].id in pool
    assert pool.size == len(transfers[0].data)
    waiting = pool.get(transfers[0].id)
    assert waiting is not None
    assert (waiting.signed, waiting.held) == (transfers[0], None)
    pool.remove([transfers[0].id, transfers[1].id])
    assert (len(pool), pool.size, pool.get(transfers[0].id)) == (0, 0, None)


def test_checkpoint_votes_are_counted_apart(transfers: list[Signed], signed_of: SignedOf) -> None:
    pool = _pool()
    links = [VoteCheckpoint(GENESIS, 0, Hash("cd" * 32), height) for height in (1, 2)]
    votes = [signed_of(link, key) for key in (ALICE, BOB) for link in links]
    for signed in [*transfers[:3], *votes]:
        pool.add(signed, NOW, _valid)
    assert (len(pool), pool.transactions, pool.checkpoint_votes) == (7, 3, 4)
    pool.remove([votes[0].id, transfers[0].id])
    assert (len(pool), pool.checkpoint_votes) == (5, 3)
    pool.remove([vote.id for vote in votes])
    assert (len(pool), pool.checkpoint_votes) == (2, 0)


def test_what_is_invalid_does_not_get_in(transfers: list[Signed]) -> None:
    pool, first = _pool(), transfers[0]
    forged = Signed(first.body, transfers[1].signature)
    foreign = dataclasses.replace(first.body, genesis=Hash("00" * 32))
    for signed, now, check, error in (
        (forged, NOW, _valid, InvalidSignature),
        (Signed(foreign, first.signature), NOW, _valid, WrongNetwork),
        (first, first.body.expires, _valid, Expired),
        (first, NOW, _refusing(Forbidden("no")), Forbidden),
        (first, NOW, _refusing(Duplicate("done")), Duplicate),
    ):
        with pytest.raises(error):
            pool.add(signed, now, check)
    assert (len(pool), pool.size) == (0, 0)


def test_what_is_too_early_is_held_until_its_time_comes(transfers: list[Signed]) -> None:
    pool, first = _pool(), transfers[0]
    pool.add(first, NOW, _refusing(NotYet("the version compared with is not in service")))
    held = pool.get(first.id)
    assert held is not None
    assert isinstance(held.held, NotYet)
    assert pool.recheck(NOW, _refusing(NotYet("still not"))) == ()
    assert pool.recheck(NOW, _valid) == ()
    free = pool.get(first.id)
    assert free is not None
    assert free.held is None


def test_a_new_head_drops_what_became_invalid_and_says_why(transfers: list[Signed]) -> None:
    pool = _pool()
    for signed in transfers:
        pool.add(signed, NOW, _valid)
    against = Conflict("taken")

    def check(signed: Signed) -> None:
        if signed in transfers[:2]:
            raise against

    assert [(drop.signed, drop.error) for drop in pool.recheck(NOW, check)] == [
        (transfers[0], against),
        (transfers[1], against),
    ]
    dropped = pool.recheck(transfers[2].body.expires, _valid)
    assert {type(drop.error) for drop in dropped} == {Expired}
    assert (len(pool), pool.size) == (0, 0)


def test_checkpoint_votes_come_first_then_votes_then_the_oldest(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    higher, lower = (signed_of(VoteCheckpoint(GENESIS, 0, Hash("cd" * 32), height)) for height in (5, 4))
    vote = signed_of(examples["vote_model"])
    pool = _pool()
    attestation = signed_of(examples["attest"])
    for signed in (transfers[3], higher, transfers[1], attestation, vote, lower, transfers[2]):
        pool.add(signed, NOW, _valid)
    assert pool.ordered() == (lower, higher, attestation, vote, transfers[3], transfers[1], transfers[2])
    assert next(iter(pool)).signed == transfers[3]
    assert pool.recheck(NOW + 10**9, _valid)  # all expire,
    assert pool.ordered() == (lower, higher)  # but checkpoint votes


def test_one_sender_does_not_hold_up_the_others(transfers: list[Signed]) -> None:
    pool = _pool(sender_quota=3)
    for signed in transfers:
        pool.add(signed, NOW, _valid)
    assert pool.ordered() == (*transfers[:3], transfers[10], *transfers[3:10])


def test_bounds_hold_and_leave_room_for_votes(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    for pool, held in (
        (_pool(transactions=2), 2),
        (_pool(per_sender=2), 2),
        (_pool(size=2 * len(transfers[0].data)), 2),
    ):
        for signed in transfers[:held]:
            pool.add(signed, NOW, _valid)
        with pytest.raises(MempoolFull):
            pool.add(transfers[5], NOW, _valid)
        pool.add(signed_of(examples["vote_checkpoint"]), NOW, _valid)
        with pytest.raises(MempoolFull):
            pool.add(transfers[5], NOW, _valid)
        pool.remove([transfers[0].id, signed_of(examples["vote_checkpoint"]).id])
        pool.add(transfers[5], NOW, _valid)


def test_a_validator_that_floods_takes_no_room_from_the_others(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    votes = [signed_of(VoteCheckpoint(GENESIS, 0, Hash("cd" * 32), height)) for height in (4, 5, 6)]
    vote = signed_of(examples["vote_model"])
    for pool in (_pool(transactions=1, votes_per_sender=2), _pool(transactions=1, votes_size=len(votes[0].data) * 2)):
        pool.add(transfers[0], NOW, _valid)
        for signed in votes[:2]:
            pool.add(signed, NOW, _valid)
        for signed in (votes[2], vote):
            with pytest.raises(MempoolFull):
                pool.add(signed, NOW, _valid)
        pool.add(signed_of(examples["vote_checkpoint"], BOB), NOW, _valid)
        pool.remove([votes[0].id])
        pool.add(votes[2], NOW, _valid)


def test_attestations_have_room_in_a_crowd_and_leave_room_for_votes(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    one, two = (signed_of(examples["attest"], salt=f"{number:032x}") for number in (1, 2))
    pool = _pool(transactions=1, per_kind=1)
    for signed in (transfers[0], one):
        pool.add(signed, NOW, _valid)
    with pytest.raises(MempoolFull, match="attest"):
        pool.add(two, NOW, _valid)
    pool.add(signed_of(examples["vote_model"]), NOW, _valid)
    pool.add(signed_of(examples["vote_checkpoint"]), NOW, _valid)


def test_misconduct_comes_after_checkpoint_votes_alone_and_has_room_of_its_own(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    report, another = (signed_of(examples["report_misconduct"], salt=f"{number:032x}") for number in (1, 2))
    vote, checkpoint = signed_of(examples["vote_model"]), signed_of(examples["vote_checkpoint"])
    pool = _pool(transactions=1, reports=1)
    for signed in (transfers[0], vote, checkpoint, report):
        pool.add(signed, NOW, _valid)
    assert pool.ordered() == (checkpoint, report, vote, transfers[0])
    with pytest.raises(MempoolFull, match="reports"):
        pool.add(another, NOW, _valid)
    with pytest.raises(MempoolFull, match="reports"):
        _pool(reports_size=len(report.data) - 1).add(report, NOW, _valid)


def test_a_newer_checkpoint_vote_takes_the_place_of_the_oldest_that_is_held(
    examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    """A reorganisation may hand back more than there is room for, and only the newest can be of use."""
    example = examples["vote_checkpoint"]
    assert isinstance(example, VoteCheckpoint)
    votes = [signed_of(dataclasses.replace(example, target_height=height)) for height in (8, 7, 9, 6)]
    pool = _pool(votes_per_sender=2)
    for signed in votes[:2]:
        pool.add(signed, NOW, _refusing(NotYet("a block that this branch has")), known=True)
    with pytest.raises(Forbidden):
        pool.add(votes[2], NOW, _refusing(Forbidden("a validator")))
    assert len(pool) == 2, "what is refused takes nobody's place"
    left = pool.add(votes[2], NOW, _valid)
    assert left is not None
    assert (left.signed, type(left.error)) == (votes[1], Conflict)
    assert pool.ordered() == (votes[0], votes[2])
    with pytest.raises(MempoolFull):
        pool.add(votes[3], NOW, _valid)
    with pytest.raises(MempoolFull):
        pool.add(signed_of(examples["vote_model"]), NOW, _valid)
    full = _pool(votes_per_sender=1)
    full.add(votes[0], NOW, _valid)
    with pytest.raises(MempoolFull):
        full.add(votes[2], NOW, _valid)


def test_one_kind_of_a_sender_leaves_room_for_its_others(
    transfers: list[Signed], examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    pool, other = _pool(per_kind=2, sender_quota=1), signed_of(examples["stake"])
    for signed in transfers[:2]:
        pool.add(signed, NOW, _valid)
    with pytest.raises(MempoolFull, match="transfer"):
        pool.add(transfers[2], NOW, _valid)
    pool.add(other, NOW, _valid)
    pool.add(transfers[10], NOW, _valid)
    assert pool.ordered() == (transfers[0], other, transfers[10], transfers[1])


def test_what_was_acknowledged_always_finds_room(transfers: list[Signed]) -> None:
    pool = _pool(transactions=1)
    pool.add(transfers[0], NOW, _valid)
    with pytest.raises(MempoolFull):
        pool.add(transfers[1], NOW, _valid)
    pool.add(transfers[1], NOW, _valid, known=True)


def test_what_was_acknowledged_by_a_clock_that_was_ahead_waits_until_its_expiry_is_near_enough(
    transfers: list[Signed],
) -> None:
    pool, early = _pool(), transfers[0].body.expires - DEVELOPMENT.max_expiry_ms - 1
    with pytest.raises(ExpiresTooLate):
        pool.add(transfers[0], early, _valid)
    pool.add(transfers[0], early, _valid, known=True)
    held = pool.get(transfers[0].id)
    assert held is not None
    assert isinstance(held.held, NotYet)
    assert pool.recheck(early + 1, _valid) == ()
    freed = pool.get(transfers[0].id)
    assert freed is not None
    assert freed.held is None


def test_what_is_held_keeps_nothing_alive_but_its_reason(transfers: list[Signed]) -> None:
    pool = _pool()

    def check(signed: Signed) -> None:
        try:
            raise Conflict("a draft of the whole state")
        except Conflict as error:
            raise NotYet("later") from error

    pool.add(transfers[0], NOW, check)
    held = pool.get(transfers[0].id)
    assert held is not None
    assert held.held is not None
    assert (held.held.__traceback__, held.held.__cause__, held.held.__context__) == (None, None, None)


def test_the_books_agree_after_any_history(transfers: list[Signed]) -> None:
    steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "recheck"]), st.integers(0, 10)), max_size=30)

    @given(steps)
    def live(history: list[tuple[str, int]]) -> None:
        pool, model = _pool(sender_quota=2), {}
        for what, number in history:
            signed = transfers[number]
            if what == "add":
                pool.add(signed, NOW, _valid)
                model.setdefault(signed.id, signed)
            elif what == "remove":
                pool.remove([signed.id])
                model.pop(signed.id, None)
            else:
                pool.recheck(
                    NOW, lambda other, drop=signed: _refusing(Conflict("no"))(other) if other == drop else None
                )
                model.pop(signed.id, None)
            assert [waiting.signed for waiting in pool] == list(model.values())
            assert set(pool.ordered()) == set(model.values())
            assert pool.size == sum(len(other.data) for other in model.values())

    live()
