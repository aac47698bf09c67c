"""What who mines most blocks, or all, can do and what not: the claims of docs/trust.md, each with its test."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from chain import work
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
from tests.chain.state.conftest import Chain, cid

MINER = Address("0x" + "ee" * 20)


class Owned(Chain):
    """A chain of real blocks in a real node, each of them made by one miner."""

    def __init__(self) -> None:
        super().__init__(replace(DEVELOPMENT, initial_target=EASY))
        self.node = Node(self.genesis, self.params, Store(None), lambda: self.time + 1_000, MINER)
        self.ids = [self.node.chain.genesis_id]

    def sign(self, sender, payload, **envelope):
        return super().sign(sender, payload, **({"genesis": self.ids[0]} | envelope))

    def block(self, *transactions: Signed, state: Hash | None = None, after: int = 1) -> Block:
        """The block that the miner makes of them; `state`: what it claims the state to be then."""
        head = self.node.head
        time = self.time + after
        draft = self.node.chain.draft(time)
        for signed in transactions:
            draft.add(signed)
        digest = draft.finish()[0].digest if state is None else state
        return sealed(head, Commitment(head.height + 1, MINER, digest), transactions, time, self.params)

    def mine(self, *transactions: Signed, after: int = 1) -> State:
        block = self.block(*transactions, after=after)
        return self.publish(block)

    def publish(self, block: Block) -> State:
        """A block that the node takes."""
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


# ---------------------------------------------------------------------- what it can do


@pytest.fixture
def chain() -> Owned:
    return Owned()


def test_it_can_delay_and_leave_out_what_it_likes(chain):
    """For as long as it makes all blocks; what it left out waits at every node, for the first block of another."""
    waiting = chain.sign("alice", chain.dataset(), expires=chain.time + 60_000)
    chain.node.receive_transactions([waiting])
    for _ in range(20):
        chain.mine(after=100)
    assert chain.node.standing(waiting.id).status == "pending"
    assert not chain.state.datasets
    honest = chain.node.chain.build(chain.node.pool.ordered(), Address("0x" + "ab" * 20), chain.time + 1)
    assert [each.id for each in honest.block.transactions] == [waiting.id]


def test_it_can_delay_until_it_is_too_late(chain):
    """A sender that sees it expired signs anew; what depends on a deadline is lost."""
    waiting = chain.sign("alice", chain.dataset(), expires=chain.time + 2_000)
    chain.node.receive_transactions([waiting])
    chain.mine(after=3_000)
    standing = chain.node.standing(waiting.id)
    assert (standing.status, standing.error.code) == ("dropped", "expired")
    commitment = Commitment(chain.node.head.height + 1, MINER, Hash("5c" * 32))
    forced = sealed(chain.node.head, commitment, (waiting,), chain.time + 1, chain.params)
    assert chain.tries(forced) == "bad_transaction", "nor can it bring it now"


def test_it_can_reorder(chain):
    """Of two who want one name the one it prefers has it, whoever was first."""
    first, second = chain.sign("alice", chain.dataset()), chain.sign("bob", chain.dataset(data=cid("bob's")))
    _, answer = chain.node.receive_transactions([first, second])
    assert answer.code == "conflict", "the name is the first one's, by what waits"
    chain.mine(second)
    assert chain.state.datasets["iris"].owner == chain.address("bob")
    assert chain.node.standing(first.id).error.code == "conflict"


def test_it_can_grind_a_seed_at_one_block_s_work_a_try(chain):
    """It throws blocks away until it likes the seed that follows; nobody else can, and it cannot choose freely."""
    chain.register()
    opened = chain.sign("owner", chain.job())
    block, tries, liked = chain.block(opened), 0, False
    while not liked:
        tries += 1
        header = replace(block.header, nonce=block.header.nonce + 1)
        while not work.meets(header):
            header = replace(header, nonce=header.nonce + 1)
        block = replace(block, header=header)
        liked = hashlib.sha256(f"{opened.id}{block.id}".encode()).hexdigest().startswith("0")
    chain.publish(block)
    chain.mine()
    assert chain.get(opened.id).seed.startswith("0")
    assert tries > 1, "sixteen on average"


def test_it_can_let_block_time_run_ahead_but_not_far(chain):
    """Leases lapse and deadlines pass that much early; a block further ahead is held by every node until then."""
    head = chain.node.head.id
    assert chain.params.max_future_ms == 15_000
    late = chain.block(after=1_000 + 15_001)
    assert chain.node.receive_block(late).kind is Kind.EARLY
    assert chain.node.head.id == head
    chain.mine(after=1_000 + 15_000)


def test_with_six_blocks_of_ten_it_slows_others_and_stops_nobody():
    """All that was acknowledged gets through while it mines, drops checkpoint votes and rewrites."""
    mined = every = 0
    for seed in range(8, 128, 10):
        world = majority(seed)  # which raises where something acknowledged is not final in the end
        for entry in next(iter(world.members.values())).node.chain.branch(0):
            every += 1
            mined += entry.block.commitment.miner == MINER
    assert 0.25 * every < mined < 0.75 * every
