"""Which snapshot a node starts from, and when it writes the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.keys import Key
from chain.node import core
from chain.store import Snapshot
from chain.transactions import Transfer
from tests.chain.node.sides import side_block


@pytest.fixture
def two(sim, net, monkeypatch):
    """A chain with two snapshots."""
    monkeypatch.setattr(core, "SNAPSHOT_EVERY", 5)
    for _ in range(8):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run()
    assert len(list(sim.store.snapshots())) == 2
    return sim


def test_a_snapshot_whose_state_is_not_its_blocks_is_passed_over(two):
    """Its row is sound: only the digest in the block tells."""
    newest, older = two.store.snapshots()
    with two.store.write():
        two.store.put_snapshot(replace(newest, data=older.data))
    head = two.node.head
    two.start()
    assert (two.node.head.id, two.node.head.state.digest) == (head.id, head.state.digest)
    assert two.node.chain.lowest == older.height


def test_a_snapshot_of_a_block_beside_the_branch_is_passed_over(two):
    """Its state is that block's indeed, but the block is no part of the chain."""
    newest, _ = two.store.snapshots()
    chain = two.node.chain
    side = side_block(two.node, chain.entry(newest.block), time_=two.now + 7)
    two.node.receive_block(side)
    entry = chain.entry(side.id)
    assert two.store.branch_at(entry.height) not in (None, side.id)
    with two.store.write():
        two.store.put_snapshot(Snapshot(side.id, entry.height, entry.state.snapshot()))
    assert next(two.store.snapshots()).block == side.id
    head = two.node.head
    two.start()
    assert two.node.head.id == head.id
    assert two.node.chain.lowest == newest.height


def test_with_much_in_the_state_a_snapshot_waits_for_a_quarter_as_many_transactions(make_sim, net, monkeypatch):
    monkeypatch.setattr(core, "SNAPSHOT_TRANSACTIONS", 8)
    accounts = {Key(number.to_bytes(32, "big")).address: 1 for number in range(1_000, 1_160)}
    base = net.genesis()
    sim = make_sim(genesis=replace(base, balances=tuple(sorted((dict(base.balances) | accounts).items()))))
    size = sim.node.head.state.size
    assert size > 160
    mined = added = 0
    while not sim.store.snapshot_height():
        assert mined <= size // 4, "no snapshot"
        for _ in range(5):
            sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run()
        blocks = [sim.node.block(height) for height in range(1, sim.node.head.height + 1)]
        added = sum(len(block.transactions) for block in blocks) - mined
        mined += added
    assert mined - added < size // 4 <= mined
