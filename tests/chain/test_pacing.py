"""When a miner on demand mines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from chain.pacing import completes_quorum, next_mining_time, renewal_ms, wait_ms
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

    validators = ValidatorSet(0, MEMBERS, (1,) * 4)
    justified = {"0": ROOT}  # noqa: RUF012

    @property
    def finality(self) -> Finality:
        return Finality(0, ROOT, self.final_height, ROOT, self.work_height)


def votes(count: int, target: Hash = HEAD, source: Hash = ROOT):
    return {each: VoteCheckpoint(source, 0, target, 1) for each in MEMBERS[:count]}


def when(state: Seen, **given):
    defaults = {"params": DEVELOPMENT, "work": False, "votes": {}, "deadline": None}
    return next_mining_time(state, HEAD, head_since=SINCE, **{**defaults, **given})


SETTLED = Seen(height=3, final_height=1, work_height=1)


def test_a_settled_chain_without_work_stands_still():
    assert when(SETTLED) is None
    assert when(SETTLED, votes=votes(4)) is None


@pytest.mark.parametrize("state", [SETTLED, Seen()])
def test_anything_but_checkpoint_votes_is_mined_at_once(state):
    assert when(state, work=True) == SINCE


def test_a_deadline_is_mined_when_it_passes():
    assert when(SETTLED, deadline=SINCE + 777) == SINCE + 777
    assert when(Seen(), deadline=SINCE + 777) == SINCE + 200


def test_votes_are_mined_at_once_when_they_complete_a_quorum_on_the_head():
    assert when(Seen(), votes=votes(3)) == SINCE
    assert when(Seen(), votes=votes(2)) == SINCE + 200
    assert when(Seen(), votes=votes(4, target=Hash("c" * 64))) == SINCE + 200


def test_unfinished_work_is_mined_on_without_any_votes():
    assert when(Seen()) == SINCE + 200


def test_votes_from_a_source_that_is_not_justified_complete_nothing():
    assert not completes_quorum(Seen(), HEAD, votes(4, source=Hash("d" * 64)).items())


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


@pytest.mark.parametrize("state", [SETTLED, Seen(), Seen(height=50)])
def test_with_a_target_interval_there_is_always_a_block_to_mine(state):
    assert when(state, params=OPEN) == when(state, params=OPEN, deadline=SINCE + 5) == 0


def test_a_block_being_mined_is_made_anew_ten_times_an_interval_but_on_demand_never():
    assert renewal_ms(OPEN) == 1_500
    assert renewal_ms(replace(OPEN, target_interval_ms=2_000)) == 1_000
    assert renewal_ms(DEVELOPMENT) is None
