"""Counting checkpoint votes."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, NotYet
from chain.transactions import Transfer, VoteCheckpoint


def link(chain: Any, source: int, target: int, /, **fields: str) -> VoteCheckpoint:
    values: dict[str, Any] = {"source": chain.ids[source], "target": chain.ids[target]}
    return VoteCheckpoint(**({"source_height": source, "target_height": target} | values | fields))


def cast(chain: Any, source: int, target: int, count: int = 3) -> Any:
    vote = link(chain, source, target)
    return chain.mine(*(chain.sign(key, vote) for key in chain.validators[:count])).finality


@pytest.fixture
def work(chain: Any) -> Any:
    chain.do("alice", Transfer(chain.address("bob"), 1))
    return chain


def test_genesis_is_justified_and_final(chain: Any) -> None:
    finality = chain.mine().finality
    assert (finality.justified_hash, finality.final_hash) == (chain.ids[0], chain.ids[0])
    assert finality.settled


def test_a_quorum_link_justifies_its_target_and_its_child_s_makes_it_final(work: Any) -> None:
    assert not work.state.finality.settled
    assert cast(work, 0, 1).justified_height == 1
    finality = cast(work, 1, 2)
    assert (finality.justified_height, finality.final_height) == (2, 1)
    assert finality.final_hash == work.ids[1]
    assert finality.settled
    assert work.kinds()[-4:] == ["transfer", "justified", "justified", "final"]


def test_less_than_a_quorum_justifies_nothing(work: Any) -> None:
    assert cast(work, 0, 1, count=2).justified_height == 0


def test_votes_of_several_blocks_add_up(work: Any) -> None:
    vote = link(work, 0, 1)
    for key in work.validators[:3]:
        work.do(key, vote)
    assert work.state.finality.justified_height == 1


def test_a_link_over_several_blocks_justifies_but_finalises_nothing(work: Any) -> None:
    cast(work, 0, 1)
    work.mine()
    finality = cast(work, 1, 3)
    assert (finality.justified_height, finality.final_height) == (3, 0)  # 1 is justified, and 3 no child of it
    assert cast(work, 3, 4).final_height == 3


def test_a_vote_of_who_is_no_validator_is_refused(work: Any) -> None:
    work.refuse(Forbidden, "alice", link(work, 0, 1))


def test_a_vote_for_another_branch_may_become_valid_there(work: Any) -> None:
    work.refuse(NotYet, work.validators[0], link(work, 0, 1, target="b" * 64))
    work.refuse(NotYet, work.validators[0], VoteCheckpoint(work.ids[0], 0, "b" * 64, 9))
    work.refuse(NotYet, work.validators[0], link(work, 0, 1, source="b" * 64))


def test_a_source_must_be_justified_here(work: Any) -> None:
    work.mine()
    work.refuse(NotYet, work.validators[0], link(work, 1, 2))


def test_a_target_is_above_its_source(work: Any) -> None:
    work.refuse(InvalidField, work.validators[0], link(work, 1, 1))


def test_targets_rise_and_sources_do_not_fall(work: Any) -> None:
    work.mine()
    key = work.validators[0]
    work.do(key, link(work, 0, 2))
    work.refuse(Conflict, key, link(work, 0, 1))
    work.refuse(Duplicate, key, link(work, 0, 2))
    for other in work.validators[1:]:
        work.do(other, link(work, 0, 2))
    work.do(key, link(work, 2, 4))
    work.refuse(Conflict, key, link(work, 0, 5))


def test_below_the_final_block_nothing_is_counted_or_kept(work: Any) -> None:
    cast(work, 0, 1)
    cast(work, 1, 2)
    work.refuse(Conflict, work.validators[3], link(work, 0, 2))
    assert set(work.state.justified) == {"1", "2"}
    assert set(work.state.links) == {"1-2"}


def test_a_vote_inside_the_checked_rules_never_expires(work: Any) -> None:
    vote = work.sign(work.validators[0], link(work, 0, 1))
    work.wait(10 * work.params.max_expiry_ms)
    work.mine(vote)
    assert work.state.voters[work.validators[0].address].target_height == 1


def test_votes_are_no_work(work: Any) -> None:
    height = work.state.height
    cast(work, 0, 1)
    assert work.state.finality.work_height == height
    work.do("bob", Transfer(work.address("alice"), 1))
    assert work.state.finality.work_height == work.state.height


def test_a_seed_drawn_and_a_deadline_passed_are_work(registered: Any) -> None:
    registered.do("owner", registered.job())
    registered.mine()
    assert registered.state.finality.work_height == registered.state.height
    registered.mine()
    assert registered.state.finality.work_height == registered.state.height - 1
    registered.wait(60_000)
    assert registered.state.finality.work_height == registered.state.height
