"""A job's reward: held, paid at adoption, given back otherwise; and the supply, which nothing changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InsufficientBalance
from chain.state.rewards import shares
from chain.state.supply import supply
from chain.transactions import CancelJob, ReportFailure


def balance(chain: Any, name: str) -> int:
    account = chain.state.accounts.get(chain.address(name))
    return 0 if account is None else account.balance


def test_a_reward_is_held_from_the_opening(registered: Any) -> None:
    job = registered.open(reward=1_000)
    assert registered.get(job).reward == 1_000
    assert balance(registered, "owner") == 9_000
    assert supply(registered.state) == 60_000
    registered.refuse(InsufficientBalance, "owner", registered.job(reward=9_001))


def test_at_adoption_workers_are_paid_by_rows_and_validators_for_their_approvals(registered: Any) -> None:
    chain = registered
    job = chain.open(reward=1_000)
    for number, (worker, rows) in enumerate((("alice", 90), ("bob", 30))):
        chain.claim(worker, job, number)
        chain.do(worker, chain.update(job, number, rows=rows))
    chain.do("alice", chain.aggregate(job))
    chain.mine(chain.sign(chain.validators[3], chain.vote(job, "unavailable")))
    chain.votes(job, "approve", 3)
    assert chain.get(job).state == "adopted"
    # 200 for three validators, 800 for 120 rows, and 2 left over.
    assert [chain.state.accounts[key.address].balance for key in chain.validators[:3]] == [66, 66, 66]
    assert chain.validators[3].address not in chain.state.accounts
    assert (balance(chain, "alice"), balance(chain, "bob")) == (10_600, 10_200)
    assert balance(chain, "owner") == 9_002
    assert supply(chain.state) == 60_000


def test_rows_count_in_every_round(registered: Any) -> None:
    job = registered.candidate(["alice", "bob"], rounds=2, reward=1_200)
    registered.votes(job, "approve", 3)
    assert (balance(registered, "alice"), balance(registered, "bob")) == (10_480, 10_480)


@pytest.mark.parametrize("end", ["cancelled", "expired", "rejected", "failed"])
def test_at_any_other_end_the_opener_has_it_back(registered: Any, end: str) -> None:
    chain = registered
    if end == "rejected":
        chain.votes(chain.candidate(reward=1_000), "reject", 3)
    else:
        job = chain.open(reward=1_000)
        if end == "cancelled":
            chain.do("owner", CancelJob(job))
        elif end == "expired":
            chain.wait(60_000)
        else:
            for worker in ("alice", "bob"):
                chain.claim(worker, job, 0)
                at = chain.at(job)
                chain.do(worker, ReportFailure(**at, partition=0, code="broken", message="", cids=(), asked=""))
    assert [job.state for job in chain.state.jobs.values()] == [end]
    assert balance(chain, "owner") == 10_000
    assert supply(chain.state) == 60_000


def test_a_job_without_a_reward_pays_nobody(registered: Any) -> None:
    registered.votes(registered.candidate(), "approve", 3)
    assert "reward" not in registered.kinds()


def test_shares_add_up_to_the_reward_whatever_it_is(registered: Any) -> None:
    job = registered.get(registered.candidate(rounds=2))
    members = registered.state.validators.members

    @given(
        st.integers(1, 2**62),
        st.lists(st.integers(1, 2**48), min_size=2, max_size=2),
        st.integers(0, 1_000_000),
        st.integers(0, 4),
    )
    def add_up(reward: int, rows: list[int], share: int, approvals: int) -> None:
        rounds = []
        for each in job.round_list:
            partitions = tuple(
                replace(partition, update=replace(partition.update, rows=rows[partition.index]))
                for partition in each.partitions
                if partition.update is not None
            )
            rounds.append(replace(each, partitions=partitions))
        paid = shares(replace(job, reward=reward, round_list=tuple(rounds)), members[:approvals], share)
        assert sum(paid.values()) == reward
        assert all(amount >= 0 for amount in paid.values())
        left = paid[job.opener]
        assert left <= len(members) + 2, "the opener's part is what division leaves"

    add_up()
