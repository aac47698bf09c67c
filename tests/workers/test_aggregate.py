"""A closed round's updates, exactly those of the chain, combined by one who holds one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.client import NodeUnavailable, WaitTimeout
from learning.session import Session
from workers.aggregate import aggregate_round, why_not


@pytest.fixture
def closed(iris: Any) -> Any:
    """A job whose only round is closed."""
    job = iris.open()
    iris.train(job, iris.alice, 0)
    iris.train(job, iris.bob, 1)
    return iris.now(job)


def test_it_combines_what_the_chain_holds_and_submits_it(iris: Any, closed: Any) -> None:
    assert iris.aggregate(closed, iris.bob) == "submitted"
    voting = iris.now(closed)
    assert voting.state == "voting"
    assert voting.candidate.sender == iris.bob.address
    assert voting.candidate.updates == closed.update_ids
    assert voting.candidate.artifact in set(iris.store.pins())


def test_run_twice_it_changes_nothing(iris: Any, closed: Any) -> None:
    iris.aggregate(closed, iris.bob)
    before = iris.state
    iris.aggregate(closed, iris.bob)
    iris.aggregate(closed, iris.alice)
    assert iris.state is before


def test_what_the_chain_does_not_want_is_left(iris: Any, closed: Any) -> None:
    me = iris.alice.address
    assert why_not(closed, 0, 0, me) == ""
    assert why_not(None, 0, 0, me) == "the node knows no such job"
    assert why_not(closed, 1, 0, me) == "the job is training, attempt 0, round 0"
    assert why_not(closed, 0, 1, me) == "the job is training, attempt 0, round 0"
    assert why_not(closed, 0, 0, iris.carol.address) == "this worker holds no update of the round"
    assert why_not(replace(closed, barred=(me,)), 0, 0, me) == "this worker is barred from the job"
    opened = iris.open()
    assert why_not(opened, 0, 0, me) == "the round is still open"


class Failing(Session):
    def aggregate(self, *_: Any) -> Any:
        raise MemoryError


def test_a_failure_is_reported_and_stands(iris: Any, closed: Any) -> None:
    context = iris.context(iris.alice, new_session=lambda recipe, store, cache: Failing(recipe, store.open, cache))
    assert aggregate_round(context, closed.id, 0, 0).startswith("failed: ")
    (failure,) = iris.now(closed).round_list[0].failures
    assert (failure.worker, failure.code) == (iris.alice.address, "out_of_memory")
    assert why_not(iris.now(closed), 0, 0, iris.alice.address) == "this worker reported that it cannot"
    assert iris.aggregate(closed, iris.bob) == "submitted"


def test_a_missing_update_is_named(iris: Any, lab_module: Any) -> None:
    job = iris.open()
    iris.train(job, iris.alice, 0)
    nobody_has = lab_module.cid("nobody has it")
    iris.submit_update(job, iris.bob, 1, artifact=nobody_has)
    assert iris.aggregate(job, iris.alice).startswith("failed: ")
    (failure,) = iris.now(job).round_list[0].failures
    assert (failure.code, failure.cids) == ("unavailable", (nobody_has,))
    assert iris.store.name in failure.asked


def test_an_update_that_is_no_model_is_an_invalid_artifact(iris: Any) -> None:
    job = iris.open()
    iris.train(job, iris.alice, 0)
    iris.submit_update(job, iris.bob, 1, artifact=iris.store.add(b"no model"))
    iris.aggregate(job, iris.alice)
    assert iris.now(job).round_list[0].failures[0].code == "invalid_artifact"


def test_a_worker_in_another_environment_says_so(iris: Any, closed: Any) -> None:
    aggregate_round(iris.context(iris.alice, environment=lambda: "0" * 64), closed.id, 0, 0)
    assert iris.now(closed).round_list[0].failures[0].code == "wrong_environment"


def test_refusals_are_left_and_an_absence_is_for_the_scheduler(iris: Any, closed: Any) -> None:
    def says(error: Exception) -> Any:
        def send(*_: Any) -> str:
            raise error

        return send

    iris.send = says(WaitTimeout("too slow", None))
    assert iris.aggregate(closed, iris.alice) == "left: too slow"
    iris.send = says(NodeUnavailable("away"))
    with pytest.raises(NodeUnavailable):
        iris.aggregate(closed, iris.alice)
