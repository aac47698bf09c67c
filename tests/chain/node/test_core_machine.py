"""Whatever happens to a node, in whatever order, it stays what its blocks say it is."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain import work
from chain.blockchain import Blockchain
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.errors import ChainError
from chain.finality import choose_vote
from chain.keys import Key
from chain.node import core
from chain.node.core import Node
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.state import BlockDraft
from chain.store import Store
from chain.transactions import Payload, Signed, Transfer, VoteCheckpoint, body_of, sign
from chain.tree import Entry

START = 1_700_000_000_000
PARAMS = replace(DEVELOPMENT, initial_target=work.compact_of(work.MAX_TARGET))
VALIDATORS = [Key(bytes([n]) * 32) for n in range(1, 5)]
RICH = Key(b"\x0b" * 32)
MINER = Address("0x" + "ab" * 20)
GENESIS = Genesis(
    "development", START, tuple(sorted(key.address for key in VALIDATORS)), ((RICH.address, 10**9),), "machine"
)


def mined(header: Header) -> Header:
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**24)
    assert nonce is not None
    return replace(header, nonce=nonce)


class NodeMachine(RuleBasedStateMachine):
    """A node with four honest validators, a rival miner, and a power switch."""

    @initialize()
    def begin(self) -> None:
        self.snapshots_every, core.SNAPSHOT_EVERY = core.SNAPSHOT_EVERY, 4
        self.now = START + 1
        self.store = Store(None)
        self.salts = itertools.count(1)
        self.last: dict[int, VoteCheckpoint] = {}
        self.acknowledged: set[str] = set()
        self.final = 0
        self.switch_on()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            core.SNAPSHOT_EVERY = self.snapshots_every
            self.store.close()

    def switch_on(self) -> None:
        self.node = Node(GENESIS, PARAMS, self.store, lambda: self.now, MINER)

    def signed(self, payload: Payload, key: Key) -> Signed:
        expires = 0 if isinstance(payload, VoteCheckpoint) else self.now + 3_000_000
        genesis = self.node.chain.genesis_id
        return sign(body_of(payload, key.address, genesis, f"{next(self.salts):032x}", expires), key)

    @rule(amount=st.integers(1, 50), to=st.sampled_from(VALIDATORS))
    def send(self, amount: int, to: Key) -> None:
        receipt = self.node.receive_transaction(self.signed(Transfer(to.address, amount), RICH).data)
        self.acknowledged.add(receipt.transaction)

    @rule(who=st.sets(st.integers(0, 3)))
    def vote(self, who: set[int]) -> None:
        head = self.node.head
        for index in who:
            vote = choose_vote(head.state, head.id, self.last.get(index))
            if vote is not None:
                self.last[index] = vote
                self.node.receive_transactions([self.signed(vote, VALIDATORS[index]).data])

    @rule(ms=st.integers(1, 400))
    def mine_what_is_due(self, ms: int) -> None:
        self.now += ms
        task = self.node.on_time()
        if task is not None:
            self.node.mined(task.number, mined(task.block.header).nonce)

    @precondition(lambda self: self.node.head.height > 0)
    @rule(back=st.integers(0, 3), length=st.integers(1, 4), data=st.data())
    def rival_branch(self, back: int, length: int, data: st.DataObject) -> None:
        parent: Entry | None = self.node.chain.at_height(max(0, self.node.head.height - back))
        waiting = list(self.node.pool.ordered())
        blocks = []
        for _ in range(length):
            if parent is None:
                break
            offered = data.draw(st.lists(st.sampled_from(waiting), unique=True)) if waiting else []
            block = self.rival_block(parent, offered)
            blocks.append(block)
            parent = self.node.chain.entry(block.id) if self.node.receive_block(block).accepted else None
        for block in blocks:
            assert not self.node.receive_block(block).accepted

    def rival_block(self, parent: Entry, offered: list[Signed]) -> Block:
        self.now = max(self.now, parent.time + 1)
        draft = BlockDraft(
            parent.state, parent=parent.id, height=parent.height + 1, time=self.now, params=PARAMS,
            ancestor=self.node.chain.ancestor(parent),
        )  # fmt: skip
        chosen = []
        for each in offered:
            try:
                draft.add(each)
            except ChainError:
                continue
            chosen.append(each)
        commitment = Commitment(parent.height + 1, MINER, draft.finish()[0].digest)
        root = merkle_root(commitment, chosen)
        header = mined(Header(1, parent.id, root, self.now, PARAMS.initial_target, 0))
        return Block(header, commitment, tuple(chosen))

    @rule()
    def restart(self) -> None:
        before = self.stand()
        self.switch_on()
        assert self.stand() == before

    def stand(self) -> tuple[object, ...]:
        node = self.node
        pending = sorted(waiting.signed.id for waiting in node.pool)
        return node.head.id, node.head.state.digest, node.chain.final.id, node.head.work, node.seq, pending

    @invariant()
    def replay_from_genesis_leads_to_the_same(self) -> None:
        if not hasattr(self, "node"):
            return
        fresh = Blockchain(GENESIS, PARAMS)
        for stored in self.store.blocks_above(0):
            fresh.add(Block.decode(stored.data, PARAMS.max_block_bytes), self.now)
        head = self.node.head
        assert (fresh.head.id, fresh.head.state.digest) == (head.id, head.state.digest)
        assert fresh.final.id == self.node.chain.final.id

    @invariant()
    def nothing_acknowledged_is_lost_and_nothing_final_comes_back(self) -> None:
        if not hasattr(self, "node"):
            return
        for each in self.acknowledged:
            standing = self.node.standing(each)
            assert standing is not None
            assert standing.status != "dropped"
        assert self.node.chain.final.height >= self.final
        self.final = self.node.chain.final.height
        paid = sum(self.node.head.state.accounts[key.address].balance
                   for key in [*VALIDATORS, RICH] if key.address in self.node.head.state.accounts)  # fmt: skip
        assert paid == 10**9

    @invariant()
    def disk_and_memory_agree(self) -> None:
        if not hasattr(self, "node"):
            return
        head = self.node.head
        assert self.store.branch_at(head.height) == head.id
        assert self.store.branch_at(head.height + 1) is None
        for entry in self.node.chain.branch(0):
            block = self.node.block(entry.id)
            assert block is not None
            assert not entry.bare or entry.height <= self.node.chain.final.height
            for position, signed in enumerate(block.transactions):
                place = self.store.included(signed.id)
                assert place is not None
                assert (place.block, place.position) == (entry.id, position)
        on_disk = {Signed.decode(data).id for _, data in self.store.pending()}
        assert {waiting.signed.id for waiting in self.node.pool} <= on_disk


NodeMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestNodeMachine = NodeMachine.TestCase
