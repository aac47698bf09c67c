"""When a miner on demand mines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from chain.pacing import completes_quorum, next_mining_time, rank, renewal_ms, turn_ms, wait_ms
from chain.params import DEVELOPMENT, OPEN
from chain.schema import Address, Hash
from chain.state import Finality, ValidatorSet
from chain.transactions import VoteCheckpoint

HEAD, ROOT = Hash("a" * 64), Hash("b" * 64)
MEMBERS = tuple(Address("0x" + f"{n:040x}") for n in range(4))
SINCE = 1_000_000


@dataclass
class Seen:
    """What pacing reads of a state."""

    height: int = 1
    final_height: int = 0
    work_height: int = 1

    voting_sets: tuple[ValidatorSet, ...] = (ValidatorSet(0, MEMBERS, (1,) * 4),)
    justified = {"0": ROOT}  # noqa: RUF012

    @property
    def finality(self) -> Finality:
        return Finality(0, ROOT, self.final_height, ROOT, self.work_height)


def votes(count: int, target: Hash = HEAD, source: Hash = ROOT):
    return {each: VoteCheckpoint(source, 0, target, 1) for each in MEMBERS[:count]}


def when(state: Seen, **given):
    defaults = {
        "params": DEVELOPMENT, "work_since": None, "votes": {}, "votes_since": SINCE, "deadline": None, "rank": 0
    }  # fmt: skip
    return next_mining_time(state, HEAD, head_since=SINCE, **{**defaults, **given})


SETTLED = Seen(height=3, final_height=1, work_height=1)


def test_a_settled_chain_without_work_stands_still():
    assert when(SETTLED) is None
    assert when(SETTLED, votes=votes(4)) is None


@pytest.mark.parametrize("state", [SETTLED, Seen()])
def test_anything_but_checkpoint_votes_is_mined_at_once(state):
    assert when(state, work_since=SINCE - 5) == SINCE
    assert when(state, work_since=SINCE + 5) == SINCE + 5


def test_a_deadline_is_mined_when_it_passes():
    assert when(SETTLED, deadline=SINCE + 777) == SINCE + 777
    assert when(Seen(), deadline=SINCE + 777) == SINCE + 200


def test_votes_are_mined_at_once_when_they_complete_a_quorum_on_the_head():
    assert when(Seen(), votes=votes(3)) == SINCE
    assert when(Seen(), votes=votes(2)) == SINCE + 200
    assert when(Seen(), votes=votes(4, target=Hash("c" * 64))) == SINCE + 200


def test_votes_that_complete_a_quorum_late_are_mined_when_the_last_one_comes():
    assert when(Seen(), votes=votes(3), votes_since=SINCE + 90) == SINCE + 90


def test_the_miner_ranked_third_waits_twice_a_tenth_of_a_second_longer():
    assert when(SETTLED, work_since=SINCE + 5, rank=2) == SINCE + 205
    assert when(Seen(), rank=2) == SINCE + 400
    assert when(SETTLED, rank=2) is None


def test_turns_lengthen_too_while_no_quorum_is_in_reach():
    assert [turn_ms(DEVELOPMENT, height, 0, 1) for height in (0, 5, 6, 10)] == [100, 100, 200, 400]
    assert turn_ms(DEVELOPMENT, 10**6, 0, 3) == 10_000
    assert turn_ms(DEVELOPMENT, 10**6, 0, 0) == 0


def test_ranks_are_a_new_order_of_all_miners_for_each_parent():
    orders = set()
    for number in range(64):
        parent = Hash(f"{number:064x}")
        ranks = [rank(parent, each, MEMBERS) for each in MEMBERS]
        assert sorted(ranks) == [0, 1, 2, 3]
        orders.add(tuple(ranks))
    assert len(orders) > 12
    assert rank(HEAD, MEMBERS[0], [MEMBERS[0]]) == 0


def test_unfinished_work_is_mined_on_without_any_votes():
    assert when(Seen()) == SINCE + 200


def test_votes_from_a_source_that_is_not_justified_complete_nothing():
    assert not completes_quorum(Seen(), HEAD, votes(4, source=Hash("d" * 64)).items())


def test_while_a_change_of_the_set_is_joint_votes_complete_a_quorum_of_both_sets():
    old, new = ValidatorSet(0, MEMBERS[:1], (1,)), ValidatorSet(1, MEMBERS, (1,) * 4)
    joint = Seen(voting_sets=(old, new))
    assert when(joint, votes=votes(3)) == SINCE
    late = dict(list(votes(4).items())[1:])
    assert when(joint, votes=late) == SINCE + DEVELOPMENT.votes_wait_ms  # three of four, but not the old set's only one
    assert when(joint, votes=votes(2)) == SINCE + DEVELOPMENT.votes_wait_ms


def test_votes_of_strangers_complete_nothing():
    stranger = {Address("0x" + "9" * 40): VoteCheckpoint(ROOT, 0, HEAD, 1)}
    assert not completes_quorum(Seen(), HEAD, {**votes(2), **stranger}.items())


def test_waits_double_with_every_four_blocks_up_to_ten_seconds():
    waits = [wait_ms(DEVELOPMENT, height, 0) for height in range(0, 40)]
    assert waits[:7] == [200] * 6 + [400]
    assert waits[10] == 800
    assert waits[-1] == 10_000
    assert waits == sorted(waits)
    assert wait_ms(DEVELOPMENT, 10**6, 0) == 10_000


def test_there_is_no_waiting_for_votes_below_a_height_that_has_been_voted_for_elsewhere():
    """Who voted on a long branch that lost must not vote again below that height, however long the others wait."""
    stalled = Seen(height=50)
    assert when(stalled) == SINCE + 10_000
    assert when(stalled, voted=50) == SINCE + 200
    assert when(stalled, voted=50, rank=2) == SINCE + 400
    assert when(stalled, voted=40) == SINCE + 800


def test_turns_are_added_to_the_wait_and_double_up_to_ten_seconds_of_their_own():
    assert when(Seen(height=10), rank=1) == SINCE + 800 + 400
    assert when(Seen(height=200), rank=1) == SINCE + 10_000 + 10_000
    assert when(Seen(height=200), rank=3, work_since=SINCE) == SINCE + 10_000


@pytest.mark.parametrize("state", [SETTLED, Seen(), Seen(height=50)])
def test_with_a_target_interval_there_is_always_a_block_to_mine(state):
    assert when(state, params=OPEN) == when(state, params=OPEN, deadline=SINCE + 5) == 0


def test_a_block_being_mined_is_made_anew_ten_times_an_interval_but_on_demand_never():
    assert renewal_ms(OPEN) == 1_500
    assert renewal_ms(replace(OPEN, target_interval_ms=2_000)) == 1_000
    assert renewal_ms(DEVELOPMENT) is None
