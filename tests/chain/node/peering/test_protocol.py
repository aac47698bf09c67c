"""Nodes over a queue of events: they find the same head, whatever happens between them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from chain.node.peering.limits import Limits
from chain.node.peering.messages import VERSION, AskBlocks, AskHeaders, Blocks, Headers, Transactions
from chain.node.peering.peer import PeerRefused


def test_a_late_joiner_gets_300_blocks(world):
    world.member("a", mines=False)
    world.mine("a", 300)
    b = world.member("b", mines=False)
    world.connect("a", "b")
    world.run(world.agreed)
    assert b.node.head.height == 300
    assert not b.log or all(event != "peer discouraged" for event, _ in b.log)


def test_headers_come_before_bodies(world):
    world.member("a", mines=False)
    world.mine("a", 20)
    world.member("b", mines=False)
    world.connect("a", "b")
    world.run(world.agreed)
    kinds = [type(message) for a, _, message in world.sent if a == "b"]
    assert kinds.index(AskHeaders) < kinds.index(AskBlocks)


def test_a_clock_that_is_behind_by_too_much_delays_headers_by_no_more_than_that(world):
    world.member("a", mines=False)
    world.mine("a", 20)
    b = world.member("b", mines=False)
    b.node._clock = lambda: world.now - world.params.max_future_ms - 2_000
    world.connect("a", "b")
    world.run(world.agreed, ms=3_000)
    assert not any(event == "peer discouraged" for event, _ in b.log)


def test_a_transaction_and_the_block_with_it_reach_all_of_seven_in_a_line(world):
    names = "abcdefg"
    for name in names:
        world.member(name, mines=name == "g")
    for one, two in itertools.pairwise(names):
        world.connect(one, two)
    sent = world.send("a")
    world.run(lambda: all(m.node.standing(sent.id) for m in world.members.values()), ms=500)
    world.run(lambda: all(m.node.head.height >= 1 for m in world.members.values()), ms=1_000)
    assert all(m.node.standing(sent.id).status == "included" for m in world.members.values())


def test_miners_take_turns_and_seldom_collide(make_world):
    world = make_world(coded=False)
    for name in "abcd":
        world.member(name)
    world.connect_all()
    for key, name in zip(world.voting_keys, "abcd", strict=True):
        world.voting[name] = [key]
    a, senders = world.members["a"], itertools.cycle("abcd")
    while a.node.head.height < 60:
        world.send(next(senders))  # a miner that never mined is in nobody's order yet, and has to be first once
        final = a.node.chain.final.height
        world.run(lambda final=final: a.node.chain.final.height > final, ms=20_000)
    world.run(world.agreed)
    made = {a.node.chain.at_height(h).block.commitment.miner for h in range(1, a.node.head.height + 1)}
    assert len(made) == 4
    # At first they do not know of one another.
    blocks = a.node.head.height - 10
    stale = len(list(a.store.blocks_above(10))) - blocks
    assert stale <= blocks // 5


def test_a_partition_heals_and_nothing_acknowledged_is_lost(world):
    for name in "abcdefg":
        world.member(name)
    world.connect_all()
    for key, name in zip(world.voting_keys, "abcd", strict=True):
        world.voting[name] = [key]
    world.partition("abcd", "efg")
    sent = [world.send(name, amount) for amount, name in enumerate("abcdefg", 1)]
    world.run_for(3_000)
    assert world.members["e"].head != world.members["a"].head
    assert world.members["a"].node.chain.final.height > 0
    assert world.members["e"].node.chain.final.height == 0
    world.partition()
    nodes = [member.node for member in world.members.values()]
    found = list(itertools.product(nodes, sent))
    world.run(lambda: all(getattr(n.standing(each.id), "status", "") == "final" for n, each in found))
    world.run(world.agreed)
    assert not any(member.reasons() for member in world.members.values())


def test_more_work_does_not_beat_a_higher_justified_block(world):
    for name in "ab":
        world.member(name)
    world.voting["a"] = world.voting_keys
    world.connect_all()
    world.partition("a", "b")
    world.send("a")
    world.run(lambda: world.members["a"].node.chain.final.height > 0)
    world.members["b"].mines = False
    world.mine("b", 40)
    b = world.members["b"]
    assert b.node.head.work > world.members["a"].node.head.work
    world.partition()
    world.run(world.agreed, ms=60_000)
    assert b.node.chain.final.height > 0


def test_pending_transactions_are_exchanged_after_a_partition(world):
    a, b = world.member("a", mines=False), world.member("b", mines=False)
    world.connect("a", "b")
    world.partition("a", "b")
    ones, twos = [world.send("a", n) for n in range(1, 6)], [world.send("b", n) for n in range(6, 11)]
    world.run_for(1_000)
    world.partition()
    world.run(lambda: all(each.id in a.node.pool and each.id in b.node.pool for each in ones + twos), ms=40_000)


def test_a_download_resumes_after_a_restart(world):
    world.member("a", mines=False)
    world.mine("a", 200)
    b = world.member("b", mines=False)
    world.connect("a", "b")
    world.run(lambda: b.node.head.height >= 60)
    reached = b.node.head.height
    assert reached < 200
    b = world.restart("b")
    assert b.node.head.height == reached
    world.sent.clear()
    world.connect("a", "b")
    world.run(world.agreed)
    asked = {block for a, _, m in world.sent if a == "b" and isinstance(m, AskBlocks) for block in m.ids}
    assert 0 < len(asked) <= 200 - reached  # an answer to the run before may still have come


def test_bodies_come_from_several_peers(world):
    world.member("a", mines=False)
    world.mine("a", 120)
    for name in "bcd":
        world.member(name, mines=False)
        world.connect("a", name)
    world.run(world.agreed)
    world.sent.clear()
    world.member("e", mines=False)
    for name in "abcd":
        world.connect(name, "e")
    world.run(world.agreed)
    served = {a for a, b, message in world.sent if b == "e" and isinstance(message, Blocks) and message.blocks}
    assert served == set("abcd")


def test_a_peer_that_stalls_is_replaced_and_not_punished(world):
    world.member("a", mines=False)
    world.mine("a", 100)
    world.member("b", mines=False)
    world.connect("a", "b")
    world.run(world.agreed)
    c = world.member("c", mines=False)
    world.filter = lambda a, b, message: not (a == "a" and b == "c" and isinstance(message, Blocks))
    world.connect("a", "c")
    world.connect("b", "c")
    world.run(world.agreed, ms=30_000)
    assert c.reasons() == []


def test_memory_of_headers_and_bodies_is_bounded(make_world):
    world = make_world()
    world.member("a", mines=False)
    world.mine("a", 600)
    limits = Limits(headers_per_peer=100, bodies=20)
    b = world.member("b", mines=False, limits=limits)
    world.connect("a", "b")
    most, held = 0, 0

    def watch() -> bool:
        nonlocal most, held
        most, held = max(most, len(b.peering.sync.tree)), max(held, b.peering.sync.held[0])
        return world.agreed()

    world.run(watch)
    assert 50 <= most <= 100
    assert held <= 36


def test_a_branch_without_our_final_block_is_not_followed(make_world):
    world = make_world()
    world.member("a")
    world.voting["a"] = world.voting_keys
    world.send("a")
    world.run(lambda: world.members["a"].node.chain.final.height > 0)
    world.members["a"].mines = False
    world.member("b", mines=False)
    world.mine("b", 50)
    a = world.members["a"]
    head = a.head
    world.connect("a", "b")
    world.sent.clear()
    world.run_for(60_000)
    assert a.head == head
    assert [event for event, _ in a.log].count("a peer's branch leaves out our final block; it is not followed") == 0
    asked = [m for one, _, m in world.sent if one == "a" and isinstance(m, AskBlocks)]
    assert asked == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": VERSION + 1}, "other_version"),
        ({"genesis": "0" * 64}, "other_genesis"),
        ({"node": None}, "itself"),
    ],
)
def test_a_handshake_is_refused_with_its_reason(world, change, code):
    a, b = world.member("a"), world.member("b")
    hello = b.peering.hello()
    if "node" in change:
        change = {"node": a.peering.name}
    with pytest.raises(PeerRefused) as refused:
        a.peering.connected("b", replace(hello, **change))
    assert refused.value.code == code
    assert not a.peering.peers


def test_peers_are_limited_in_number(make_world):
    world = make_world()
    a = world.member("a", limits=Limits(peers=2))
    for name in "bcd":
        world.member(name)
    for name in "bc":
        world.connect("a", name)
    with pytest.raises(PeerRefused, match="limit"):
        a.peering.connected("d", world.members["d"].peering.hello())


def test_addresses_are_exchanged(world):
    for name in "abc":
        world.member(name)
    world.connect("a", "b")
    world.connect("b", "c")
    a = world.members["a"]
    world.run(lambda: "http://c:7001" in a.peering.dials(), ms=130_000)


def test_what_is_new_is_told_once_to_each(world):
    for name in "abc":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    world.sent.clear()
    world.send("a")
    world.run_for(200)
    told = [(a, b) for a, b, message in world.sent if isinstance(message, Transactions) and message.transactions]
    assert len(told) <= 4  # a to both; the two may cross
    world.sent.clear()
    world.members["a"].mines = True
    world.run(world.agreed)
    world.run_for(100)
    assert sum(isinstance(message, (Blocks, Headers)) for _, _, message in world.sent) <= 5
