"""Jobs leave the state when they are closed and that is final; what is said of them afterwards is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.errors import Conflict, Unknown
from chain.params import DEVELOPMENT
from chain.state import State, compacted
from chain.transactions import CancelJob, ReportFailure, VoteCheckpoint


@pytest.fixture
def closed(registered: Any) -> str:
    """A job that was adopted by the last block, which is not final."""
    job: str = registered.candidate()
    registered.votes(job, "approve")
    assert registered.get(job).state == "adopted"
    return job


def test_a_closed_job_stays_while_its_end_is_not_final(registered: Any, closed: str) -> None:
    for _ in range(3):
        registered.mine()
    assert dict(registered.state.closed_jobs) == {closed: registered.get(closed).closed_height}
    refused = registered.refuse(Conflict, "owner", CancelJob(closed))
    assert "a job that is training" in str(refused)


def test_it_leaves_with_the_block_after_the_one_that_says_it_is_final(registered: Any, closed: str) -> None:
    whole = registered.get(closed)
    registered.finalise()
    assert registered.state.finality.final_height >= whole.closed_height
    assert registered.state.jobs[closed] == whole
    registered.mine()
    state = registered.state
    assert not state.jobs
    assert not state.closed_jobs
    assert registered.archive == {closed: whole}
    assert compacted(registered.states[-2], state) == (whole,)
    # What it led to is all there.
    version = state.versions["flowers@1"]
    assert (version.job, state.models["flowers"].in_service) == (closed, 1)


def test_it_stays_while_the_block_before_its_last_one_is_the_last_that_is_final(registered: Any) -> None:
    job = registered.open()
    for last in ([registered.sign("owner", CancelJob(job))], []):
        finality, height = registered.state.finality, registered.state.height
        link = VoteCheckpoint(finality.justified_hash, finality.justified_height, registered.ids[height], height)
        registered.mine(*(registered.sign(key, link) for key in registered.validators), *last)
    assert registered.state.finality.final_height == registered.get(job).closed_height - 1
    registered.mine()
    assert job in registered.state.jobs


def test_open_jobs_never_leave(registered: Any) -> None:
    job = registered.open()
    for _ in range(3):
        registered.finalise()
    assert set(registered.state.jobs) == set(registered.state.open_jobs) == {job}


@pytest.mark.parametrize("kind", ["vote", "update", "claim", "aggregate", "cancel", "failure"])
def test_what_comes_too_late_is_refused_and_says_why(registered: Any, closed: str, kind: str) -> None:
    late = {
        "vote": (registered.validators[3], registered.vote(closed)),
        "update": ("alice", registered.update(closed, 0)),
        "claim": ("alice", registered.claiming(closed, 0)),
        "aggregate": ("alice", registered.aggregate(closed)),
        "cancel": ("owner", CancelJob(closed)),
        "failure": ("alice", ReportFailure(
            partition=0, code="broken", message="it broke", cids=(), asked="", **registered.at(closed))),
    }  # fmt: skip
    registered.finalise()
    registered.mine()
    sender, payload = late[kind]
    refused = registered.refuse(Unknown, sender, payload)
    assert "body.payload.job: expected a job that is open, or closed and not yet final" in str(refused)


def test_the_digest_says_who_left(registered: Any, closed: str) -> None:
    """Two nodes that disagree on what has left part ways at once."""
    registered.finalise()
    kept = replace(registered.state, tables=registered.state.tables.set("closed_jobs", type(registered.state.jobs)()))
    draft = registered.draft()
    registered.mine()
    assert draft.finish()[0].digest == registered.state.digest
    registered.states.append(kept)
    assert registered.draft().finish()[0].digest != registered.state.digest


def test_a_block_lets_go_of_no_more_jobs_than_one_can_open(new_chain: Any) -> None:
    chain = new_chain(replace(DEVELOPMENT, max_block_transactions=3)).register()
    jobs = [chain.open() for _ in range(5)]
    for job in jobs:
        chain.do("owner", CancelJob(job))
    chain.finalise()
    chain.mine()
    left = list(chain.archive)
    chain.mine()
    assert sorted(left) == sorted(jobs[:3]), "those closed first leave first"
    assert set(chain.archive) == set(jobs)
    assert not chain.state.jobs


def test_replay_and_snapshot_agree_with_it(registered: Any, closed: str) -> None:
    registered.finalise()
    registered.mine()
    registered.open()
    assert registered.replay() == registered.state
    again = State.from_snapshot(registered.state.snapshot())
    assert again == registered.state
    assert closed not in again.jobs


def test_a_state_grows_with_open_work_and_not_with_what_is_over(registered: Any) -> None:
    sizes = []
    for _ in range(12):
        job = registered.candidate()
        registered.votes(job, "reject")
        registered.finalise()
        registered.wait(3_600_001)  # the ids of its transactions are forgotten too
        sizes.append(len(registered.state.snapshot()))
    assert len(registered.archive) == 12
    assert sizes[-1] == pytest.approx(sizes[1], rel=0.02)
