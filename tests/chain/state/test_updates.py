"""Updates and aggregates: what is accepted, and what it leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.errors import Conflict, Duplicate, Forbidden, InvalidEncoding, InvalidField, NotYet
from chain.params import DEVELOPMENT


def test_the_leaseholder_s_update_is_accepted_and_its_id_is_the_transaction_s(registered: Any) -> None:
    job = registered.open()
    update = registered.train("alice", job, 1)
    partition = registered.get(job).round_list[0].partitions[1]
    assert partition.update.id == update
    assert partition.lease is None


def test_an_update_for_another_s_claim_is_refused(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.refuse(Forbidden, "bob", registered.update(job, 0))


def test_an_update_waits_for_its_claim(registered: Any) -> None:
    job = registered.open()
    registered.refuse(NotYet, "alice", registered.update(job, 0))


def test_a_lapsed_lease_that_nobody_took_is_enough(registered: Any) -> None:
    job = registered.open(round_ms=10 * DEVELOPMENT.lease_ms)
    registered.claim("alice", job, 0)
    registered.do("alice", registered.update(job, 0), after=2 * DEVELOPMENT.lease_ms)


def test_the_same_update_again_is_a_duplicate_and_another_a_conflict(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    registered.refuse(Duplicate, "alice", registered.update(job, 0))
    registered.refuse(Conflict, "alice", registered.update(job, 0, "another"))
    registered.refuse(Conflict, "bob", registered.update(job, 0, "another"))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"seed": "0" * 64}, Conflict),
        ({"attempt": 1}, NotYet),
        ({"partition": 7}, InvalidField),
        ({"environment": "f" * 64}, InvalidField),
    ],
)
def test_an_update_must_match_the_job_s_record(registered: Any, fields: dict[str, Any], error: type[Exception]) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.refuse(error, "alice", registered.update(job, 0, **fields))


def test_an_update_has_a_base_in_every_round_but_the_first(registered: Any, content: Any) -> None:
    job = registered.open(rounds=2)
    registered.claim("alice", job, 0)
    registered.refuse(InvalidField, "alice", registered.update(job, 0, base=content("x")))
    registered.do("alice", registered.update(job, 0))
    registered.train("alice", job, 1)
    registered.do("alice", registered.aggregate(job))
    registered.claim("alice", job, 0)
    registered.refuse(InvalidField, "alice", registered.update(job, 0, base=None))
    registered.refuse(NotYet, "alice", registered.update(job, 0, base=content("x")))
    registered.do("alice", registered.update(job, 0))


def test_a_round_closes_with_its_last_update(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    assert registered.get(job).round_list[0].closed is None
    registered.train("bob", job, 1)
    closed = registered.get(job).round_list[0]
    assert closed.closed == registered.time
    assert closed.deadline == registered.time + 60_000, "for the aggregate"


def test_an_aggregate_is_of_exactly_the_round_s_updates_in_order(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 1)
    registered.refuse(NotYet, "alice", registered.aggregate(job))
    registered.train("bob", job, 0)
    right = registered.aggregate(job)
    registered.refuse(Conflict, "alice", replace(right, updates=right.updates[::-1]))
    registered.refuse(Conflict, "alice", replace(right, updates=right.updates[:1]))
    registered.do("alice", right)


def test_what_was_made_in_an_environment_that_the_model_does_not_list_is_refused_by_name(chain: Any) -> None:
    chain.register(environments=("a" * 64, "b" * 64))
    job = chain.open()
    chain.claim("alice", job, 0)
    refused = chain.refuse(InvalidField, "alice", chain.update(job, 0))
    assert refused.where == "body.payload.environment"
    assert "a" * 64 in str(refused)
    chain.do("alice", chain.update(job, 0, environment="b" * 64))
    chain.claim("bob", job, 1)
    chain.do("bob", chain.update(job, 1, environment="a" * 64))
    chain.refuse(InvalidField, "bob", chain.aggregate(job))
    chain.do("bob", chain.aggregate(job, environment="a" * 64))
    assert chain.get(job).state == "voting"


def test_only_holders_of_updates_aggregate_and_each_once(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    registered.train("bob", job, 1)
    registered.refuse(Forbidden, "carol", registered.aggregate(job))
    registered.do("alice", registered.aggregate(job))
    registered.refuse(Duplicate, "alice", registered.aggregate(job))
    registered.refuse(Conflict, "alice", registered.aggregate(job, "another"))
    registered.do("bob", registered.aggregate(job, "another"))
    assert len(registered.get(job).round_list[0].aggregates) == 2, "side by side, also while the vote is on"


def test_the_first_aggregate_opens_the_next_round_or_the_vote(registered: Any) -> None:
    job = registered.open(rounds=2)
    for round_index in range(2):
        assert len(registered.get(job).round_list) == round_index + 1
        registered.train("alice", job, 0)
        registered.train("bob", job, 1)
        registered.do("bob", registered.aggregate(job))
    voting = registered.get(job)
    assert voting.state == "voting"
    assert voting.candidate == voting.round_list[1].aggregates[0]
    assert voting.vote_deadline == registered.time + 60_000


def test_a_later_round_builds_on_any_standing_aggregate(registered: Any) -> None:
    job = registered.open(rounds=2)
    registered.train("alice", job, 0)
    registered.train("bob", job, 1)
    registered.do("alice", registered.aggregate(job))
    second = registered.aggregate(job, "second")  # of the new round: names no updates
    first_updates = tuple(update.id for update in registered.get(job).round_list[0].updates)
    registered.do("bob", replace(second, round=0, updates=first_updates))
    registered.claim("bob", job, 0)
    registered.do("bob", registered.update(job, 0, base=second.artifact))


def test_past_its_deadline_a_round_with_enough_updates_closes(registered: Any) -> None:
    job = registered.open(partitions=3, minimum_updates=2)
    registered.train("alice", job, 0)
    registered.train("bob", job, 2)
    registered.claim("carol", job, 1)
    late = registered.update(job, 1)
    registered.wait(60_000)
    assert registered.get(job).round_list[0].closed == registered.time
    registered.refuse(Conflict, "carol", late)
    registered.do("alice", registered.aggregate(job))
    assert registered.get(job).state == "voting"


def test_an_update_in_the_block_that_reaches_the_deadline_is_late(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.refuse(
        Conflict, "alice", registered.update(job, 0), after=registered.get(job).round_list[0].deadline - registered.time
    )


def test_the_most_rows_that_updates_can_name_add_up_within_the_encoding(registered: Any) -> None:
    job = registered.open(partitions=256, minimum_updates=1)
    registered.claim("alice", job, 0)
    with pytest.raises(InvalidEncoding):
        registered.do("alice", registered.update(job, 0, rows=2**48 + 1))
    assert 256 * 2**48 < 2**63
