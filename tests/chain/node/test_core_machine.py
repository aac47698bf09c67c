"""Whatever happens to a node, in whatever order, it stays what its blocks say it is.

It mines, is handed rivals' branches, is restarted from its snapshot, from an older one, or without any; keeps few
blocks below the final one; jobs come, end and leave its state; validators come and go.  What it is then is what a fresh
node is that replays all its blocks from genesis and never forgot or restarted.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain import blockchain, work
from chain.blocks import Block
from chain.errors import ChainError
from chain.finality import choose_vote
from chain.keys import Key
from chain.node import core
from chain.node.core import Node
from chain.node.interface import Receipt
from chain.node.listing import WHICH
from chain.params import DEVELOPMENT
from chain.schema import Address
from chain.store import Store
from chain.transactions import CancelJob, Payload, Signed, Transfer, VoteCheckpoint, body_of, sign
from chain.tree import Entry
from tests.chain.node.acts import Act, People
from tests.chain.node.sides import mined, side_block

START = 1_700_000_000_000
PARAMS = replace(DEVELOPMENT, initial_target=work.compact_of(work.MAX_TARGET))
SUPPLY = 10**9
MINER = Address("0x" + "ab" * 20)
PEOPLE = People(Key(b"\x0b" * 32), tuple(Key(bytes([n]) * 32) for n in range(1, 7)))
GENESIS = PEOPLE.genesis(START, SUPPLY, "machine")
MODELS = ("iris", "wine")
EXPIRES_IN_MS = 3_000_000
picks = st.integers(0, 1_000)


class NodeMachine(RuleBasedStateMachine):
    """A node with its honest validators, a rival miner, and a power switch."""

    @initialize()
    def begin(self) -> None:
        self.few = ExitStack()  # so that a short run has snapshots and forgets blocks
        self.few.enter_context(patch.object(core, "SNAPSHOT_EVERY", 4))
        self.few.enter_context(patch.object(blockchain, "KEPT_BELOW_FINAL", 2))
        self.few.enter_context(patch.object(blockchain, "PRUNE_EVERY", 1))
        self.now = START + 1
        self.store = Store(None)
        self.salts = itertools.count(1)
        self.last: dict[Address, VoteCheckpoint] = {}
        self.acknowledged: dict[str, int] = {}
        self.final = 0
        self.switch_on()
        self.hand_in(*PEOPLE.registrations(MODELS[0]))
        self.everybody_votes_on_each_block(2)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            try:
                self.equals_a_replay_from_genesis()
            finally:
                self.few.close()
                self.store.close()

    def switch_on(self) -> None:
        self.node = Node(GENESIS, PARAMS, self.store, lambda: self.now, MINER)

    # What everybody does

    def signed(self, payload: Payload, key: Key) -> Signed:
        expires = 0 if isinstance(payload, VoteCheckpoint) else self.now + EXPIRES_IN_MS
        genesis = self.node.chain.genesis_id
        return sign(body_of(payload, key.address, genesis, f"{next(self.salts):032x}", expires), key)

    def hand_in(self, *acts: Act) -> list[Receipt | ChainError]:
        return self.node.receive_transactions([self.signed(*act) for act in acts])

    @rule(amount=st.integers(1, 50), to=st.sampled_from(PEOPLE.validators))
    def send(self, amount: int, to: Key) -> None:
        (receipt,) = self.hand_in((Transfer(to.address, amount), PEOPLE.owner))
        assert isinstance(receipt, Receipt)
        self.acknowledged[receipt.transaction] = self.now + EXPIRES_IN_MS

    @rule(name=st.sampled_from(MODELS))
    def register(self, name: str) -> None:
        self.hand_in(*PEOPLE.registrations(name))

    @precondition(lambda self: self.node.head.state.models)
    @rule(pick=picks, count=st.integers(1, 3))
    def open_jobs(self, pick: int, count: int) -> None:
        models = sorted(self.node.head.state.models)
        self.hand_in(*[PEOPLE.opening(models[(pick + number) % len(models)]) for number in range(count)])
        self.mine_what_is_due(1)

    @precondition(lambda self: self.node.head.state.open_jobs)
    @rule(pick=picks, steps=st.integers(1, 6))
    def work_on_a_job(self, pick: int, steps: int) -> None:
        """Up to its adoption."""
        jobs = sorted(self.node.head.state.open_jobs)
        for _ in range(steps):
            self.mine_what_is_due(1)
            job = self.node.head.state.jobs.get(jobs[pick % len(jobs)])
            if job is not None and job.is_open:
                self.hand_in(*PEOPLE.next_of(self.node.head.state, job))
        self.mine_what_is_due(1)

    @precondition(lambda self: self.node.head.state.jobs)
    @rule(pick=picks)
    def cancel_a_job(self, pick: int) -> None:
        jobs = sorted(self.node.head.state.jobs)
        self.hand_in((CancelJob(self.node.head.state.jobs[jobs[pick % len(jobs)]].id), PEOPLE.owner))

    @rule(number=st.integers(0, 5))
    def change_who_votes(self, number: int) -> None:
        self.hand_in(PEOPLE.admission(self.node.head.state, self.node.chain.genesis_id, number))
        self.mine_what_is_due(1)

    @rule(who=st.sets(st.integers(0, 5)))
    def vote(self, who: set[int]) -> None:
        self.cast(who)

    @rule(blocks=st.integers(2, 5))
    def everybody_votes_on_each_block(self, blocks: int) -> None:
        for _ in range(blocks):
            self.cast(set(range(6)))
            self.mine_what_is_due(200)

    def cast(self, who: set[int]) -> None:
        head = self.node.head
        for key in (PEOPLE.validators[index] for index in sorted(who)):
            vote = choose_vote(head.state, head.id, self.last.get(key.address))
            if vote is not None and any(each.weight(key.address) for each in head.state.voting_sets):
                self.last[key.address] = vote
                self.hand_in((vote, key))

    @rule(ms=st.integers(1, 400))
    def mine_what_is_due(self, ms: int) -> None:
        self.now += ms
        task = self.node.on_time()
        if task is not None:
            self.node.mined(task.number, mined(task.block.header).nonce)

    @rule(minutes=st.sampled_from((1, 2, 49, 61)))
    def time_passes(self, minutes: int) -> None:
        """Deadlines, leases, and what transactions are remembered for."""
        self.mine_what_is_due(60_000 * minutes)

    @precondition(lambda self: self.node.head.height > 0)
    @rule(back=st.integers(0, 3), length=st.integers(1, 4), data=st.data())
    def rival_branch(self, back: int, length: int, data: st.DataObject) -> None:
        parent: Entry | None = self.node.chain.at_height(max(0, self.node.head.height - back))
        waiting = list(self.node.pool.ordered())
        blocks: list[Block] = []
        for _ in range(length):
            if parent is None:
                break
            offered = data.draw(st.lists(st.sampled_from(waiting), unique=True)) if waiting else []
            self.now = max(self.now, parent.time + 1)
            block = side_block(self.node, parent, offered, self.now, all_apply=False)
            blocks.append(block)
            parent = self.node.chain.entry(block.id) if self.node.receive_block(block).accepted else None
        for block in blocks:
            assert not self.node.receive_block(block).accepted

    @rule(lost=st.integers(0, 2))
    def restart(self, lost: int) -> None:
        """From the newest snapshot, or with it damaged from the older one, or from genesis."""
        before = self.stand()
        with self.store.write():
            for snapshot in list(self.store.snapshots())[:lost]:
                self.store._writer.execute("UPDATE snapshots SET data = x'00' WHERE block = ?", (snapshot.block,))
        self.switch_on()
        assert self.stand() == before

    def stand(self) -> tuple[object, ...]:
        node = self.node
        pending = sorted(waiting.signed.id for waiting in node.pool)
        return node.head.id, node.head.state, node.chain.final.id, node.head.work, node.seq, pending, pages(node)

    # What holds

    @rule()
    def equals_a_replay_from_genesis(self) -> None:
        store = Store(None)
        with patch.object(core, "SNAPSHOT_EVERY", 256), patch.object(blockchain, "KEPT_BELOW_FINAL", 10_000):
            fresh = Node(GENESIS, PARAMS, store, lambda: self.now, MINER)
            blocks = [Block.decode(kept.data, PARAMS.max_block_bytes) for kept in self.store.blocks_above(0)]
            for block in blocks:
                fresh.receive_block(block)
        head, final = self.node.head, self.node.chain.final
        assert (fresh.head.id, fresh.head.work, fresh.head.state.digest) == (head.id, head.work, head.state.digest)
        assert fresh.head.state == head.state
        assert (fresh.chain.final.id, fresh.chain.final.state) == (final.id, final.state)
        assert pages(fresh) == pages(self.node)
        for table in ("branch", "names"):
            assert rows(store, table) == rows(self.store, table), table
        for signed in (signed for block in blocks for signed in block.transactions):  # of all branches
            assert store.included(signed.id) == self.store.included(signed.id)
        # A job stays in the archive when the block leaves the branch with which it left the state.
        assert rows(store, "jobs") <= rows(self.store, "jobs")
        store.close()

    @invariant()
    def nothing_acknowledged_is_lost_and_nothing_final_comes_back(self) -> None:
        if not hasattr(self, "node"):
            return
        for each, expires in self.acknowledged.items():
            standing = self.node.standing(each)
            if expires > max(self.now, self.node.head.time):
                assert standing is not None
                assert standing.status != "dropped"
        assert self.node.chain.final.height >= self.final
        self.final = self.node.chain.final.height
        assert sum(account.owned for account in self.node.head.state.accounts.values()) == SUPPLY

    @invariant()
    def what_is_over_leaves_and_is_found_all_the_same(self) -> None:
        if not hasattr(self, "node"):
            return
        state = self.node.head.state
        assert set(state.jobs) == {*state.open_jobs, *state.closed_jobs}
        found, _ = self.node.listing.jobs(state, "all", None, 1_000)
        assert len({job.id for job in found}) == len(found)
        for version in state.versions.values():
            job = self.node.listing.job(state, version.job)
            assert job is not None
            assert job.version == version.number
            assert job in found

    @invariant()
    def memory_is_bounded_and_agrees_with_the_disk(self) -> None:
        if not hasattr(self, "node"):
            return
        head, chain = self.node.head, self.node.chain
        assert self.store.branch_at(head.height) == head.id
        assert self.store.branch_at(head.height + 1) is None
        assert chain.lowest >= min(chain.final.height, self.store.snapshot_height()) - 3
        for entry in chain.branch(0):
            block = self.node.block(entry.id)
            assert block is not None
            assert not entry.bare or entry.height <= chain.final.height
            for position, signed in enumerate(block.transactions):
                place = self.store.included(signed.id)
                assert place is not None
                assert (place.block, place.position) == (entry.id, position)
        on_disk = {Signed.decode(data).id for _, data in self.store.pending()}
        assert {waiting.signed.id for waiting in self.node.pool} <= on_disk


def pages(node: Node) -> list[object]:
    """Everything that the API lists, page by page."""
    found: list[object] = []
    for which, newest in itertools.product(WHICH, (True, False)):
        after, more = None, True
        while more:
            jobs, after = node.listing.jobs(node.head.state, which, after, 2, newest)
            found += jobs
            more = after is not None
        found.append((which, newest))
    return [*found, node.listing.names("datasets", "", 9), node.listing.names("models", "", 9)]


def rows(store: Store, table: str) -> set[object]:
    columns = "id, height, state, data" if table == "jobs" else "*"
    return set(store._writer.execute(f"SELECT {columns} FROM {table}").fetchall())  # noqa: S608 - of this test's own


NodeMachine.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestNodeMachine = NodeMachine.TestCase
