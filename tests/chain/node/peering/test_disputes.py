"""A peer that is final on another block: its votes are looked at, its branch is never followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import ConflictingFinality
from chain.node.peering import serving
from chain.node.peering.messages import AskBlocks, Blocks, Headers
from tests.chain.node.peering.conftest import VALIDATORS, World


@pytest.fixture
def two_sides() -> World:
    """Two nodes that never met; the same four validators have voted on both."""
    world = World()
    for name in "ab":
        member = world.member(name)
        world.last.clear()
        world.voting = {name: VALIDATORS}
        world.send(name, amount=ord(name))
        world.run(lambda member=member: member.node.chain.final.height > 0)
        world.run(lambda member=member: member.node.head.state.finality.settled)
        member.mines = False
    world.voting = {}
    return world


def test_both_sides_learn_who_signed_both_and_stop(two_sides):
    world = two_sides
    world.connect("a", "b")
    with pytest.raises(ConflictingFinality):
        world.run_for(60_000)
    stopped = [each for each in world.members.values() if each.node.witness.reports]
    assert stopped
    for member in stopped:
        caught = {report.validator for report in member.node.witness.reports}
        assert caught == {key.address for key in VALIDATORS}
        assert member.reasons() == [], "who shows it is not to blame"


def test_a_claim_that_the_branch_does_not_bear_out_is_a_broken_rule(make_world, monkeypatch):
    world = make_world()
    a = world.member("a")
    world.voting["a"] = VALIDATORS
    world.send("a")
    world.run(lambda: a.node.chain.final.height > 0)
    a.mines, world.voting = False, {}
    liar = world.member("l", mines=False)
    world.mine("l", 6)
    hello, false = liar.peering.hello(), liar.head
    claimed = liar.node.chain.at_height(3).id
    lie = replace(hello.status, justified_height=4, justified=false, final_height=3, final=claimed)
    true = serving.status_of
    monkeypatch.setattr(serving, "status_of", lambda chain, entry: lie if entry.id == false else true(chain, entry))
    world.filter = lambda _sender, to, message: to != "l" or not isinstance(message, (Headers, Blocks))
    liar.peering.connected("a", a.peering.hello())
    final, head = a.node.chain.final.id, a.head
    a.peering.connected("l", replace(hello, status=lie))
    world.run(lambda: a.node.chain.entry(false) is not None)
    assert (a.head, a.node.chain.final.id) == (head, final)
    a.peering.on_message("l", Headers(lie, ()))
    assert "it claims justified_height 4" in a.reasons()[0]
    assert not a.node.witness.reports


def test_a_branch_that_claims_nothing_is_not_fetched(make_world):
    world = make_world()
    a = world.member("a")
    world.voting["a"] = VALIDATORS
    world.send("a")
    world.run(lambda: a.node.chain.final.height > 0)
    a.mines, world.voting = False, {}
    world.member("b", mines=False)
    world.mine("b", 40)
    world.connect("a", "b")
    world.run_for(20_000)
    assert not [m for one, _, m in world.sent if one == "a" and isinstance(m, AskBlocks)]
