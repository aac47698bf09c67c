"""What is kept of the blocks of a tree."""

from __future__ import annotations

import pytest

from chain import blockchain
from chain.blockchain import Blockchain
from chain.schema import Hash
from chain.tree import Kind
from tests.chain.growing import EASY, GENESIS, NOW, START, block_on, extend, finalise, forged, transfer


def test_bodies_and_events_are_kept_of_what_may_still_leave_the_branch():
    """Blocks may be of megabytes: what is final, or beside it, needs no more than its header and its state."""
    chain = Blockchain(GENESIS, EASY)
    root = chain.head
    side = extend(chain, root, [transfer(chain)], time=START + 77)
    finalise(chain, root)
    late = extend(chain, root, [transfer(chain)], time=START + 99)
    final = chain.final
    assert final.height == 1
    assert {entry.height for entry in chain._tree.entries.values() if entry.bare} == {1}
    for entry in (final, chain.entry(side.id), chain.entry(late.id)):
        assert entry.bare
        assert entry.events == ()
        with pytest.raises(LookupError, match="read it from the database"):
            _ = entry.block.transactions
        with pytest.raises(LookupError, match="read it from the database"):
            entry.block.encode()
        assert entry.block.header.id == entry.id
    assert chain.add(block_on(chain, chain.head), NOW).connected


def test_blocks_that_wait_for_a_parent_go_when_they_are_too_low_for_any_branch(monkeypatch):
    monkeypatch.setattr(blockchain, "KEPT_BELOW_FINAL", 2)
    monkeypatch.setattr(blockchain, "PRUNE_EVERY", 1)
    chain = Blockchain(GENESIS, EASY)
    waiting = {}
    for height in range(1, 9):
        parent = Hash(f"{height:064x}")
        waiting[height] = forged(block_on(chain, chain.head), parent=parent, commitment={"height": height})
        assert chain.add(waiting[height], NOW).kind is Kind.ORPHAN
    for _ in range(3):
        finalise(chain, chain.head)
    assert chain.lowest == 5
    assert chain._tree.orphans == (waiting[6], waiting[7], waiting[8])
