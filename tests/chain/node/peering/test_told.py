"""What is told may cross what was asked for, and may have gaps: nobody honest is condemned for it."""

from __future__ import annotations

from chain.node.peering.gossip import last_run
from chain.node.peering.messages import AskBlocks, Blocks


def test_new_blocks_beside_one_that_was_asked_for_are_no_answer(world):
    world.member("a", mines=False)
    b = world.member("b", mines=False)
    world.connect("a", "b")
    world.mine("a", 2)
    world.filter = lambda _a, _b, message: not isinstance(message, Blocks)
    world.run(lambda: any(isinstance(message, AskBlocks) for _, _, message in world.sent))
    a = world.members["a"]
    asked = next(message for _, _, message in world.sent if isinstance(message, AskBlocks))
    world.mine("a", 1)
    blocks = tuple(a.node.block(height) for height in (1, 2, 3))
    assert set(asked.ids) < {block.id for block in blocks}
    b.peering.on_message("a", Blocks(blocks))
    assert b.reasons() == []
    assert b.head == a.head


def test_told_headers_follow_on_each_other(world):
    a = world.member("a", mines=False)
    world.mine("a", 6)
    blocks = {height: a.node.block(height) for height in range(1, 7)}
    assert last_run([blocks[n] for n in (1, 2, 4, 6, 5)]) == [blocks[4], blocks[5], blocks[6]]
    assert last_run([blocks[3]]) == [blocks[3]]
    assert last_run([]) == []
