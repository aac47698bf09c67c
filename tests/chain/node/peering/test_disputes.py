"""A peer that is final on another block: its votes are looked at, its branch is never followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import ConflictingFinality
from chain.node.peering import serving
from chain.node.peering.messages import AskBlocks, AskPeers, Blocks, Headers, Inventory, Peers, Transactions
from tests.chain.node.peering.conftest import VALIDATORS, Member, World


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


def stops(world: World) -> Member:
    """The node that sees first that two branches are final, and stops."""
    with pytest.raises(ConflictingFinality):
        world.run_for(60_000)
    return next(each for each in world.members.values() if each.peering.sync.conflict is not None)


def side_of(world: World, member: Member, name: str) -> Member:
    """Another node that has the same blocks as a member, and is connected with it alone."""
    other = world.member(name, mines=False)
    for entry in member.node.chain.branch(0):
        block = member.node.block(entry.id)
        assert block is not None
        other.node.receive_block(block)
    assert other.head == member.head
    assert other.node.chain.final.id == member.node.chain.final.id
    return other


@pytest.mark.parametrize("blocks", [0, 40])
def test_who_stops_shows_the_proof_to_those_on_its_own_side_as_well(two_sides, blocks):
    """They are not connected with the other side, and would go on."""
    world = two_sides
    beside = {"a": "c", "b": "d"}
    for name, other in beside.items():
        world.mine(name, blocks)
        side_of(world, world.members[name], other)
        world.connect(name, other)
    world.run_for(6_000)
    world.connect("a", "b")
    first = stops(world)
    own = world.members[beside[first.name]]
    world.partition(first.name + own.name, *(set("abcd") - {first.name, own.name}))
    assert not own.node.witness.reports
    first.peering.part()
    with pytest.raises(ConflictingFinality):
        world.run_for(3_000)
    assert {report.validator for report in own.node.witness.reports} == {key.address for key in VALIDATORS}
    assert own.reasons() == []


def test_who_stops_shows_its_own_branch_to_the_other_side(two_sides):
    world = two_sides
    world.connect("a", "b")
    first = stops(world)
    other = world.members["b" if first.name == "a" else "a"]
    assert not other.node.witness.reports
    first.peering.part()
    with pytest.raises(ConflictingFinality):
        world.run_for(3_000)
    assert other.node.witness.reports
    assert other.reasons() == []


def test_who_stops_answers_and_takes_nothing_any_more(two_sides):
    world = two_sides
    world.connect("a", "b")
    first = stops(world)
    other = world.members["b" if first.name == "a" else "a"]
    first.peering.part()
    head, waiting = first.head, len(first.node.pool)
    world.sent.clear()
    status = other.peering.sync.status()
    signed = world.transfer(first.node.chain.genesis_id)
    for message in (Transactions((signed,)), Inventory(status, (), 0), Headers(status, ()), AskPeers()):
        first.peering.on_message(other.name, message)
    assert [type(message) for sender, _, message in world.sent if sender == first.name] == [Peers]
    assert (first.head, len(first.node.pool)) == (head, waiting)
