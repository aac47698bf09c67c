"""Blocks as a whole: what they begin with, what they refuse, what they leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.errors import Duplicate, InsufficientBalance, NotYet
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.state import KINDS, BlockDraft, accounts, check, genesis_state, next_deadline
from chain.state.tables import IDS
from chain.transactions import PAYLOADS, ClaimPartition, Transfer


def test_every_kind_of_transaction_has_its_function() -> None:
    assert set(KINDS) == set(PAYLOADS)


def test_an_invalid_transaction_is_named_by_its_place_and_the_block_leaves_nothing(chain: Any) -> None:
    before = chain.state
    good = chain.sign("alice", Transfer(chain.address("bob"), 1))
    bad = chain.sign("alice", Transfer(chain.address("bob"), 10_000))
    with pytest.raises(InsufficientBalance) as caught:
        chain.mine(good, bad)
    assert caught.value.index == 1
    assert chain.state is before


def test_a_transaction_that_is_twice_in_a_block_is_refused(chain: Any) -> None:
    signed = chain.sign("alice", Transfer(chain.address("bob"), 1))
    with pytest.raises(Duplicate) as caught:
        chain.mine(signed, signed)
    assert caught.value.index == 1


def test_a_refused_transaction_leaves_no_event(chain: Any) -> None:
    draft = chain.draft()
    with pytest.raises(InsufficientBalance):
        draft.add(chain.sign("alice", Transfer(chain.address("bob"), 10_001)))
    draft.add(chain.sign("alice", Transfer(chain.address("bob"), 2)))
    _, events = draft.finish()
    assert [(event.kind, event.fields["amount"]) for event in events] == [("transfer", 2)]


@pytest.mark.parametrize(("height", "later"), [(0, 1), (2, 1), (1, 0), (1, -1)])
def test_a_block_follows_its_parent_in_height_and_time(chain: Any, height: int, later: int) -> None:
    with pytest.raises(ValueError, match="next height and a later time"):
        BlockDraft(
            chain.state,
            parent=chain.ids[-1],
            height=height,
            time=chain.time + later,
            params=chain.params,
            ancestor=chain.ancestor,
        )


def test_check_asks_whether_the_next_block_could_hold_it(registered: Any) -> None:
    def ask(signed: Any, now: int) -> None:
        check(
            registered.state,
            signed,
            registered.params,
            parent=registered.ids[-1],
            now=now,
            ancestor=registered.ancestor,
        )

    job = registered.do("owner", registered.job())
    digest = registered.state.digest
    claim = registered.sign("alice", ClaimPartition(job, 0, 0, 0))
    ask(claim, 0)
    with pytest.raises(NotYet):
        ask(registered.sign("alice", ClaimPartition(job, 0, 1, 0)), registered.time)
    with pytest.raises(NotYet):
        ask(registered.sign("bob", registered.update(job, 0)), registered.time)
    assert registered.state.digest == digest


def test_the_next_deadline_is_the_earliest(registered: Any) -> None:
    assert next_deadline(registered.state) is None
    slow = registered.open(round_ms=90_000)
    quick = registered.open(round_ms=30_000)
    assert next_deadline(registered.state) == registered.get(quick).round_list[0].deadline
    registered.wait(30_000)
    assert next_deadline(registered.state) == registered.get(slow).round_list[0].deadline


def test_all_deadlines_that_have_passed_are_met_in_one_block(registered: Any) -> None:
    jobs = [registered.open(round_ms=30_000 + number) for number in range(3)]
    registered.wait(40_000)
    assert [registered.get(job).state for job in jobs] == ["expired"] * 3


def test_one_job_s_events_tell_its_story(registered: Any) -> None:
    registered.events.clear()
    registered.votes(registered.candidate(), "approve")
    story = (
        "job_opened seed_drawn partition_claimed update_accepted partition_claimed update_accepted round_closed "
        "aggregate_accepted candidate vote vote vote adopted"
    )
    assert " ".join(registered.kinds()) == story


def test_the_same_blocks_give_the_same_state(registered: Any) -> None:
    registered.votes(registered.candidate(rounds=2), "approve")
    assert registered.replay() == registered.state


@pytest.mark.parametrize("change", [{"note": "another"}, {"time": 7}, {"balances": ()}])
def test_every_field_of_the_genesis_tells_networks_apart(change: dict[str, Any]) -> None:
    genesis = Genesis("development", 1, (Address("0x" + "11" * 20),), ((Address("0x" + "22" * 20), 5),), "a note")
    other = replace(genesis, **change)
    assert genesis_state(genesis, DEVELOPMENT).digest != genesis_state(other, DEVELOPMENT).digest


def test_a_draft_that_only_checks_looks_through_no_ids(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node makes one for every few transactions that come in; blocks alone forget."""
    registered.do("alice", Transfer(registered.address("bob"), 1))
    old = registered.state.table(IDS)
    draft = registered.draft(after=3_600_001)
    monkeypatch.setattr(accounts, "forget_ids", lambda context: pytest.fail("asked while checking"))
    draft.add(registered.sign("alice", Transfer(registered.address("bob"), 1), expires=registered.time + 3_700_000))
    monkeypatch.undo()
    left = draft.finish()[0].table(IDS)
    assert len(left) == 1
    assert not set(left) & set(old)
