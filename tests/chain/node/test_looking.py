"""What other threads see of a node while its writer is between the database and the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

from chain.node.api import create_app
from chain.node.core import Node
from chain.transactions import Transfer
from tests.chain.node.sides import side_block


def at_the_moment(node: Node, look: Callable[[], Any]) -> list[Any]:
    """What `look` found whenever a change was in the database, and not yet in the head."""
    found, commit = [], node.chain.commit

    def committing(tree: Any) -> None:
        found.append(look())
        commit(tree)

    node.chain.commit = committing  # type: ignore[method-assign]
    return found


def heights(sim: Any) -> set[int]:
    """Of the blocks that events tell of, over HTTP."""
    service = MagicMock(node=sim.node, store=sim.store, run="simulated")
    answered = create_app(service).test_client().get("/events?after=0").json
    assert answered is not None
    assert answered["height"] == sim.node.head.height
    return {event["height"] for event in answered["events"]}


def test_no_event_is_told_before_the_head_has_its_block(sim, net):
    """A validator that looked too early found the head it had voted for, and nothing ever woke it again."""
    told = at_the_moment(sim.node, lambda: (sim.node.head.height, heights(sim)))
    sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run()
    assert told == [(0, set()), (1, {1}), (2, {1, 2})]
    assert heights(sim) == {1, 2, 3}


def test_what_another_node_has_sent_stands_in_a_block_when_the_head_has_it(sim, net):
    sim.run()
    signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
    seen = at_the_moment(sim.node, lambda: sim.node.shown(signed.id).status)
    sim.node.receive_block(side_block(sim.node, sim.node.head, [signed]))
    assert seen == ["pending"]
    assert sim.node.shown(signed.id).status == "included"
    assert sim.node.shown(signed.id).signed == signed


def test_what_a_reorganisation_brings_back_is_known_all_the_time(sim, net):
    sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run(lambda: sim.node.shown(sent).status == "included")
    genesis = sim.node.chain.at_height(0)
    seen = at_the_moment(sim.node, lambda: sim.node.shown(sent).status)
    first = side_block(sim.node, genesis)
    sim.node.receive_block(first)
    sim.node.receive_block(side_block(sim.node, sim.node.chain.entry(first.id)))
    assert seen in (["included", "pending"], ["pending", "pending"])  # a block as high as the head may be better
    assert sim.node.shown(sent).status == "pending"
    assert sim.node.shown("0" * 64) is None
