"""What is so of every state, however it came about: invariants for machines that grow a chain at random."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import invariant

from chain.state import explain, record_digest


class Sound:
    """To be mixed into a machine that has its chain as `chain`."""

    chain: Any

    @invariant()
    def versions_are_consecutive(self) -> None:
        state = self.chain.state
        for model in state.models.values():
            numbers = sorted(version.number for version in state.versions.values() if version.model == model.name)
            assert numbers == list(range(1, model.versions + 1))
            assert model.in_service == model.versions

    @invariant()
    def what_is_open_has_a_deadline_and_says_what_it_waits_for(self) -> None:
        state = self.chain.state
        assert set(state.open_jobs) == {job.id for job in state.jobs.values() if job.is_open}
        for job in state.jobs.values():
            waiting = explain(job, state.time, state.validators)
            assert (waiting is None) == (not job.is_open)
            assert (job.closed is None) == job.is_open == (job.closed_height is None)
            if job.is_open and job.round_list:
                assert state.open_jobs[job.id] > state.time
                assert waiting is not None
                assert waiting["what"]
                assert waiting["who"]
                assert waiting["since"] <= state.time
            if job.state in ("rejected", "expired", "failed", "cancelled"):
                assert job.reason
            assert (job.state == "adopted") == (job.version is not None)

    @invariant()
    def a_job_s_record_holds_together(self) -> None:
        for job in self.chain.state.jobs.values():
            assert (job.state == "voting") <= (job.candidate is not None)
            if job.state == "voting":
                record_digest(job)
            previous = None
            for round_ in job.round_list:
                for update in round_.updates:
                    bases = {aggregate.artifact for aggregate in previous.aggregates} if previous else {None}
                    assert update.base in bases
                for aggregate in round_.aggregates:
                    assert aggregate.updates == tuple(update.id for update in round_.updates)
                assert round_.closed is not None or not round_.aggregates
                previous = round_
            leases = [p.lease.worker for p in job.round_list[-1].partitions if p.lease] if job.round_list else []
            assert not set(leases) & set(job.barred)
