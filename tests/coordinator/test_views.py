"""The chain's objects as documents, from objects built by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.client import View
from chain.schema import Address, Cid, Hash
from chain.state.objects import (
    Aggregate,
    Failure,
    Job,
    Lease,
    Model,
    Partition,
    Round,
    Update,
    ValidatorSet,
    Version,
    Vote,
)
from coordinator import views

NOW = 1_780_000_000_123
A, B = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
SEED, BLOCK = Hash("ab" * 32), Hash("cd" * 32)
QUORUM = ValidatorSet(0, (A, B), (1, 3))
UPDATE = Update(Cid("bafyu"), A, SEED, None, Cid("bafkmodel"), 102, 710_000, 20, SEED, 14)
FAILURE = Failure(B, 0, "unavailable", "no block bafk1", (Cid("bafk1"),), "embedded store", NOW)


def view(value, final: bool = True):
    return View(value=value, height=20, head=BLOCK, final_height=20, final=final)


def a_job(**fields: object) -> Job:
    job = Job(
        Cid("bafyjob"), A, "boston-ridge", "boston", '{"class":"sklearn.linear_model.Ridge"}', 4, 1,
        '{"scheme":"disjoint"}', "average", 4, 2, 300_000, 300_000, 12, NOW, seed=SEED, seed_block=BLOCK,
    )  # fmt: skip
    return replace(job, **fields)  # type: ignore[arg-type]


def the_round(*partitions: Partition, **fields: object) -> Round:
    return Round(0, NOW, NOW + 300_000, None, partitions, **fields)  # type: ignore[arg-type]


def test_times_are_rfc_3339_with_milliseconds() -> None:
    assert views.rfc3339(1_780_000_000_007) == "2026-05-28T20:26:40.007Z"
    assert views.rfc3339(0) == "1970-01-01T00:00:00.000Z"


def test_a_job_has_every_field_that_the_api_promises() -> None:
    document = views.job_document(view(a_job(), final=True), QUORUM, NOW)  # its block is; its end is not there yet
    assert set(document) >= {
        "job", "model", "dataset", "state", "seed", "waiting_for", "rounds", "attempt", "partitions", "candidate",
        "votes", "quorum", "version", "adopted", "final", "reason", "opened", "closed",
    }  # fmt: skip
    assert document["seed"] == {"value": SEED, "block": BLOCK, "height": 12}
    assert document["estimator"] == {"class": "sklearn.linear_model.Ridge"}
    assert document["quorum"] == {"weight": 3, "of": 4}
    assert (document["adopted"], document["final"], document["closed"]) == (False, False, None)


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        (Partition(0), {"state": "waiting", "worker": None, "update": None, "error": None}),
        (Partition(0, Lease(A, NOW, NOW + 30_000)), {"state": "claimed", "worker": A, "rows": None}),
        (
            Partition(0, update=UPDATE),
            {"state": "done", "worker": A, "rows": 102, "update": "bafkmodel", "transaction": "bafyu", "seconds": 0.02,
             "score": 0.71, "error": None},
        ),
        (
            Partition(0, failures=(FAILURE,)),
            {"state": "failed", "worker": B, "error": "unavailable: no block bafk1"},
        ),
        (Partition(0, Lease(A, NOW, NOW + 1), None, (FAILURE,)), {"state": "claimed", "worker": A}),
        (Partition(0, removed=(Cid("bafyu"),)), {"state": "removed", "update": None}),
        (Partition(0, update=UPDATE, removed=(Cid("bafyu"),)), {"state": "removed", "update": "bafkmodel"}),
    ],
)  # fmt: skip
def test_a_partition_in_every_state(partition: Partition, expected: dict[str, object]) -> None:
    document = views.job_document(view(a_job(round_list=(the_round(partition),))), QUORUM, NOW)
    (shown,) = document["partitions"]
    assert {name: shown[name] for name in expected} == expected  # type: ignore[literal-required]
    assert (shown["index"], shown["round"]) == (0, 0)


def test_a_failure_of_an_earlier_attempt_is_not_shown_as_the_state() -> None:
    document = views.job_document(
        view(a_job(attempt=1, round_list=(the_round(Partition(0, failures=(FAILURE,))),))), QUORUM, NOW
    )
    assert document["partitions"][0]["state"] == "waiting"


def test_an_open_job_says_what_it_waits_for_from_whom_and_until_when() -> None:
    claimed = Partition(3, Lease(A, NOW, NOW + 30_000))
    document = views.job_document(view(a_job(round_list=(the_round(claimed),))), QUORUM, NOW)
    waiting = document["waiting_for"]
    assert waiting is not None
    assert waiting["what"] == "update of partition 3"
    assert waiting["who"] == A
    assert waiting["until"] == views.rfc3339(NOW + 30_000)


def a_vote(**fields: object) -> Vote:
    vote = Vote(
        A, 0, Cid("bafkcandidate"), 1, "approve", 730_000, 700_000, (Cid("bafyu"),), (), (), "", "bytes", SEED,
        "replayed", 18, NOW,
    )  # fmt: skip
    return replace(vote, **fields)  # type: ignore[arg-type]


def test_candidate_votes_and_their_scores_are_numbers() -> None:
    candidate = Aggregate(Cid("bafyagg"), A, (Cid("bafyu"),), Cid("bafkcandidate"), 730_000, SEED, 16)
    done = the_round(Partition(0, update=UPDATE), aggregates=(candidate,))
    job = a_job(
        state="adopted",
        round_list=(done,),
        candidate=candidate,
        votes=(a_vote(),),
        version=2,
        closed=NOW + 5,
        closed_height=18,
    )
    document = views.job_document(view(job), QUORUM, NOW)
    assert document["candidate"] == {"cid": "bafkcandidate", "score": 0.73, "baseline": 0.7}
    assert document["rounds"] == {"done": 1, "of": 1}
    assert document["votes"][0]["score"] == 0.73
    assert document["votes"][0]["replayed"] == ["bafyu"]
    assert (document["adopted"], document["final"], document["version"]) == (True, True, 2)
    assert document["waiting_for"] is None


def test_a_job_that_waits_for_its_block_is_shown_too() -> None:
    transaction = {
        "transaction": "bafyjob",
        "sender": A,
        "payload": {
            "model": "m", "dataset": "d", "estimator": "{}", "partitions": 4, "rounds": 1, "partitioning": "{}",
            "aggregation": "average", "minimum_updates": 4, "attempts": 2, "round_ms": 1000, "vote_ms": 1000,
        },
    }  # fmt: skip
    document = views.pending_job(transaction, QUORUM)
    assert (document["state"], document["opened"], document["final"]) == ("training", None, False)
    assert document["waiting_for"] == {
        "what": "the block with the job",
        "who": None,
        "since": None,
        "until": None,
    }


VERSION = Version(
    2,
    "m",
    Cid("bafyjob"),
    0,
    Cid("bafkcandidate"),
    "d",
    Cid("bafkdata"),
    730_000,
    700_000,
    1,
    400,
    "replay",
    (A, B),
    18,
    NOW,
)


def test_a_version_shows_only_the_votes_on_its_own_candidate() -> None:
    job = a_job(votes=(a_vote(), a_vote(candidate=Cid("bafkother")), a_vote(attempt=1)))
    assert len(views.version_votes(job, VERSION)) == 1
    document = views.version_document(view(VERSION), in_service=2)
    assert (document["score"], document["baseline"], document["replaces"]) == (0.73, 0.7, 1)
    assert document["in_service"] is True
    assert views.version_document(view(VERSION), in_service=3)["in_service"] is False


def test_a_model_s_policy_in_numbers() -> None:
    model = Model(
        "m", A, ("d",), "regression", "r2", 1, -50_000, 1_000_000, 200_000, None, Cid("bafkstat"), (SEED,), (), (A,),
        Cid("bafytx"), 5, 0, 0,
    )  # fmt: skip
    document = views.model_document(view(model), None)
    assert document["minimum_improvement"] == -0.05
    assert document["holdout"] == {"fraction": 0.2, "dataset": None}
    assert document["version"] is None
