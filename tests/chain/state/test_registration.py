"""Datasets, models and the opening of jobs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, Unknown
from chain.state import next_deadline
from chain.transactions import CancelJob


def test_a_dataset_is_registered_under_its_name(chain: Any) -> None:
    transaction = chain.do("owner", chain.dataset())
    dataset = chain.state.datasets["iris"]
    assert (dataset.owner, dataset.transaction, dataset.height) == (chain.address("owner"), transaction, 1)


def test_the_same_dataset_again_is_a_duplicate(chain: Any) -> None:
    chain.do("owner", chain.dataset())
    chain.refuse(Duplicate, "owner", chain.dataset())


def test_a_dataset_s_name_is_taken_once(chain: Any) -> None:
    chain.do("owner", chain.dataset())
    chain.refuse(Conflict, "alice", chain.dataset())
    chain.refuse(Conflict, "owner", chain.dataset(rows=151))


def test_a_model_names_registered_datasets(chain: Any) -> None:
    error = chain.refuse(Unknown, "owner", chain.model())
    assert "'iris'" in str(error)
    chain.do("owner", chain.dataset())
    chain.do("owner", chain.model())
    model = chain.policy()
    assert (model.in_service, model.versions) == (0, 0)


def test_the_same_model_again_is_a_duplicate_and_another_under_its_name_a_conflict(registered: Any) -> None:
    registered.refuse(Duplicate, "owner", registered.model())
    registered.refuse(Conflict, "owner", registered.model(minimum_improvement=1))
    registered.refuse(Conflict, "alice", registered.model())
    registered.votes(registered.candidate(), "approve")
    registered.refuse(Duplicate, "owner", registered.model())


@pytest.mark.parametrize("fields", [{"task": "regression"}, {"target": "petal"}])
def test_a_model_s_datasets_share_task_and_target(chain: Any, fields: dict[str, str]) -> None:
    chain.do("owner", chain.dataset())
    chain.do("owner", chain.dataset("other", **fields))
    chain.refuse(InvalidField, "owner", chain.model(datasets=("iris", "other")))
    chain.refuse(InvalidField, "owner", chain.model(holdout_fraction=None, holdout_dataset="other"))


@pytest.mark.parametrize(
    "fields",
    [
        {"holdout_dataset": "exam"},
        {"holdout_fraction": None},
        {"holdout_fraction": None, "holdout_dataset": "iris"},
        {"audit_fraction": 500_000},
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(chain: Any, fields: dict[str, Any]) -> None:
    chain.do("owner", chain.dataset())
    chain.do("owner", chain.dataset("exam"))
    chain.refuse(InvalidField, "owner", chain.model(**fields))


def test_a_job_s_id_is_its_transaction_s(registered: Any) -> None:
    job = registered.do("alice", registered.job())
    assert registered.get(job).id == job
    assert registered.get(job).opener == registered.address("alice")
    assert registered.get(job).seed is None


def test_a_job_s_seed_comes_from_the_block_that_holds_it(registered: Any) -> None:
    job = registered.do("alice", registered.job())
    holder = registered.ids[-1]
    assert next_deadline(registered.state) == registered.time, "a block is wanted at once"
    registered.wait(5)
    opened = registered.get(job)
    assert opened.seed == hashlib.sha256((job + holder).encode()).hexdigest()
    assert opened.seed_block == holder == registered.ids[opened.height]
    assert opened.round_list[0].opened == registered.time
    assert next_deadline(registered.state) == registered.time + 60_000


def test_a_job_needs_a_registered_model_and_a_dataset_that_it_admits(registered: Any) -> None:
    registered.do("owner", registered.dataset("other"))
    registered.refuse(Unknown, "alice", registered.job(model="other"))
    registered.refuse(Forbidden, "alice", registered.job(dataset="other"))


def test_a_job_that_needs_more_updates_than_it_has_partitions_is_refused(registered: Any) -> None:
    registered.refuse(InvalidField, "alice", registered.job(minimum_updates=3))
    registered.refuse(InvalidField, "alice", registered.job(round_ms=1))


def test_only_listed_openers_and_the_owner_open_jobs(chain: Any) -> None:
    chain.register(openers=(chain.address("alice"),))
    chain.refuse(Forbidden, "bob", chain.job())
    chain.open("alice")
    chain.open("owner")


def test_the_opener_or_the_model_s_owner_cancels_a_job(registered: Any) -> None:
    job = registered.open("alice")
    registered.refuse(Forbidden, "bob", CancelJob(job))
    registered.do("alice", CancelJob(job))
    cancelled = registered.get(job)
    assert cancelled.state == "cancelled"
    assert cancelled.reason == f"cancelled by {registered.address('alice')}"
    assert (cancelled.closed, cancelled.closed_height) == (registered.time, registered.state.height)
    assert next_deadline(registered.state) is None
    registered.refuse(Conflict, "alice", CancelJob(job))
    other = registered.do("alice", registered.job())
    registered.do("owner", CancelJob(other))
    registered.mine()
    assert registered.get(other).state == "cancelled", "also before its seed is drawn"


def test_a_job_with_a_candidate_up_is_not_cancelled(registered: Any) -> None:
    registered.refuse(Conflict, "owner", CancelJob(registered.candidate()))


def test_an_unknown_job_is_said_so(registered: Any, content: Any) -> None:
    registered.refuse(Unknown, "owner", CancelJob(content("nothing")))
