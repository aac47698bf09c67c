"""Jobs that are over, and names: what follows the head's branch in the database."""

from __future__ import annotations

import pytest

from chain.errors import Conflict, Unknown
from chain.node import core
from chain.transactions import CancelJob, ClaimPartition, Transfer
from chain.tree import Kind
from tests.chain.node.sides import side_block


class TestJobsThatAreOver:
    @pytest.fixture
    def over(self, sim, net):
        """A job that was adopted and has left the state."""
        job = sim.whole_job()
        self.go_on(sim, net)
        assert job not in sim.node.head.state.jobs
        return job

    def go_on(self, sim, net):
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run()

    def shown(self, sim, which="all", newest=False):
        return sim.node.listing.jobs(sim.node.head.state, which, None, 10, newest)[0]

    def test_a_job_is_shown_as_it_was_when_it_left(self, sim, net):
        job = sim.whole_job()
        whole = sim.job(job)
        assert self.shown(sim) == [whole]
        self.go_on(sim, net)
        assert not sim.node.head.state.jobs
        assert self.shown(sim) == self.shown(sim, "adopted") == [whole]
        assert self.shown(sim, "open") == self.shown(sim, "failed") == []
        assert sim.node.listing.job(sim.node.head.state, job) == whole
        second = sim.open_job()
        sim.run(lambda: second in sim.node.head.state.jobs)
        assert [each.id for each in self.shown(sim, newest=True)] == [second, job]

    def test_a_restart_shows_the_same_from_a_snapshot_and_without_one(self, sim, net, over, monkeypatch):
        monkeypatch.setattr(core, "SNAPSHOT_EVERY", 1)
        self.go_on(sim, net)
        before = self.shown(sim)
        assert [each.id for each in before] == [over]
        for _ in range(2):
            sim.start()
            assert self.shown(sim) == before
            self.go_on(sim, net)
            with sim.store.write():
                sim.store._writer.execute("DELETE FROM snapshots")

    def test_a_reorganisation_of_the_block_with_which_it_left_loses_and_doubles_nothing(self, sim, net):
        job = sim.whole_job()
        before = self.shown(sim)
        parent = sim.node.head
        sim.alive = 0  # nothing becomes final any more
        sim.send(Transfer(net.validators[0].address, 5), net.owner)
        sim.run(lambda: sim.node.head.height > parent.height)
        assert job not in sim.node.head.state.jobs
        assert self.shown(sim) == before
        first = side_block(sim.node, parent, time_=sim.now + 7)
        sim.node.receive_block(first)
        second = side_block(sim.node, sim.node.chain.entry(first.id))
        assert sim.node.receive_block(second).kind is Kind.NEW_HEAD
        assert self.shown(sim) == before
        assert sim.node.listing.job(parent.state, job) == before[0]
        sim.start()
        assert self.shown(sim) == before

    def test_what_comes_too_late_is_refused_as_a_conflict(self, sim, net, over):
        (refused,) = sim.node.receive_transactions([sim.signed(CancelJob(over), net.owner).data])
        assert isinstance(refused, Conflict)
        assert "one that is over for good" in str(refused)
        (unknown,) = sim.node.receive_transactions([sim.signed(CancelJob(over[:-4] + "aaaa"), net.owner).data])
        assert isinstance(unknown, Unknown)

    def test_what_comes_just_before_the_job_leaves_is_refused_in_the_same_way(self, sim, net):
        job = sim.whole_job()
        assert job in sim.node.head.state.jobs
        (refused,) = sim.node.receive_transactions([sim.signed(CancelJob(job), net.owner).data])
        assert isinstance(refused, Conflict)

    def test_what_was_acknowledged_and_is_too_late_does_not_wait_until_it_expires(self, sim, net, over):
        """Unlike what names something that left the branch and may come back."""
        late = sim.signed(ClaimPartition(over, 1, 0, 0), net.workers[0])
        other = sim.signed(CancelJob(over[:-4] + "aaaa"), net.owner)
        with sim.store.write():
            sim.store.put_pending([(late.id, sim.now, late.data), (other.id, sim.now, other.data)])
        sim.start()
        assert sim.node.standing(late.id).status == "dropped"
        assert sim.node.standing(late.id).error.code == "conflict"
        assert sim.node.standing(other.id).status == "pending"
        assert sim.node.standing(other.id).error.code == "not_yet"


class TestNames:
    def test_names_follow_the_head(self, sim, net):
        sim.alive = 0
        sim.register()
        sim.run(lambda: "flowers" in sim.node.head.state.models)
        assert sim.node.listing.names("models", "", 5) == (["flowers"], None)
        parent = sim.node.chain.at_height(0)
        sim.node.pool.remove([waiting.signed.id for waiting in sim.node.pool])
        for _ in range(sim.node.head.height + 1):
            block = side_block(sim.node, parent, time_=sim.now + parent.height)
            sim.node.receive_block(block)
            parent = sim.node.chain.entry(block.id)
        assert sim.node.head is parent
        assert sim.node.listing.names("models", "", 5) == ([], None)
        assert sim.node.listing.names("datasets", "", 5) == ([], None)
        sim.run(lambda: "flowers" in sim.node.head.state.models)
        assert sim.node.listing.names("models", "", 5) == (["flowers"], None)
        assert sim.node.listing.names("datasets", "", 5) == (["iris"], None)
