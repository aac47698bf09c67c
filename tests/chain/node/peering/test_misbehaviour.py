"""Who breaks a rule is dropped at once with the reason, the others go on; who is late or slow is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain import work
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.node.peering.limits import Limits
from chain.node.peering.messages import (
    AskHeaders,
    AskInventory,
    AskPeers,
    Blocks,
    Headers,
    Inventory,
    Peers,
    Transactions,
)
from chain.node.peering.peer import TOLD_BLOCKS, PeerRefused
from chain.node.peering.sync import MAX_UNCONNECTED
from chain.params import OPEN
from chain.schema import Address

MINER = Address("0x" + "ee" * 20)


@pytest.fixture
def trio(world):
    """An honest node with 30 blocks, one that will lie, and one that begins."""
    a = world.member("a", mines=False)
    liar = world.member("l", mines=False)
    world.mine("a", 30)
    world.connect("a", "l")
    world.run(world.agreed)
    new = world.member("n", mines=False)
    return world, a, liar, new


def hand(world, message, to="n", name="l"):
    world.members[to].peering.on_message(name, message)


def tampered(entry, **changes) -> Header:
    """A child of the block with its work done and one field changed."""
    header = replace(entry.block.header, parent=entry.id, time=entry.time + 1, **changes)
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    return replace(header, nonce=nonce)


def text(header: Header) -> str:
    return header.pack().hex()


def dropped(world, member, reason: str, name: str = "l") -> None:
    assert name not in member.peering.peers
    assert [said for said in member.reasons() if reason in said], member.reasons()
    with pytest.raises(PeerRefused, match="refused for a while"):
        member.peering.connected(name, world.members[name].peering.hello())
    world.connect("a", "n")
    world.run(lambda: member.head == world.members["a"].head, ms=60_000)
    assert "a" in member.peering.peers


def test_headers_without_work(trio):
    world, _, liar, new = trio
    world.connect("l", "n")
    header = Header(1, new.head, "ab" * 32, new.node.head.time + 5, world.params.initial_target, 0)
    while work.meets(header):
        header = replace(header, nonce=header.nonce + 1)
    hand(world, Headers(liar.peering.sync.status(), (text(header),)))
    dropped(world, new, "bad_work")


@pytest.mark.parametrize(
    ("changes", "code"), [({"version": 2}, "bad_version"), ({"target": 0x2000FFFF}, "bad_target")]
)
def test_headers_against_the_rules(trio, changes, code):
    world, _, liar, new = trio
    world.connect("l", "n")
    header = tampered(new.node.head, **changes)
    hand(world, Headers(liar.peering.sync.status(), (text(header),)))
    dropped(world, new, code)


def test_headers_that_are_no_chain(trio):
    world, a, liar, new = trio
    world.connect("l", "n")
    headers = [a.node.chain.at_height(h).block.header for h in (1, 3)]
    hand(world, Headers(liar.peering.sync.status(), tuple(map(text, headers))))
    dropped(world, new, "bad_parent")


def test_a_block_whose_body_is_not_its_headers(trio):
    world, a, _, new = trio
    world.connect("l", "n")
    block = a.node.chain.at_height(1).block
    hand(world, Blocks((Block(block.header, block.commitment, ()),)))
    dropped(world, new, "bad_root")
    assert new.node.chain.entry(block.id) is not None  # the header was not condemned with it


def test_false_bodies_of_a_download_are_asked_of_another(trio):
    world, _, _, new = trio
    deliver = world.deliver

    def lie(sender, to, message):
        if (sender, to) == ("l", "n") and isinstance(message, Blocks):
            message = Blocks(tuple(Block(b.header, b.commitment, ()) for b in message.read(2**23)))
        deliver(sender, to, message)

    world.deliver = lie
    world.connect("l", "n")
    world.run(lambda: "l" not in new.peering.peers)
    dropped(world, new, "bad_root")


def test_a_block_that_the_state_refuses(trio):
    world, _, _, new = trio
    world.connect("l", "n")
    template = new.node.chain.build((), "0x" + "cd" * 20, world.now).block
    commitment = replace(template.commitment, state="ab" * 32)
    header = tampered(new.node.head, root=merkle_root(commitment, ()))
    hand(world, Blocks((Block(header, commitment, ()),)))
    dropped(world, new, "bad_state_digest")


def test_a_block_without_work_or_parent(trio):
    world, a, _, new = trio
    world.connect("l", "n")
    block = a.node.chain.at_height(20).block
    header = block.header
    while work.meets(header):
        header = replace(header, nonce=header.nonce + 1)
    hand(world, Blocks((Block(header, block.commitment, block.transactions),)))
    dropped(world, new, "without its work")


def test_orphans_cost_the_least_work_that_the_network_can_ask_for(make_world):
    """Where difficulty is adjusted the parent is needed to tell a target; without it, it is the easiest at least."""
    easy = {"initial_target": work.compact_of(2**244), "easiest_target": work.compact_of(2**246)}
    params = replace(OPEN, name="development", **easy)
    world = make_world(params=params)
    new = world.member("n", mines=False)
    for name, target in (("l", work.compact_of(work.MAX_TARGET)), ("m", work.compact_of(2**245))):
        world.member(name, mines=False)
        world.connect(name, "n")
        world.run_for(100)
        commitment = Commitment(7, MINER, "5c" * 32)
        header = Header(1, "ab" * 32, merkle_root(commitment, ()), world.now, target, 0)
        nonce = work.search(header.pack()[:-8], work.target_of(target), 0, 2**32)
        hand(world, Blocks((Block(replace(header, nonce=nonce), commitment, ()),)), name=name)
    assert "bad_target" in new.reasons()[0]
    assert "l" not in new.peering.peers
    assert len(new.peering.peers["m"].held) == 1
    assert len(new.node.chain._tree.orphans) == 0


def test_forged_transactions(trio):
    world, _, _, new = trio
    world.connect("l", "n")
    signed = world.send("a")
    forged = replace(signed, signature="11" * 64 + "1b")
    hand(world, Transactions((forged,)))
    dropped(world, new, "invalid_signature")


def test_transactions_of_another_network(trio):
    world, _, _, new = trio
    world.connect("l", "n")
    other = world.transfer("ab" * 32)
    hand(world, Transactions((other,)))
    dropped(world, new, "wrong_network")


def test_too_many_messages(make_world):
    world = make_world()
    world.member("a", mines=False)
    world.member("l")
    world.mine("a", 3)
    new = world.member("n", mines=False, limits=Limits(messages=(10.0, 50.0)))
    world.connect("l", "n")
    for _ in range(60):
        hand(world, AskPeers())
    dropped(world, new, "too many messages")


def test_too_many_transactions(make_world):
    world = make_world()
    world.member("a", mines=False)
    world.member("l")
    world.mine("a", 3)
    new = world.member("n", mines=False, limits=Limits(transactions=(1.0, 3.0)))
    world.connect("l", "n")
    hand(world, Transactions(tuple(world.transfer(new.node.chain.genesis_id) for _ in range(4))))
    dropped(world, new, "too many transactions")


def test_a_false_claim_about_a_known_block(trio):
    world, _, liar, new = trio
    world.connect("a", "n")
    world.run(lambda: new.head == liar.head)
    world.connect("l", "n")
    status = replace(liar.peering.sync.status(), justified_height=7)
    hand(world, AskInventory(status, 0))
    dropped(world, new, "it claims justified_height 7")


def test_a_false_claim_about_work(trio):
    world, a, liar, new = trio
    world.connect("l", "n")
    status = replace(liar.peering.sync.status(), work=str(10**9), above=str(10**9))
    headers = tuple(text(a.node.chain.at_height(h).block.header) for h in range(1, 31))
    hand(world, Headers(status, headers))
    dropped(world, new, "its headers show 30")


def test_headers_that_connect_with_nothing_again_and_again(trio):
    """Once is no offence: the branch they follow on may be gone meanwhile."""
    world, a, liar, new = trio
    world.mine("a", TOLD_BLOCKS)
    world.run(lambda: liar.head == a.head)
    deliver = world.deliver
    told = []

    def lie(sender, to, message):
        if (sender, to) == ("l", "n") and isinstance(message, Headers):
            assert new.reasons() == []
            told.append(message)
            heights = range(2, 3 + TOLD_BLOCKS)  # more than are told without being asked, and nothing of what is below
            headers = tuple(text(a.node.chain.at_height(height).block.header) for height in heights)
            message = Headers(liar.peering.sync.status(), headers)
        deliver(sender, to, message)

    world.deliver = lie
    world.connect("l", "n")
    world.run(lambda: "l" not in new.peering.peers)
    dropped(world, new, "headers that connect with nothing")
    assert len(told) == MAX_UNCONNECTED + 1


def test_who_is_discouraged_is_taken_back_after_a_while(trio):
    world, _, liar, new = trio
    world.connect("l", "n")
    new.peering.misbehaved("l", "a test")
    world.now += new.peering.limits.discourage_ms - 1
    with pytest.raises(PeerRefused, match="a test"):
        new.peering.connected("l", liar.peering.hello())
    world.now += 1
    new.peering.connected("l", liar.peering.hello())


def test_an_operator_forgives(trio):
    _, _, liar, new = trio
    name = liar.peering.url
    new.peering.connected(name, liar.peering.hello())
    new.peering.misbehaved(name, "a test")
    assert new.peering.dials() == []
    new.peering.add(name)
    assert new.peering.dials() == [name]


def test_what_is_late_or_of_another_opinion_is_no_offence(trio):
    world, a, liar, new = trio
    world.connect("l", "n")
    world.run(lambda: new.head == a.head)
    world.sent.clear()
    signed = a.node.block(3).transactions[0]
    expired = world.transfer(new.node.chain.genesis_id, expires=world.now)
    poor = world.transfer(new.node.chain.genesis_id, amount=10**12)
    status = liar.peering.sync.status()
    for message in (
        Transactions((signed, expired, poor)),
        Blocks((a.node.chain.at_height(5).block,)),
        Headers(replace(status, head="cd" * 32), (text(a.node.chain.at_height(5).block.header),)),
        Inventory(status, (), 0),
        Peers(("http://x:1",)),
        Headers(status, ()),
        Blocks(()),
        AskHeaders(("ab" * 32,)),
        AskInventory(status, 10_000),
    ):
        hand(world, message)
    assert "l" in new.peering.peers
    assert new.reasons() == []


def test_a_block_that_is_early_here_is_held_and_nobody_punished(trio):
    world, a, _, new = trio
    world.connect("l", "n")
    world.run(lambda: new.head == a.head)
    template = a.node.chain.build((), "0x" + "cd" * 20, world.now + 40_000).block
    header = template.header
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    early = replace(template, header=replace(header, nonce=nonce))
    hand(world, Blocks((early,)))
    hand(world, Headers(new.peering.sync.status(), (text(early.header),)))
    assert new.reasons() == []
    world.run(lambda: new.node.chain.entry(early.id) is not None, ms=60_000)


def test_the_waiting_transactions_of_one_peer_are_bounded(make_world):
    world = make_world()
    world.member("l", mines=False)
    new = world.member("n", mines=False, limits=Limits(pending_per_peer=5))
    world.connect("l", "n")
    for _ in range(4):
        hand(world, Transactions(tuple(world.transfer(new.node.chain.genesis_id) for _ in range(3))))
    assert len(new.node.pool) == 5
    assert new.reasons() == []


def test_orphans_of_one_peer_are_bounded(trio):
    world, a, _, new = trio
    world.filter = lambda _a, _b, _m: False
    world.connect("l", "n")
    for height in range(10, 30):
        hand(world, Blocks((a.node.chain.at_height(height).block,)))
    assert len(new.peering.peers["l"].held) == new.peering.limits.orphans


def test_a_peer_that_never_answers_is_left_but_not_discouraged(trio):
    world, _, liar, new = trio
    world.filter = lambda sender, to, _m: (sender, to) != ("l", "n")
    world.connect("l", "n")
    world.run(lambda: "l" not in new.peering.peers, ms=120_000)
    assert new.reasons() == []
    new.peering.connected("l", liar.peering.hello())


def test_no_branch_is_fetched_twice_from_below_the_final_block(make_world):
    world = make_world()
    a = world.member("a")
    world.voting["a"] = world.voting_keys
    world.send("a")
    world.run(lambda: a.node.chain.final.height > 0)
    a.mines = False
    world.voting = {}
    other = world.member("b", mines=False)
    world.mine("b", 60)
    # It claims what its blocks do not show, so that it is asked at all.
    hello = other.peering.hello()
    lie = replace(hello.status, justified_height=50, justified=other.head)
    other.peering.connected("a", a.peering.hello())
    head = a.head
    a.peering.connected("b", replace(hello, status=lie))
    world.run_for(200_000)
    assert a.head == head
    asked = [m for one, _, m in world.sent if one == "a" and isinstance(m, AskHeaders)]
    assert len(asked) <= 5
    assert not [m for one, _, m in world.sent if one == "b" and isinstance(m, Blocks) and m.blocks]
