"""A node on a network that aims at an interval between blocks."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from chain import work
from chain.blockchain import KEPT_BELOW_FINAL, PRUNE_EVERY
from chain.blocks import Block
from chain.client import NodeClient
from chain.errors import BadTarget
from chain.keys import Key
from chain.node.core import SNAPSHOT_EVERY
from chain.node.running import run
from chain.params import OPEN
from chain.schema import Address
from chain.transactions import Transfer
from chain.tree import Kind

#: Four hashes a block at first, two at least: these tests are about times.
TIMED = replace(
    OPEN,
    name="development",
    target_interval_ms=1_000,
    initial_target=work.compact_of(1 << 254),
    easiest_target=work.compact_of(work.MAX_TARGET),
)
N = TIMED.difficulty_window
A = Address("0x" + "01" * 20)


@pytest.fixture
def timed(make_sim):
    return make_sim(params=TIMED, mining_ms=900)


def headers(sim, height):
    return [sim.node.block(h).header for h in range(height + 1)]


def grow(sim, blocks):
    goal = sim.node.head.height + blocks
    sim.run(lambda: sim.node.head.height >= goal, steps=50 * blocks)


def finalise(sim):
    """Have the validators make what there is final."""
    before = sim.node.chain.final.height
    sim.send(Transfer(A, 1), sim_owner(sim))
    sim.run(lambda: sim.node.chain.final.height > before and sim.node.head.state.finality.settled)


def sim_owner(sim):
    key = Key((11).to_bytes(32, "big"))
    assert any(owner == key.address for owner, _ in sim.genesis.balances)
    return key


def test_it_mines_all_the_time(timed):
    grow(timed, 5)
    assert all(not each.transactions for each in map(timed.node.block, range(1, 6)))
    assert timed.node.next_time() is not None


def test_the_target_is_the_initial_one_for_n_blocks_and_then_follows_their_times(timed):
    grow(timed, N + 20)
    chain = headers(timed, N + 20)
    assert {header.target for header in chain[: N + 1]} == {TIMED.initial_target}
    for height in range(N + 1, N + 21):
        assert chain[height].target == work.next_target(TIMED, chain[height - N - 1 : height])
    # blocks come after 900 ms instead of 1000
    ratio = work.target_of(chain[N + 1].target) / work.target_of(chain[N].target)
    assert 0.89 < ratio < 0.91


def test_a_block_at_another_target_is_refused(timed):
    grow(timed, N + 3)
    block = timed.node.chain.build([], A, timed.now).block
    wrong = replace(block.header, target=block.header.target + 1)
    for nonce in range(1000):
        if work.meets(replace(wrong, nonce=nonce)):
            break
    result = timed.node.receive_block(Block(replace(wrong, nonce=nonce), block.commitment, ()))
    assert result.kind is Kind.INVALID
    assert isinstance(result.reason, BadTarget)


def test_the_target_is_known_though_the_blocks_it_follows_from_are_forgotten_or_not_loaded(timed):
    grow(timed, SNAPSHOT_EVERY + 5)
    finalise(timed)
    assert timed.node.chain.final.height > SNAPSHOT_EVERY
    assert timed.node.chain.lowest >= KEPT_BELOW_FINAL - PRUNE_EVERY
    lowest = timed.node.chain.at_height(timed.node.chain.lowest)
    assert lowest.recent == tuple(headers(timed, lowest.height)[-N - 1 :])
    expected = work.next_target(TIMED, headers(timed, timed.node.head.height))
    timed.start()
    assert timed.node.chain.lowest > SNAPSHOT_EVERY
    assert timed.node.head.height - timed.node.chain.lowest < N
    template = timed.node.chain.build([], A, timed.now)
    assert template.block.header.target == expected
    grow(timed, 3)


def test_a_block_being_mined_is_made_anew_with_what_has_come_in(timed):
    first = timed.node.on_time()
    assert timed.node.on_time() is first
    identifier = timed.send(Transfer(A, 1), sim_owner(timed))
    assert timed.node.on_time() is first
    assert timed.node.next_time() == timed.now + 1_000
    timed.now += 1_000
    second = timed.node.on_time()
    assert second.number != first.number
    assert second.block.header.time == timed.now
    assert [each.id for each in second.block.transactions] == [identifier]
    assert timed.node.on_time() is second
    assert timed.node.mined(first.number, 0) is None


def test_a_clock_that_is_set_back_does_not_leave_a_block_to_grow_old(timed):
    first = timed.node.on_time()
    timed.now -= 500
    second = timed.node.on_time()
    assert second.number != first.number
    assert timed.node.on_time() is second


def test_votes_that_come_while_the_next_block_is_mined_make_the_head_final_all_the_same(timed):
    timed.latency = lambda index: 100 * index
    finalise(timed)
    assert timed.node.head.height <= 4


def test_a_node_of_the_open_network_mines_without_being_asked_and_takes_up_after_a_restart(net, tmp_path):
    genesis = replace(net.genesis(), network=OPEN.name)
    height = 0
    for _ in range(2):
        stop, ready = threading.Event(), threading.Event()
        ports: list[int] = []

        def on_ready(port, ports=ports, ready=ready):
            ports.append(port)
            ready.set()

        thread = threading.Thread(target=run, args=(tmp_path, "127.0.0.1", 0, genesis, net.miner, stop, on_ready))
        thread.start()
        try:
            assert ready.wait(20)
            with closing(NodeClient(f"http://127.0.0.1:{ports[0]}", timeout=5)) as client:
                seen = client.chain()["height"]
                assert seen >= height
                page = client.events()
                while client.chain()["height"] <= seen:
                    page = client.events(page.next, wait=20)
                height = client.chain()["height"]
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()
