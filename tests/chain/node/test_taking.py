"""What was acknowledged is not lost, and what waits costs no more than its share of the node's time."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest

from chain.blockchain import Blockchain
from chain.blocks import Block
from chain.errors import Expired, MempoolFull
from chain.finality import next_vote
from chain.keys import Key
from chain.mempool import Limits, Mempool
from chain.node.core import Node
from chain.schema import Hash
from chain.transactions import AdmitValidator, Signed, Transfer, VoteCheckpoint
from tests.chain.node.sides import side_block
from tests.chain.node.taken import taken


class Side:
    """A branch that grows beside the node's, with the votes of some validators, block after block."""

    def __init__(self, sim, voters=()) -> None:
        self.sim = sim
        self.voters = voters
        self.chain = Blockchain(sim.genesis, sim.params)
        self.last: dict[str, VoteCheckpoint] = {}
        self.votes: list[Signed] = []
        self.blocks: list[Block] = []

    def grow(self, blocks: int, *transactions: Signed) -> list[Block]:
        sim = self.sim
        for number in range(blocks):
            time = self.chain.head.time + 1
            template = self.chain.build([*self.votes, *(transactions if number == 0 else ())], sim.node.miner, time)
            block = Block(sim.search(template.block.header), template.block.commitment, template.block.transactions)
            self.chain.add(block, time)
            self.blocks.append(block)
            self.votes = list(filter(None, (self.vote(key) for key in self.voters)))
        return self.blocks

    def vote(self, key: Key) -> Signed | None:
        head = self.chain.head
        vote = next_vote(head.state.finality, head.id, head.height, self.last.get(key.address))
        if vote is None:
            return None
        self.last[key.address] = vote
        return self.sim.signed(vote, key)


def take(node: Node, blocks: list[Block]) -> None:
    for block in blocks:
        node.receive_block(block)


def funds(sim, net, count: int) -> list[Key]:
    """New wallets, each with a payment under way that waits for a block."""
    keys = [Key((1_000 + number).to_bytes(32, "big")) for number in range(count)]
    for key in keys:
        sim.send(Transfer(key.address, 5_000), net.owner)
    return keys


def test_who_spends_what_waits_behind_it_in_the_order_keeps_its_place(sim, net):
    """The 65th payment of one sender comes after everybody's first one, so also after what it pays for."""
    keys = funds(sim, net, 65)
    spent = sim.send(Transfer(net.owner.address, 10), keys[-1])
    sim.now += 1_000
    sim.send(Transfer(net.owner.address, 1), net.workers[0])
    assert sim.node.standing(spent).status == "pending"
    sim.run()
    assert sim.node.standing(spent).status == "final"


def test_who_spends_what_a_reorganisation_gives_back_keeps_its_place(sim, net):
    other = Side(sim)
    (key,) = funds(sim, net, 1)
    sim.run(lambda: sim.node.head.height == 1)
    spent = sim.send(Transfer(net.owner.address, 10), key)
    take(sim.node, other.grow(2, sim.signed(Transfer(net.owner.address, 1), net.workers[0])))
    assert sim.node.head.id == other.chain.head.id
    assert sim.node.standing(spent).status == "pending"
    sim.run()
    assert sim.node.standing(spent).status == "final"


@pytest.mark.parametrize("restarted", [False, True])
def test_votes_that_a_reorganisation_gives_back_do_not_keep_newer_ones_out(sim, net, monkeypatch, restarted):
    monkeypatch.setattr(Mempool.__init__, "__defaults__", (Limits(votes_per_sender=8),))
    sim.start()
    mine, theirs = Side(sim, net.validators[:2]), Side(sim, net.validators[2:])
    work = sim.signed(Transfer(net.owner.address, 1), net.workers[0])
    take(sim.node, mine.grow(20, work))
    take(sim.node, theirs.grow(22, work))
    assert sim.node.head.id == theirs.chain.head.id
    held = [each for each in sim.node.pool if each.signed.sender == net.validators[0].address]
    assert len(held) > 8
    if restarted:
        sim.start()
    # Both halves on one branch from now on, which the losers join with their next votes.
    theirs.last |= mine.last
    theirs.voters = net.validators
    for _ in range(4):
        sim.now = max(sim.now, theirs.chain.head.time)
        for signed in theirs.votes:
            assert taken(sim.node, signed.data).status == "pending"
        take(sim.node, theirs.grow(1)[-1:])
    assert sim.node.chain.final.height > 20
    sim.node.receive_transactions([])
    stored = {Signed.decode(data, sim.params.largest_transaction).id for _, data in sim.store.pending()}
    assert stored == {each.signed.id for each in sim.node.pool}


def test_what_is_full_of_votes_for_this_branch_takes_no_more(sim, net, monkeypatch):
    """Room is made of votes that no block can hold, and of no others."""
    monkeypatch.setattr(Mempool.__init__, "__defaults__", (Limits(votes_per_sender=1),))
    sim.start()
    side = Side(sim, net.validators[:1])
    blocks = side.grow(3, sim.signed(Transfer(net.owner.address, 1), net.workers[0]))
    take(sim.node, blocks)
    newest = side.votes[0]
    taken(sim.node, newest.data)
    link = VoteCheckpoint(blocks[0].id, 1, Hash("9" * 64), 99)
    with pytest.raises(MempoolFull):
        taken(sim.node, sim.signed(link, net.validators[0]).data)
    assert newest.id in sim.node.pool


def test_the_miner_hurries_past_a_height_that_validators_were_lured_to(sim, net):
    """They voted on a long branch that lost, and are silent until this one is as high."""
    sim.alive = 0
    lure = Side(sim, net.validators[:2])
    take(sim.node, lure.grow(40, sim.signed(Transfer(net.owner.address, 1), net.workers[1])))
    for signed in lure.votes:
        taken(sim.node, signed.data)
    other = Side(sim, net.validators[1:])  # one of them is at fault, so that this side has its justified block
    take(sim.node, other.grow(2, sim.signed(Transfer(net.owner.address, 1), net.workers[0])))
    head = sim.node.head
    assert head.id == other.chain.head.id, "the higher justified block"
    waits = []
    for _ in range(30):
        before, since = sim.node.head.height, sim.now
        sim.run(lambda before=before: sim.node.head.height > before)
        waits.append(sim.now - since)
    assert max(waits) <= sim.params.votes_wait_ms + 2 * sim.mining_ms + sim.params.rank_wait_ms
    sim.run(lambda: sim.node.head.height > 52)
    before, since = sim.node.head.height, sim.now
    sim.run(lambda: sim.node.head.height > before)
    assert sim.now - since > 2 * sim.params.votes_wait_ms, "above that height the waits double as ever"


def test_a_vote_for_a_height_that_no_block_has_sets_no_pace(sim, net):
    sim.alive = 0
    sim.send(Transfer(net.owner.address, 1), net.workers[0])
    sim.run(lambda: sim.node.head.height == 1)
    sim.run(lambda: sim.node.head.height == 12)
    for height in (12, 10**6):
        link = VoteCheckpoint(sim.node.chain.genesis_id, 0, Hash("9" * 64), height)
        sim.node.receive_transactions([sim.signed(link, net.validators[0]).data])
    since = sim.now
    sim.run(lambda: sim.node.head.height == 13)
    assert sim.now - since > 2 * sim.params.votes_wait_ms


def test_many_that_wait_are_asked_again_for_a_small_part_of_the_time(sim, net, monkeypatch):
    """Else each request would cost the node as much as all that waits."""
    asked = []
    recheck = Mempool.recheck
    monkeypatch.setattr(Mempool, "recheck", lambda *given: asked.append(sim.now) or recheck(*given))
    funds(sim, net, 200)
    asked.clear()
    started = sim.now
    while sim.now < started + 2_000:
        sim.now += 10
        sim.node.receive_transactions([b""])
    assert 5 <= len(asked) <= 10


def test_expiries_one_after_the_other_are_as_bounded(sim, net, monkeypatch):
    for number in range(200):
        signed = sim.signed(Transfer(net.owner.address, 1), net.workers[0], expires=sim.now + 10 * number + 300)
        taken(sim.node, signed.data)
    asked = []
    recheck = Mempool.recheck
    monkeypatch.setattr(Mempool, "recheck", lambda *given: asked.append(sim.now) or recheck(*given))
    started = sim.now
    while sim.now < started + 3_000:
        sim.now += 10
        sim.node.on_time()
    assert len(asked) <= 30
    assert len(sim.node.pool) == 0


def test_an_admission_for_a_set_to_come_waits_only_with_a_quorum_s_signatures(sim, net):
    change = AdmitValidator(9, net.owner.address, None, 1, ())
    digest = change.digest(sim.node.chain.genesis_id)
    signatures = ((net.owner.address, net.owner.sign(digest)),)
    answers = sim.node.receive_transactions([sim.signed(replace(change, signatures=signatures), net.owner).data])
    assert answers[0].code == "forbidden"
    keys = sorted(net.validators[:3], key=lambda key: key.address)
    signed = replace(change, signatures=tuple((key.address, key.sign(digest)) for key in keys))
    (answer,) = sim.node.receive_transactions([sim.signed(signed, net.owner).data])
    assert answer.status == "pending"


def test_what_was_acknowledged_on_a_branch_ahead_in_time_waits_for_its_time_on_another(sim, net):
    sim.alive, right = 0, sim.now
    sim.now = right + 3_000_000  # by this node's clock, and those of who uses it
    signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner, expires=sim.now + 1_200_000)
    sim.node.receive_transactions([signed])
    sim.run(lambda: sim.node.standing(signed.id).status == "included")
    sim.now, parent = right + 5_000, sim.node.chain.at_height(0)
    for number in range(3):
        block = side_block(sim.node, parent, time_=right + number)
        sim.node.receive_block(block)
        parent = sim.node.chain.entry(block.id)
    assert sim.node.head.id == parent.id
    standing = sim.node.standing(signed.id)
    assert (standing.status, standing.error.code) == ("pending", "not_yet")
    sim.now = right + 900_000
    sim.node.on_time()
    sim.run(lambda: sim.node.standing(signed.id).status == "included")


def test_the_reason_against_a_transaction_does_not_hold_it(sim, net):
    signed = sim.signed(Transfer(net.owner.address, 1), net.owner, sim.now - 1)
    freed = weakref.ref(signed)
    (answer,) = sim.node.receive_transactions([signed])
    del signed
    assert isinstance(answer, Expired)
    assert freed() is None
