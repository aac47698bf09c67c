"""Stake: locking, giving up, and when it is free again; its weight where stake votes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from chain.errors import Forbidden, InsufficientBalance, InsufficientStake
from chain.params import NETWORKS, Genesis
from chain.state import genesis_state
from chain.state.supply import supply
from chain.transactions import Stake, Transfer, Unstake, VoteCheckpoint

DAY = 24 * 3_600_000


def finalise(chain: Any) -> None:
    """Everybody votes until all is final."""
    while not chain.state.finality.settled:
        finality, head = chain.state.finality, chain.state.height
        link = VoteCheckpoint(finality.justified_hash, finality.justified_height, chain.ids[head], head)
        chain.mine(*(chain.sign(key, link) for key in chain.validators))


@pytest.fixture
def staked(new_chain: Any) -> Any:
    """Four validators with stake 1,000 each."""
    return new_chain(NETWORKS["stake"])


def test_stake_moves_from_the_balance_and_back_after_the_delay(chain: Any) -> None:
    alice = chain.address("alice")
    chain.do("alice", Stake(600))
    assert (chain.state.accounts[alice].balance, chain.state.accounts[alice].stake) == (9_400, 600)
    chain.do("alice", Unstake(200))
    release = chain.time + chain.params.unbonding_ms
    assert chain.state.accounts[alice].unbonding == ((200, release),)
    assert chain.state.accounts[alice].owned == 10_000
    chain.wait(chain.params.unbonding_ms - 1 - 1)
    chain.do("alice", Transfer(chain.address("bob"), 1))
    assert chain.state.accounts[alice].balance == 9_399
    chain.do("alice", Transfer(chain.address("bob"), 9_500))
    assert (chain.state.accounts[alice].balance, chain.state.accounts[alice].unbonding) == (99, ())
    assert chain.kinds()[-2:] == ["released", "transfer"]


def test_amounts_that_a_change_of_the_set_put_off_to_one_time_stay_as_many(staked: Any) -> None:
    me = staked.validators[0]
    whole = supply(staked.state)

    def give_up(amount: int) -> None:
        staked.do(me, Unstake(amount))
        finalise(staked)

    give_up(10)
    staked.wait(3_600_000)
    give_up(10)
    staked.wait(7 * DAY + DAY // 2)
    give_up(5)
    times = [until for _, until in staked.state.accounts[me.address].unbonding]
    assert len(times) > len(set(times)), "two of them wait for one time now"
    staked.do(me, Unstake(1))
    account = staked.state.accounts[me.address]
    assert sum(amount for amount, _ in account.unbonding) == 26
    assert supply(staked.state) == whole


def test_nobody_stakes_more_than_it_owns_or_gives_up_more_than_it_staked(chain: Any) -> None:
    chain.refuse(InsufficientBalance, "alice", Stake(10_001))
    chain.do("alice", Stake(600))
    refused = chain.refuse(InsufficientStake, "alice", Unstake(601))
    assert "at most 600, the sender's stake, found 601. Give up that much or less" in str(refused)
    assert "ransfer" not in str(refused), "what is sent to the sender adds nothing to its stake"
    chain.refuse(InsufficientBalance, "alice", Transfer(chain.address("bob"), 9_401))


def test_stake_counts_as_what_a_sender_owns(chain: Any) -> None:
    chain.do("alice", Stake(10_000))
    chain.do("alice", Unstake(5_000))
    chain.do("alice", chain.dataset())


def test_amounts_under_way_are_few_and_those_of_one_time_are_one(new_chain: Any) -> None:
    chain = new_chain(dataclasses.replace(NETWORKS["development"], max_unbondings=2))
    chain.do("alice", Stake(100))
    chain.mine(*(chain.sign("alice", Unstake(number)) for number in (1, 2)))
    assert len(chain.state.accounts[chain.address("alice")].unbonding) == 1
    chain.do("alice", Unstake(3))
    chain.refuse(Forbidden, "alice", Unstake(4))


def test_the_delay_outlasts_evidence_and_every_round_and_vote() -> None:
    for params in NETWORKS.values():
        assert params.unbonding_ms > params.evidence_ms
        assert params.unbonding_ms > params.max_round_ms


def test_in_genesis_a_validator_s_balance_is_its_stake_where_stake_votes(staked: Any) -> None:
    validators = staked.state.validators
    assert validators.weights == (1_000,) * 4
    assert validators.quorum() == 2_667
    account = staked.state.accounts[validators.members[0]]
    assert (account.balance, account.stake) == (0, 1_000)
    poor = Genesis("stake", 1, (staked.address("nobody"),), (), "")
    with pytest.raises(ValueError, match="expected a balance of each validator"):
        genesis_state(poor, staked.params)


def test_stake_given_up_loses_its_weight_with_a_change_of_the_set(staked: Any) -> None:
    giver = staked.validators[0]
    staked.do(giver, Unstake(400))
    assert staked.state.pending_set.set.weight(giver.address) == 600
    assert staked.state.validators.weight(giver.address) == 1_000
    finalise(staked)
    assert staked.state.validators.weight(giver.address) == 600


def test_stake_weighs_up_to_the_cap_of_the_admission(staked: Any) -> None:
    giver = staked.validators[0]
    staked.do("alice", Transfer(giver.address, 500))
    staked.do(giver, Stake(500))
    assert staked.state.accounts[giver.address].stake == 1_500
    assert staked.state.pending_set is None, "its cap is what it began with"
    staked.do(giver, Unstake(600))
    assert staked.state.pending_set.set.weight(giver.address) == 900


def test_stake_without_an_admission_weighs_nothing(staked: Any) -> None:
    staked.do("alice", Stake(9_000))
    assert staked.state.pending_set is None


def test_the_last_stake_that_votes_stays(new_chain: Any) -> None:
    chain = new_chain(NETWORKS["stake"], validators=1)
    chain.refuse(Forbidden, chain.validators[0], Unstake(1_000))
    chain.do(chain.validators[0], Unstake(999))


def test_stake_stays_locked_while_a_set_in_force_counts_it(staked: Any) -> None:
    """Finality may stall for longer than the delay; the weight could still lie."""
    giver = staked.validators[0]
    staked.do(giver, Unstake(400))
    staked.wait(staked.params.unbonding_ms + DAY - 1)
    staked.do(giver, staked.dataset())
    assert staked.state.accounts[giver.address].balance == 0
    finalise(staked)
    assert staked.state.validators.weight(giver.address) == 600
    staked.do(giver, staked.dataset("wine"))
    assert staked.state.accounts[giver.address].balance == 0, "for an evidence period more"
    staked.wait(staked.params.evidence_ms - 1)
    staked.do(giver, staked.dataset("tea"))
    assert staked.state.accounts[giver.address].balance == 400


def test_stake_stays_locked_while_a_job_that_its_owner_takes_part_in_is_open(registered: Any) -> None:
    chain, alice = registered, registered.address("alice")
    chain.do("alice", Stake(500))
    chain.do("bob", Stake(500))
    week = chain.params.max_round_ms
    job = chain.open(round_ms=week, vote_ms=week)
    for number, worker in enumerate(("alice", "bob")):
        chain.train(worker, job, number)
    chain.do("alice", Unstake(500))
    chain.wait(week - 60_000)
    chain.do("bob", chain.aggregate(job))
    chain.wait(2 * DAY - 1)
    chain.do("alice", chain.dataset("more"))
    assert chain.get(job).state == "voting"
    assert chain.state.accounts[alice].stake == 0
    assert chain.state.accounts[alice].unbonding != ()
    chain.votes(job, "approve")
    chain.do("alice", chain.dataset("still-more"))
    assert chain.state.accounts[alice].balance == 10_000


def test_other_people_s_jobs_lock_nobody_s_stake(registered: Any) -> None:
    registered.do("alice", Stake(500))
    registered.do("alice", Unstake(500))
    week = registered.params.max_round_ms
    registered.wait(2 * DAY)
    registered.open(round_ms=week, vote_ms=week)
    registered.wait(6 * DAY - 1)
    registered.do("alice", registered.dataset("more"))
    assert registered.state.accounts[registered.address("alice")].balance == 10_000
