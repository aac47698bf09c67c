"""What other threads see of a node while its writer is between the database and the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from chain.blockchain import Blockchain
from chain.blocks import Block
from chain.errors import Conflict
from chain.node import taking
from chain.node.api import create_app
from chain.node.core import Node
from chain.node.events import Bell
from chain.transactions import Transfer, VoteCheckpoint
from tests.chain.node.conftest import VALIDATORS, Sim
from tests.chain.node.sides import side_block


def at_the_moment(node: Node, look: Callable[[], Any]) -> list[Any]:
    """What `look` found whenever a change was in the database, and not yet in the head."""
    found, commit = [], node.chain.commit

    def committing(tree: Any) -> None:
        found.append(look())
        commit(tree)

    node.chain.commit = committing  # type: ignore[method-assign] # of this chain alone
    return found


def over_http(sim: Any, path: str) -> dict[str, Any]:
    """What the node answers; a bell that has closed ends every wait at once."""
    service = MagicMock(node=sim.node, store=sim.store, run="simulated", bell=Bell())
    service.bell.close()
    answered = create_app(service).test_client().get(path).json
    assert answered is not None
    return answered


def heights(sim: Any) -> set[int]:
    """Of the blocks that events tell of, as followers ask for them."""
    found = over_http(sim, "/events?after=0")
    assert found["height"] == sim.node.head.height
    waited = over_http(sim, "/events?after=0&wait=1")
    assert waited["events"] == found["events"]
    return {event["height"] for event in found["events"]}


def status(sim: Any, transaction: str) -> str:
    found = over_http(sim, f"/transactions/{transaction}")["status"]
    assert over_http(sim, f"/transactions/{transaction}?wait=1&until=final")["status"] == found
    return str(found)


def test_no_event_is_told_before_the_head_has_its_block(sim, net):
    """A validator that looked too early found the head it had voted for, and nothing ever woke it again."""
    told = at_the_moment(sim.node, lambda: (sim.node.head.height, heights(sim)))
    sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run()
    assert told == [(0, set()), (1, {1}), (2, {1, 2})]
    assert heights(sim) == {1, 2, 3}


def test_who_reads_while_the_head_changes_misses_no_event(sim, net):
    """What is left out must not be passed over by what is told: followers go on from there."""
    real, chain, told = sim.store.events, sim.node.chain, []

    def slowly(after: int, limit: int) -> Any:
        for number, event in enumerate(real(after, limit)):
            if number == 1:
                sim.node._seq = event.seq + 10  # as the writer does once the head is changed
            yield event

    def looking() -> None:
        sim.store.events = slowly
        told.append([event.seq for event in sim.node.events(0, 500)])
        sim.store.events = real

    assert chain.head.height == 0
    at_the_moment(sim.node, looking)
    sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run(lambda: chain.head.height == 1)
    assert told[0] == []


def test_what_was_dropped_and_forgotten_does_not_wait(sim, net, monkeypatch):
    monkeypatch.setattr(taking, "DROPPED_KEPT", 1)
    sent = [sim.send(Transfer(net.validators[0].address, amount), net.owner) for amount in (5, 6)]
    for each in sent:
        waiting = sim.node.pool.get(each)
        sim.node.pool.remove([each])
        sim.node._drop(waiting.signed, Conflict("a", "b"))
    assert sim.node.shown(sent[0]) is None
    assert sim.node.shown(sent[1]).status == "dropped"


def test_what_another_node_has_sent_stands_in_a_block_when_the_head_has_it(sim, net):
    sim.run()
    signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
    seen = at_the_moment(sim.node, lambda: (status(sim, signed.id), sim.node.shown(signed.id).signed))
    sim.node.receive_block(side_block(sim.node, sim.node.head, [signed]))
    assert seen == [("pending", signed)]
    assert status(sim, signed.id) == "included"
    assert sim.node.shown(signed.id).signed == signed


def test_what_a_reorganisation_brings_back_is_known_all_the_time(sim, net):
    sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run(lambda: sim.node.shown(sent).status == "included")
    genesis = sim.node.chain.at_height(0)
    seen = at_the_moment(sim.node, lambda: status(sim, sent))
    first = side_block(sim.node, genesis)
    sim.node.receive_block(first)
    sim.node.receive_block(side_block(sim.node, sim.node.chain.entry(first.id)))
    assert seen in (["included", "pending"], ["pending", "pending"])  # a block as high as the head may be better
    assert sim.node.shown(sent).status == "pending"
    assert sim.node.shown("0" * 64) is None


def finalised_elsewhere(sim: Any) -> list[Block]:
    """Three blocks on genesis of which the first is final, made at another node of the same network."""
    other = Sim(now=sim.now, alive=0)
    blocks, entries = [], [other.node.chain.at_height(0)]
    for number in range(3):
        votes = []
        if number:
            source, target = entries[-2:]
            vote = VoteCheckpoint(source.id, source.height, target.id, target.height)
            votes = [other.signed(vote, key) for key in VALIDATORS[:3]]
        blocks.append(side_block(other.node, entries[-1], votes))
        other.node.receive_block(blocks[-1])
        entries.append(other.node.chain.entry(blocks[-1].id))
    assert other.node.chain.final.height == 1
    return blocks


def test_what_a_reorganisation_makes_final_is_not_said_of_what_it_undoes(sim, net):
    """A validator would attest a version that was never adopted, a coordinator forget what was never final."""
    sim.alive = 0
    sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run(lambda: sim.node.shown(sent).status == "included")
    blocks, read = finalised_elsewhere(sim), sim.node.block

    def meanwhile(which: Any) -> Any:
        """The writer's work, while this thread reads the block that the transaction was in."""
        found, sim.node.block = read(which), read
        for block in blocks:
            sim.node.receive_block(block)
        return found

    sim.node.block = meanwhile
    assert status(sim, sent) == "pending"
    assert sim.node.chain.final.id == blocks[0].id


@pytest.mark.parametrize(
    "path",
    ["/finality", f"/accounts/0x{'11' * 20}", "/models", "/jobs", "/membership",
     "/evidence", "/chain", "/events?after=0"],
)
def test_head_and_final_block_of_an_answer_are_of_one_moment(sim, net, monkeypatch, path):
    sim.alive = 0
    sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run(lambda: sim.node.shown(sent).status == "included")
    blocks, head, busy = finalised_elsewhere(sim), Blockchain.head.fget, []

    def meanwhile(chain: Blockchain) -> Any:
        found = head(chain)
        if not busy:
            busy.append(1)
            for block in blocks:
                sim.node.receive_block(block)
        return found

    monkeypatch.setattr(Blockchain, "head", property(meanwhile))
    shown = over_http(sim, path)
    final = shown["final"]["height"] if path == "/chain" else shown["final_height"]
    assert final == (1 if shown["head"] == blocks[-1].id else 0)
