"""Who mines every block still cannot adopt a model, nor leave a final block, without the quorum's signatures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.blockchain import Kind
from chain.blocks import Block, Commitment
from chain.node.core import Node
from chain.params import DEVELOPMENT
from chain.schema import Address, Hash
from chain.state import State
from chain.store import Store
from chain.transactions import Signed, VoteCheckpoint, body_of, sign
from tests.chain.simulation.liars import forge, sealed
from tests.chain.simulation.scenarios import majority
from tests.chain.simulation.world import EASY, World
from tests.chain.state.conftest import Chain

MINER = Address("0x" + "ee" * 20)


class Owned(Chain):
    """A chain of real blocks in a real node, each of them made by one miner."""

    def __init__(self) -> None:
        super().__init__(replace(DEVELOPMENT, initial_target=EASY))
        self.node = Node(self.genesis, self.params, Store(None), lambda: self.time + 1_000, MINER)
        self.ids = [self.node.chain.genesis_id]

    def sign(self, sender, payload, **envelope):
        return super().sign(sender, payload, **({"genesis": self.ids[0]} | envelope))

    def block(self, *transactions: Signed, state: Hash | None = None) -> Block:
        """The block that the miner makes of them; `state`: what it claims the state to be then."""
        head = self.node.head
        time = self.time + 1
        draft = self.node.chain.draft(time)
        for signed in transactions:
            draft.add(signed)
        digest = draft.finish()[0].digest if state is None else state
        return sealed(head, Commitment(head.height + 1, MINER, digest), transactions, time, self.params)

    def mine(self, *transactions: Signed, after: int = 1) -> State:
        block = self.block(*transactions)
        result = self.node.receive_block(block)
        assert result.kind is Kind.NEW_HEAD, result
        self.states.append(self.node.head.state)
        self.ids.append(self.node.head.id)
        return self.state

    def tries(self, block: Block) -> str:
        """The rule that the node names when it refuses the block."""
        head = self.node.head.id
        result = self.node.receive_block(block)
        assert result.kind is Kind.INVALID
        assert self.node.head.id == head
        return result.reason.code


@pytest.fixture(scope="module")
def candidate() -> tuple[Owned, str]:
    chain = Owned()
    chain.register()
    return chain, chain.candidate()


def test_all_blocks_and_half_of_the_votes_adopt_nothing(candidate):
    chain, job = candidate
    chain.votes(job, "approve", count=2)
    for _ in range(10):
        chain.mine()
    assert chain.policy().in_service == 0

    vote = chain.vote(job, "approve")
    own = chain.sign("mallory", vote)
    missing = chain.validators[2]
    body = body_of(vote, missing.address, chain.ids[0], "0" * 32, chain.time + 60_000)
    stolen = Signed(body, chain.sign("mallory", vote).signature)
    assert chain.tries(chain.block(state=Hash("5c" * 32))) == "bad_state_digest"
    head = chain.node.head
    for signed in (own, stolen):
        commitment = Commitment(head.height + 1, MINER, Hash("5c" * 32))
        assert chain.tries(sealed(head, commitment, (signed,), chain.time + 1, chain.params)) == "bad_transaction"
    # It cannot say either that the quorum was there: the state is what follows from the body.
    adopted = chain.block(sign(body, missing)).commitment.state
    assert chain.tries(chain.block(state=adopted)) == "bad_state_digest"
    assert chain.policy().in_service == 0

    chain.mine(sign(body, missing))
    assert chain.policy().in_service == 1, "with the third of four it is adopted"
    assert chain.node.chain.final.height == 0, "and not final: that takes the validators' votes on blocks"


def test_a_longer_branch_from_below_a_final_block_is_not_followed():
    chain = Owned()
    chain.mine()
    for _ in range(2):
        head = chain.node.head
        finality = head.state.finality
        vote = VoteCheckpoint(finality.justified_hash, finality.justified_height, head.id, head.height)
        chain.mine(*(chain.sign(key, vote) for key in chain.validators[:3]))
    assert chain.node.chain.final.height == 1
    world = World(1, 1)
    world.params = chain.params
    entry = chain.node.chain.at_height(0)
    head = chain.node.head.id
    for _ in range(12):
        entry = forge(world, chain.node.chain, entry, (), MINER, entry.time + 1)
        result = chain.node.receive_block(entry.block)
        assert result.kind is not Kind.NEW_HEAD
    assert chain.node.head.id == head


def test_rewriting_is_tried_behind_final_blocks():
    """What the seeds of majorities rest on: there is something final to attack, and the honest still get through."""
    final, mined = 0, 0
    for seed in range(8, 68, 10):
        world = majority(seed)
        attacks = [what for _, who, what in world.trace if who == "m"]
        final += any("from height 0," not in what for what in attacks)
        member = next(iter(world.members.values()))
        mined += sum(entry.block.commitment.miner == MINER for entry in member.node.chain.branch(0))
    assert final >= 2
    assert mined >= 10
