"""What one peer, or one host, may have a node do: by what it costs, and however often it connects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chain import work
from chain.blocks import Block
from chain.node.peering.limits import Limits
from chain.node.peering.messages import AskBlocks, AskPeers, Blocks, Peers, Transactions
from chain.node.peering.quota import KEPT, Quotas, cost_of, weight_of
from chain.schema import Address
from chain.transactions import Signed
from tests.chain.node.peering.conftest import Member, World


def hand(world: World, message, to: str = "n", name: str = "l") -> None:
    world.members[to].peering.on_message(name, message)


def pair(world: World, limits: Limits, blocks: int = 3) -> tuple[Member, Member]:
    """A node with bounds of its own and one that will try them, both with the same blocks."""
    one = world.member("l", mines=False)
    world.mine("l", blocks)
    node = world.member("n", mines=False, limits=limits)
    world.connect("l", "n")
    world.run(world.agreed)
    world.run_for(200)
    world.sent.clear()
    return node, one


def answers(world: World, kind: type) -> int:
    return sum(isinstance(message, kind) for sender, _, message in world.sent if sender == "n")


def come_back(world: World, node: Member, **how) -> None:
    node.peering.disconnected("l")
    node.peering.connected("l", world.members["l"].peering.hello(), **how)


# ---------------------------------------------------------------------- messages


def test_what_costs_more_to_answer_counts_for_more(world):
    node, one = pair(world, Limits(messages=(0.001, 60.0)), blocks=16)
    ids = tuple(one.node.branch_at(height) for height in range(1, 17))
    assert cost_of(AskBlocks(ids)) == 3 * cost_of(AskPeers())
    for _ in range(15):
        hand(world, AskBlocks(ids))
    assert "l" in node.peering.peers
    for _ in range(5):
        hand(world, AskBlocks(ids))
    assert node.reasons() == ["too many messages"]


def test_who_connects_again_has_what_was_left_and_is_not_punished_for_what_others_used(world):
    node, _ = pair(world, Limits(messages=(0.001, 60.0)))
    for _ in range(40):
        hand(world, AskPeers())
    come_back(world, node)
    before = answers(world, Peers)
    for _ in range(40):
        hand(world, AskPeers())
    assert answers(world, Peers) - before < 20
    assert "l" in node.peering.peers
    assert node.reasons() == []


def test_nodes_of_one_host_that_cannot_be_reached_share_what_is_left(world):
    node, one = pair(world, Limits(messages=(0.001, 60.0)))
    hello = replace(one.peering.hello(), url="")
    for number in range(4):
        node.peering.connected(f"h/{number}", hello, who="from h", reachable=False, host="h")
        for _ in range(30):
            hand(world, AskPeers(), name=f"h/{number}")
    node.peering.connected("g/1", hello, who="from g", reachable=False, host="g")
    for _ in range(30):
        hand(world, AskPeers(), name="g/1")
    said = [to for sender, to, message in world.sent if sender == "n" and isinstance(message, Peers)]
    assert sum(to.startswith("h/") for to in said) == 60
    assert said.count("g/1") == 30
    assert node.reasons() == []


def test_bytes_answered_are_bounded_and_come_back_with_time(world):
    node, one = pair(world, Limits(answered=(1000.0, 5000.0)), blocks=16)
    ids = tuple(one.node.branch_at(height) for height in range(1, 17))
    for _ in range(10):
        hand(world, AskBlocks(ids))
    size = sum(len(one.node.chain.entry(block).block.data) for block in ids)
    assert 0 < answers(world, Blocks) <= 5000 // size + 1
    before = answers(world, Blocks)
    world.now += 1000 * (size // 1000 + 1)
    hand(world, AskBlocks(ids))
    assert answers(world, Blocks) == before + 1
    assert node.reasons() == []


def test_waiting_transactions_are_counted_through_connections(world):
    node, _ = pair(world, Limits(pending_per_peer=5))
    for _ in range(4):
        hand(world, Transactions(tuple(world.transfer(node.node.chain.genesis_id) for _ in range(3))))
        come_back(world, node)
    assert len(node.node.pool) == 5
    assert node.reasons() == []


def test_quotas_are_kept_of_so_many():
    quotas = Quotas(Limits())
    first = quotas.of("first", 0)
    for number in range(KEPT - 1):
        quotas.of(str(number), 0)
    assert quotas.of("first", 0) is first
    for number in range(KEPT):
        quotas.of(f"more {number}", 0)
    assert quotas.of("first", 0) is not first


# ---------------------------------------------------------------------- forks


def siblings(member: Member, count: int, now: int, transactions: Sequence[Signed] = ()) -> list[Block]:
    """Valid blocks after the member's head, all of the same transactions and all different."""
    found = []
    for number in range(count):
        block = member.node.chain.build(transactions, Address(f"0x{number:040x}"), now).block
        header = block.header
        nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
        assert nonce is not None
        found.append(replace(block, header=replace(header, nonce=nonce)))
    return found


@pytest.fixture
def flooded(world: World) -> tuple[World, Member, Member, list[Block]]:
    """A node that keeps ten blocks beside its head of one peer, and forty that were made for it."""
    node, one = pair(world, Limits(forks=(0.001, 10.0)))
    world.partition("l", "n")
    world.mine("n", 2)
    return world, node, one, siblings(one, 40, world.now)


def kept(node: Member, blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if node.node.chain.entry(block.id) is not None]


def test_of_blocks_without_end_beside_others_so_many_are_kept(flooded):
    world, node, _, blocks = flooded
    head = node.head
    for block in blocks:
        hand(world, Blocks((block,)))
    assert len(kept(node, blocks)) == 10
    assert node.head == head
    assert node.reasons() == [], "each is valid: nobody can say who is to blame"


def test_full_blocks_beside_others_count_for_many(flooded):
    world, node, one, _ = flooded
    transfers = [world.transfer(one.node.chain.genesis_id) for _ in range(300)]
    blocks = siblings(one, 5, world.now, transfers)
    assert weight_of(blocks[0], 128.0) == 1 + 300 // 128 + len(blocks[0].data) // 2**17 == 3
    assert weight_of(blocks[0], 2.0) == 2.0, "a bucket that is full has room for any block"
    for block in blocks:
        hand(world, Blocks((block,)))
    assert len(kept(node, blocks)) == 3


def test_connecting_again_makes_no_room(flooded):
    world, node, _, blocks = flooded
    for block in blocks:
        hand(world, Blocks((block,)))
        come_back(world, node)
    assert len(kept(node, blocks)) == 10


def test_a_block_that_found_no_room_is_taken_once_its_branch_is_better(flooded):
    world, node, one, blocks = flooded
    for block in blocks:
        hand(world, Blocks((block,)))
    refused = next(block for block in blocks if node.node.chain.entry(block.id) is None)
    honest = world.member("h", mines=False)
    for entry in one.node.chain.branch(0):
        honest.node.receive_block(entry.block)
    honest.node.receive_block(refused)
    world.mine("h", 3)
    world.connect("h", "n")
    world.run(lambda: node.head == honest.head, ms=10_000)
    assert node.node.chain.entry(refused.id) is not None


def test_a_long_branch_after_a_partition_counts_as_one(world):
    node, one = pair(world, Limits(forks=(0.001, 1.0)))
    world.partition("l", "n")
    world.mine("n", 150)
    world.mine("l", 200)
    world.partition()
    node.peering.disconnected("l")
    one.peering.disconnected("n")
    world.connect("l", "n")
    world.run(lambda: node.head == one.head)


def test_new_heads_cost_nothing(world):
    """Of two blocks at one height the one with the lower hash is the head, whichever came first."""
    node, one = pair(world, Limits(forks=(0.001, 1.0)))
    world.partition("l", "n")
    for _ in range(5):
        rivals = sorted(siblings(one, 6, world.now), key=lambda block: int(block.id, 16), reverse=True)
        world.now += 1
        node.node.receive_block(rivals[0])
        for block in rivals[1:]:
            hand(world, Blocks((block,)))
            assert node.head == block.id
        one.node.receive_block(rivals[-1])
