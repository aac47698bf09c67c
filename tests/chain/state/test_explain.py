"""Every wait says for whom, since when and until when; every deadline what was missing."""

from __future__ import annotations

from typing import Any

from chain.params import DEVELOPMENT
from chain.state import explain, next_deadline
from chain.transactions import ReportFailure


def waiting(chain: Any, job: str, after: int = 0) -> Any:
    return explain(chain.get(job), chain.time + after, chain.state.validators)


def test_a_new_job_waits_for_its_seed(registered: Any) -> None:
    job = registered.do("owner", registered.job())
    assert waiting(registered, job) == {
        "what": "seed from the next block", "who": "miner", "since": registered.time, "until": None,
    }  # fmt: skip


def test_an_open_round_waits_for_claims_then_for_the_updates_claimed(registered: Any) -> None:
    job = registered.open()
    opened = registered.time
    assert waiting(registered, job) == {
        "what": "claim of partitions 0, 1", "who": "any worker", "since": opened, "until": opened + 60_000,
    }  # fmt: skip
    registered.train("alice", job, 0)
    registered.claim("bob", job, 1)
    held = {
        "what": "update of partition 1", "who": registered.address("bob"), "since": registered.time,
        "until": registered.time + DEVELOPMENT.lease_ms,
    }  # fmt: skip
    assert waiting(registered, job) == held
    assert waiting(registered, job, DEVELOPMENT.lease_ms)["what"] == "claim of partition 1", "its lease lapsed"


def test_a_closed_round_waits_for_its_aggregate_from_those_who_may(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    registered.train("alice", job, 1)
    assert waiting(registered, job) == {
        "what": "aggregate of round 0", "who": registered.address("alice"), "since": registered.time,
        "until": registered.time + 60_000,
    }  # fmt: skip


def test_a_vote_waits_for_the_validators_that_are_missing(registered: Any) -> None:
    job = registered.candidate()
    since = registered.time
    registered.votes(job, "approve", 2)
    found = waiting(registered, job)
    assert found["what"] == "votes on the candidate: 2 of 3 approvals, 0 rejections, 4 validators"
    assert set(found["who"].split(", ")) == {key.address for key in registered.validators[2:]}
    assert (found["since"], found["until"]) == (since, since + 60_000)


def test_a_validator_that_found_something_unavailable_is_still_waited_for(registered: Any) -> None:
    job = registered.candidate()
    registered.do(registered.validators[0], registered.vote(job, "unavailable"))
    assert registered.validators[0].address in waiting(registered, job)["who"]


def test_an_ended_job_waits_for_nothing(registered: Any) -> None:
    job = registered.candidate()
    registered.votes(job, "approve")
    assert waiting(registered, job) is None


def test_a_missed_deadline_names_what_is_missing_who_failed_and_who_was_asked(registered: Any, content: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    registered.claim("bob", job, 1)
    lost = content("lost")
    registered.do(
        "bob",
        ReportFailure(**registered.at(job), partition=1, code="unavailable", message="no such block", cids=(lost,),
                      asked="/ip4/127.0.0.1/tcp/5001"),
    )  # fmt: skip
    deadline = next_deadline(registered.state)
    assert deadline == registered.get(job).round_list[0].deadline
    registered.wait(deadline - registered.time - 1)
    assert registered.get(job).state == "training"
    registered.wait(1)
    expired = registered.get(job)
    assert expired.state == "expired"
    for part in (
        "round 0 had 1 of 2 updates by its deadline, 2 needed",
        "partition 1",
        f"{registered.address('bob')} unavailable: no such block",
        lost,
        "asked /ip4/127.0.0.1/tcp/5001",
    ):
        assert part in expired.reason
    assert next_deadline(registered.state) is None


def test_a_missed_deadline_names_who_held_the_partition(registered: Any) -> None:
    job = registered.open()
    registered.claim("bob", job, 1)
    registered.wait(60_000)
    assert f"partition 1: claimed by {registered.address('bob')}" in registered.get(job).reason
    assert "partition 0: nobody holds it" in registered.get(job).reason


def test_an_aggregate_that_never_comes_ends_the_job(registered: Any) -> None:
    job = registered.open()
    registered.train("alice", job, 0)
    registered.train("bob", job, 1)
    registered.wait(60_000)
    assert "round 0 had no aggregate by its deadline" in registered.get(job).reason
