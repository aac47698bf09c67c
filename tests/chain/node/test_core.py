"""The node's logic on a simulated network."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace

import pytest

from chain.database import StoreError
from chain.errors import Conflict, InsufficientBalance, InvalidSignature, WrongNetwork
from chain.node import core, taking
from chain.node.core import Node
from chain.schema import Hash
from chain.store import Store
from chain.transactions import CancelJob, ClaimPartition, Signed, Transfer, sign
from chain.tree import Kind
from tests.chain.node.sides import side_block
from tests.chain.node.taken import taken


def stand(node: Node) -> dict[str, object]:
    """All that a restart must not change."""
    return {
        "head": node.head.id,
        "digest": node.head.state.digest,
        "final": node.chain.final.id,
        "justified": node.chain.justified.id,
        "work": node.head.work,
        "pending": sorted(waiting.signed.id for waiting in node.pool),
        "seq": node.seq,
    }


class TestPace:
    def test_a_whole_job_is_adopted_and_final_and_then_the_chain_stands_still(self, sim):
        began = time.process_time()
        job = sim.whole_job()
        spent = time.process_time() - began
        assert sim.job(job).state == "adopted"
        assert sim.node.head.state.finality.settled
        assert sim.node.next_time() is None
        assert spent < 0.5  # 0.03 where nobody else computes

    def test_an_idle_chain_mines_nothing(self, sim, net):
        sim.run()
        assert sim.node.head.height == 0

    @pytest.mark.parametrize("latency", [1, 5, 40, 120, 190])
    @pytest.mark.parametrize("alive", [3, 4])
    def test_a_transfer_is_final_after_three_blocks(self, make_sim, net, latency, alive):
        chance = random.Random(latency)
        sim = make_sim(latency=lambda _: chance.randint(1, latency), alive=alive)
        began = sim.now
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run()
        assert sim.node.chain.final.height >= 1
        assert sim.node.head.state.finality.settled
        assert sim.node.head.height == 3
        assert sim.now - began <= 2 * latency + 4 * sim.mining_ms

    @pytest.mark.parametrize("latency", [300, 500])
    def test_slow_votes_finalise_too(self, make_sim, net, latency):
        sim = make_sim(latency=lambda index: latency + index)
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run()
        assert sim.node.head.state.finality.settled
        assert sim.node.head.height < 30

    def test_without_a_quorum_the_waits_grow_to_ten_seconds(self, make_sim, net):
        sim = make_sim(alive=2)
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 40)
        times = [sim.node.chain.at_height(h).time for h in range(1, 41)]
        waits = [after - before for before, after in itertools.pairwise(times)]
        assert 200 <= waits[0] < 250
        assert all(10_000 <= wait < 10_050 for wait in waits[-10:])
        assert sim.node.chain.final.height == 0

    def test_a_quorum_that_comes_back_finalises(self, make_sim, net):
        sim = make_sim(alive=2)
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 12)
        sim.alive = 4
        sim.run()
        assert sim.node.head.state.finality.settled

    def test_a_passed_deadline_is_mined_by_itself(self, sim):
        sim.register()
        sim.run()
        job = sim.open_job()
        sim.run()
        assert sim.job(job).state == "expired"
        assert sim.node.head.state.finality.settled
        assert sim.node.next_time() is None


    def test_a_clock_that_is_set_back_mines_nothing_that_would_only_be_held(self, sim, net):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 1)
        sim.now -= 3_600_000
        sim.start()
        other = sim.signed(Transfer(net.validators[0].address, 6), net.owner, expires=sim.now + 7_000_000)
        taken(sim.node, other.data)
        caught_up = sim.node.head.time + 1 - sim.params.max_future_ms
        assert sim.node.on_time() is None
        assert sim.node.next_time() == caught_up
        sim.run()
        assert sim.node.head.state.finality.settled
        assert sim.node.chain.early == ()
        assert sim.node.chain.at_height(2).time == sim.node.chain.at_height(1).time + 1

    def test_a_clock_that_is_set_back_a_little_makes_nothing_wait_for_it(self, sim, net):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 1)
        sim.now -= 10_000
        assert sim.node.next_time() <= sim.now + sim.params.votes_wait_ms
        taken(sim.node, sim.signed(Transfer(net.validators[0].address, 6), net.owner).data)
        assert sim.node.next_time() <= sim.now

    def test_what_expires_soon_is_taken_after_the_clock_was_set_back(self, sim, net):
        sim.now += 60_000
        with pytest.raises(InsufficientBalance):
            sim.send(Transfer(net.validators[0].address, 2**40), net.owner)
        sim.now -= 10_000
        soon = sim.signed(Transfer(net.validators[0].address, 5), net.owner, expires=sim.now + 5_000)
        assert taken(sim.node, soon.data).status == "pending"


class TestTransactions:
    def test_again_is_acknowledged_again(self, sim, net):
        signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
        assert taken(sim.node, signed.data).status == "pending"
        assert taken(sim.node, signed.data).status == "pending"
        sim.run(lambda: sim.node.head.height == 1)
        assert taken(sim.node, signed.data).status == "included"
        sim.run()
        assert taken(sim.node, signed.data).status == "final"
        assert sim.node.head.state.accounts[net.validators[0].address].balance == 5

    def test_a_forgery_of_one_that_is_here_is_refused(self, sim, net):
        signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
        taken(sim.node, signed.data)
        other = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
        with pytest.raises(InvalidSignature):
            taken(sim.node, Signed(signed.body, other.signature).data)

    def test_each_of_many_gets_its_own_answer(self, sim, net):
        good = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
        poor = sim.signed(Transfer(net.validators[0].address, 5_000_000), net.owner)
        foreign = sign(replace(good.body, genesis=Hash("1" * 64)), net.owner)
        answers = sim.node.receive_transactions([good.data, poor.data, b"\xf6", foreign.data])
        assert answers[0].transaction == good.id
        assert [type(each) for each in answers[1::2]] == [InsufficientBalance, WrongNetwork]
        assert answers[2].code == "invalid_encoding"

    def test_the_second_of_two_that_collide_while_they_wait_is_refused(self, sim, net):
        receiver = net.validators[0].address
        sim.send(Transfer(receiver, 900_000), net.owner)
        with pytest.raises(InsufficientBalance):
            sim.send(Transfer(receiver, 900_000), net.owner)

    def test_is_checked_against_the_time_it_comes_at(self, sim, net):
        sim.register()
        sim.run()
        job = sim.open_job()
        sim.run(lambda: job in sim.node.head.state.jobs and sim.job(job).seed is not None)
        first, second = net.workers
        sim.send(ClaimPartition(job, 0, 0, 0), first)
        sim.run(lambda: sim.node.head.state.finality.settled)
        with pytest.raises(Conflict):
            sim.send(ClaimPartition(job, 0, 0, 0), second)
        sim.now += sim.params.lease_ms
        assert sim.send(ClaimPartition(job, 0, 0, 0), second)

    def test_one_that_expires_while_it_waits_is_dropped_and_says_so(self, sim, net):
        sim.register()
        sim.run()
        job = sim.open_job()
        sim.run(lambda: job in sim.node.head.state.jobs)
        # A claim of an attempt that has not begun waits for it, as long as it may.
        early = sim.signed(ClaimPartition(job, 1, 0, 0), net.owner, expires=sim.now + 50)
        assert taken(sim.node, early.data).status == "pending"
        sim.run()
        standing = sim.node.standing(early.id)
        assert (standing.status, standing.error.code) == ("dropped", "expired")
        sim.start()
        assert early.id not in sim.node.pool

    def test_the_memory_of_what_was_dropped_is_bounded_in_bytes(self, sim, net, monkeypatch):
        sim.register()
        sim.run()
        job = sim.open_job()
        sim.run(lambda: job in sim.node.head.state.jobs)
        early = [sim.signed(ClaimPartition(job, 1, 0, n), net.owner, expires=sim.now + 50) for n in range(4)]
        monkeypatch.setattr(taking, "DROPPED_BYTES", 2 * len(early[0].data))
        sim.node.receive_transactions([each.data for each in early])
        sim.run()
        kept = [each for each in map(sim.node.standing, [each.id for each in early]) if each is not None]
        assert [each.status for each in kept] == ["dropped"] * 2
        assert all(each.error.__traceback__ is None for each in kept)

    def test_a_disk_that_refuses_leaves_nothing_in_memory(self, sim, net, monkeypatch):
        signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)

        def full(_):
            raise OSError("disk full")

        monkeypatch.setattr(sim.store, "put_pending", full)
        with pytest.raises(OSError, match="disk full"):
            taken(sim.node, signed.data)
        assert sim.node.standing(signed.id) is None
        assert sim.node.next_time() is None
        monkeypatch.undo()
        assert taken(sim.node, signed.data).status == "pending"

    def test_a_disk_that_refuses_a_block_leaves_the_head(self, sim, net, monkeypatch):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        before = stand(sim.node)
        monkeypatch.setattr(sim.store, "put_events", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sim.run()
        assert stand(sim.node) == before
        assert sim.store.branch_at(1) is None


class TestReorganisation:
    def test_transactions_of_the_branch_that_lost_return_and_are_mined_again(self, sim, net):
        sim.alive = 0
        receiver = net.validators[0].address
        sent = sim.send(Transfer(receiver, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 1)
        assert sim.node.standing(sent).status == "included"
        root = sim.node.chain.at_height(0)
        first = side_block(sim.node, root, time_=sim.now + 7)
        sim.node.receive_block(first)
        entry = sim.node.chain.entry(first.id)
        result = sim.node.receive_block(side_block(sim.node, entry))
        assert result.kind is Kind.NEW_HEAD
        assert sim.node.standing(sent).status == "pending"
        assert receiver not in sim.node.head.state.accounts
        kinds = [(e.kind, e.undone) for e in sim.store.events(0, 100)]
        assert ("reorganisation", False) in kinds
        assert kinds.count(("transfer", False)) == kinds.count(("transfer", True))
        sim.run(lambda: sim.node.standing(sent).status == "included")
        assert sim.node.head.state.accounts[receiver].balance == 5

    def test_a_full_mempool_has_room_for_what_returns(self, sim, net):
        sim.alive = 0
        sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height == 1)
        sim.node.pool._limits = replace(sim.node.pool._limits, transactions=0)
        root = sim.node.chain.at_height(0)
        first = side_block(sim.node, root, time_=sim.now + 7)
        sim.node.receive_block(first)
        sim.node.receive_block(side_block(sim.node, sim.node.chain.entry(first.id)))
        assert sim.node.standing(sent).status == "pending"

    def test_the_task_is_given_up_when_the_head_changes(self, sim, net):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        task = sim.node.on_time()
        assert task is not None
        assert sim.node.on_time() is task
        sim.node.receive_block(side_block(sim.node, sim.node.head))
        assert sim.node.mined(task.number, 0) is None
        assert sim.node.on_time().number == task.number + 1

    def test_new_things_are_passed_on_once(self, sim, net):
        told = []

        class Heard:
            def transactions(self, signed):
                told.append([each.id for each in signed])

            def blocks(self, blocks):
                told.append([each.id for each in blocks])

        node = Node(sim.genesis, sim.params, Store(None), lambda: sim.now, net.miner, Heard())
        signed = sim.signed(Transfer(net.validators[0].address, 5), net.owner)
        taken(node, signed.data)
        taken(node, signed.data)
        block = side_block(node, node.head)
        node.receive_block(block)
        node.receive_block(block)
        assert told == [[signed.id], [block.id]]

    def test_an_early_block_is_taken_up_at_its_time(self, sim):
        block = side_block(sim.node, sim.node.head, time_=sim.now + 20_000)
        assert sim.node.receive_block_bytes(block.encode()).kind is Kind.EARLY
        assert sim.node.next_time() == sim.now + 5_000
        sim.run()
        assert sim.node.head.id == block.id


class TestRestart:
    def test_changes_nothing(self, sim, net):
        sim.whole_job()
        sent = sim.send(Transfer(net.validators[0].address, 5), net.owner)
        before = stand(sim.node)
        assert sent in before["pending"]
        sim.start()
        assert stand(sim.node) == before
        sim.run()
        assert sim.node.head.state.finality.settled

    def test_replays_from_the_newest_snapshot(self, sim, net, monkeypatch):
        monkeypatch.setattr(core, "SNAPSHOT_EVERY", 5)
        for _ in range(8):
            sim.send(Transfer(net.validators[0].address, 5), net.owner)
            sim.run()
        assert len(list(sim.store.snapshots())) == 2
        before = stand(sim.node)
        sim.start()
        assert stand(sim.node) == before
        assert sim.node.chain.lowest == sim.store.snapshot_height() > 0
        assert sim.node.block(1) is not None

    def test_many_transactions_make_a_snapshot_before_many_blocks_do(self, sim, net, monkeypatch):
        """So a start replays a bounded number of either."""
        monkeypatch.setattr(core, "SNAPSHOT_TRANSACTIONS", 20)
        for _ in range(4):
            for _ in range(10):
                sim.send(Transfer(net.validators[0].address, 5), net.owner)
            sim.run()
            before = stand(sim.node)
            sim.start()  # what is counted survives it
            assert stand(sim.node) == before
            assert sim.node._replayed <= 40
        assert 0 < sim.store.snapshot_height() < core.SNAPSHOT_EVERY

    def test_a_damaged_snapshot_is_passed_over(self, sim, net, monkeypatch):
        monkeypatch.setattr(core, "SNAPSHOT_EVERY", 5)
        for _ in range(8):
            sim.send(Transfer(net.validators[0].address, 5), net.owner)
            sim.run()
        newest, older = sim.store.snapshots()
        with sim.store.write():
            sim.store._writer.execute("UPDATE snapshots SET data = x'00' WHERE block = ?", (newest.block,))
        before = stand(sim.node)
        sim.start()
        assert stand(sim.node) == before
        assert sim.node.chain.lowest == older.height

    def test_another_networks_database_is_refused(self, sim, net):
        with pytest.raises(StoreError, match="another data folder"):
            Node(replace(sim.genesis, time=sim.genesis.time + 1), sim.params, sim.store, lambda: sim.now, net.miner)

    def test_a_cancelled_job_is_as_final_as_any(self, sim, net):
        sim.register()
        sim.run()
        job = sim.open_job()
        sim.run(lambda: job in sim.node.head.state.jobs)
        sim.send(CancelJob(job), net.owner)
        sim.run()
        assert sim.node.chain.final.state.jobs[job].state == "cancelled"


def test_what_waits_on_an_old_head_still_waits_after_a_restart(sim, net):
    sim.now += 10 * 3_600_000  # far from the head's time: drafted then, it would expire too late
    identifier = sim.send(Transfer(net.miner, 1), net.owner)
    sim.start()
    standing = sim.node.standing(identifier)
    assert standing is not None
    assert standing.status == "pending"
