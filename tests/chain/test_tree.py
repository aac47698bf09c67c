"""What is kept of the blocks of a tree."""

from __future__ import annotations

import pytest

from chain.blockchain import Blockchain
from tests.chain.growing import EASY, GENESIS, NOW, START, block_on, extend, finalise, transfer


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
