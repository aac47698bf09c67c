"""The validator's votes on candidates, on a chain in memory and real models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.client import NodeRefused, NodeUnavailable
from chain.schema import Cid
from learning.encoded import forget
from learning.session import Session
from validators.ballots import Ballots
from validators.models import LONGEST_RETRY, RETRY, ModelVoter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def voter_of(lab: Any, clock: Clock) -> Any:
    """The voter of one of the lab's validators."""

    def make(number: int = 0, **changes: Any) -> ModelVoter:
        ballots = Ballots(lab.folder / f"ballots-{number}")
        return ModelVoter(
            lab, lab.validators[number], lab.store, lab.folder, changes.pop("environment", lab.environment), ballots,
            clock=clock, **changes,
        )  # fmt: skip

    return make


def mine(lab: Any, job: Any, number: int = 0) -> Any:
    address = lab.validators[number].address
    return next((vote for vote in lab.now(job).votes if vote.validator == address), None)


def failing(error: BaseException, times: int = 10**9) -> Any:
    """A factory of sessions whose first trainings fail so."""
    left = [times]

    class Failing(Session):
        def train(self, *arguments: Any) -> Any:
            if left[0] > 0:
                left[0] -= 1
                raise error
            return super().train(*arguments)

    return lambda recipe, store, cache: Failing(recipe, store.open, cache)


def test_three_validators_adopt_an_honest_job(iris: Any, voter_of: Any) -> None:
    job = iris.open()
    voters = [voter_of(number) for number in range(4)]
    for partition, key in enumerate((iris.alice, iris.bob)):
        iris.train(job, key, partition)
        assert voters[0].consider() is None
    iris.aggregate(job, iris.alice)
    assert [voter.consider() for voter in voters] == [None] * 4
    adopted = iris.now(job)
    assert adopted.state == "adopted"
    assert len(iris.version("iris", 1).approvals) == 3
    for cid in (iris.dataset("iris").data, iris.model("iris").statistics, adopted.candidate.artifact):
        assert cid in set(iris.store.pins())


def test_the_version_in_service_may_be_of_another_estimator(iris: Any, voter_of: Any, lab_module: Any) -> None:
    iris.adopt(iris.work(iris.open(lab_module.NAIVE_BAYES)))
    job = iris.work(iris.open(lab_module.KNN))
    assert voter_of().consider() is None
    vote = mine(iris, job)
    assert vote.baseline == iris.version("iris", 1).score
    assert vote.decision == ("approve" if job.candidate.score >= vote.baseline else "reject")


def test_a_cheat_is_named(iris: Any, voter_of: Any) -> None:
    job = iris.open()
    iris.train(job, iris.alice, 0)
    false = iris.submit_update(job, iris.bob, 1, artifact=iris.now(job).round_list[0].updates[0].artifact)
    iris.aggregate(job, iris.alice)
    for number in range(3):
        voter_of(number).consider()
    after = iris.now(job)
    assert (after.state, after.attempt, after.barred) == ("training", 1, (iris.bob.address,))
    assert after.round_list[0].partitions[1].removed == (false,)


def test_a_job_that_is_not_final_is_left_alone(iris: Any, voter_of: Any) -> None:
    job = iris.work(iris.open())
    iris.final_height = job.height - 1
    assert voter_of().consider() is None
    assert mine(iris, job) is None
    iris.final_height = job.height
    voter_of().consider()
    assert mine(iris, job).decision == "approve"


def test_so_is_one_to_be_compared_with_a_version_that_is_not_final(iris: Any, voter_of: Any) -> None:
    iris.adopt(iris.work(iris.open()))
    job = iris.work(iris.open())
    view = iris.version_view("iris", 1)
    iris.version_view = lambda *_: replace(view, final_height=view.value.height - 1)
    assert voter_of().consider() is None
    assert mine(iris, job) is None


def test_missing_content_is_an_unavailable_vote_until_it_turns_up(
    iris: Any, voter_of: Any, clock: Clock, lab_module: Any
) -> None:
    forget()
    job = iris.work(iris.open())
    forget()
    here, iris.store = iris.store, lab_module.open_store(str(iris.folder / "elsewhere"))
    voter = voter_of()
    assert voter.consider() == RETRY
    vote = mine(iris, job)
    assert vote.decision == "unavailable"
    assert vote.missing[0] in {iris.dataset("iris").data, iris.dataset("iris").manifest, iris.model("iris").statistics}
    assert str(iris.folder / "elsewhere") in vote.asked
    sent = len(iris.sent)
    assert voter.consider() == RETRY, "not due yet"
    clock.now += RETRY
    assert voter.consider() == 2 * RETRY
    assert len(iris.sent) == sent, "what the chain has is not sent again"
    for cid in here.pins():
        iris.store.add(here.read(cid))
    clock.now += 2 * RETRY
    assert voter.consider() is None
    assert mine(iris, job).decision == "approve"


def test_data_that_are_not_what_was_registered_reject_the_job_and_nobody(lab: Any, voter_of: Any) -> None:
    lab.register()
    job = lab.open()
    lab.train(job, lab.alice, 0)
    lab.train(job, lab.bob, 1)
    lab.aggregate(job, lab.alice)
    lies = replace(lab.state.datasets["iris"], manifest=Cid(lab.store.add(b"{}")))
    lab.dataset = lambda name: lies
    for number in range(3):
        voter_of(number).consider()
    rejected = lab.now(job)
    assert (rejected.state, rejected.barred) == ("rejected", ())
    assert "the job cannot be done as it stands" in rejected.reason


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug"), OSError(28, "No space left on device")])
def test_its_own_troubles_are_logged_shown_and_tried_again(
    iris: Any, voter_of: Any, clock: Clock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    job = iris.work(iris.open())
    voter = voter_of(new_session=failing(error, times=1))
    assert voter.consider() == RETRY
    vote = mine(iris, job)
    assert (vote.decision, vote.missing) == ("unavailable", (job.candidate.artifact,))
    assert type(error).__name__ in vote.reason
    assert "Traceback" in caplog.text
    clock.now += RETRY
    assert voter.consider() is None
    assert mine(iris, job).decision == "approve"


def test_trouble_while_preparing_waits_longer_and_longer_but_not_for_the_candidate(
    iris: Any, voter_of: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    job = iris.open()
    iris.train(job, iris.alice, 0)
    voter = voter_of(new_session=failing(RuntimeError("a bug"), times=8))
    waits = []
    for _ in range(8):
        waits.append(voter.consider())
        clock.now += waits[-1]
    assert waits == [2, 4, 8, 16, 32, LONGEST_RETRY, LONGEST_RETRY, LONGEST_RETRY]
    assert "a bug" in caplog.text
    iris.train(job, iris.bob, 1)
    iris.aggregate(job, iris.alice)
    clock.now = 0
    assert voter.consider() is None
    assert mine(iris, job).decision == "approve"


def test_one_job_s_trouble_keeps_no_other_from_its_vote(iris: Any, voter_of: Any) -> None:
    troubled = iris.open()
    iris.train(troubled, iris.alice, 0)
    job = iris.work(iris.open())

    def sessions(recipe: Any, store: Any, cache: Any) -> Any:
        if recipe.job == troubled.id:
            raise RuntimeError("a bug")
        return Session(recipe, store.open, cache)

    assert voter_of(new_session=sessions).consider() == RETRY
    assert mine(iris, job).decision == "approve"


def test_a_vote_cast_before_a_crash_is_sent_byte_for_byte(iris: Any, voter_of: Any) -> None:
    job = iris.work(iris.open())
    prepared: list[Any] = []
    submit = iris.submit

    def dies(signed: Any) -> str:
        prepared.append(signed)
        raise NodeUnavailable("it was killed here")

    iris.submit = dies
    with pytest.raises(NodeUnavailable):
        voter_of().consider()
    iris.submit = lambda signed: prepared.append(signed) or submit(signed)
    never = voter_of(new_session=failing(AssertionError("judged again")))
    assert never.consider() is None
    assert prepared[0].data == prepared[1].data
    assert mine(iris, job).decision == "approve"


def test_one_that_has_expired_meanwhile_is_signed_anew(iris: Any, voter_of: Any) -> None:
    job = iris.work(iris.open(vote_ms=3_600_000))
    submit, away = iris.submit, [True]

    def submits(signed: Any) -> str:
        if away[0]:
            raise NodeUnavailable("away")
        return str(submit(signed))

    iris.submit = submits
    with pytest.raises(NodeUnavailable):
        voter_of().consider()
    away[0] = False
    iris.block(after=700_000)
    assert voter_of().consider() is None
    assert mine(iris, job).decision == "approve"


@pytest.mark.parametrize(
    ("code", "level", "again"),
    [("duplicate", "DEBUG", False), ("conflict", "INFO", False), ("mempool_full", "WARNING", True)],
)
def test_what_the_node_says_of_a_vote(
    iris: Any, voter_of: Any, caplog: pytest.LogCaptureFixture, code: str, level: str, again: bool
) -> None:
    iris.work(iris.open())

    def refuse(_: Any) -> str:
        raise NodeRefused(409, {"code": code, "detail": "because"})

    iris.submit = refuse
    caplog.set_level("DEBUG", "validators.models")
    assert (voter_of().consider() is not None) is again
    assert [r.levelname for r in caplog.records if r.name == "validators.models"] == [level]


def test_a_foreign_environment_judges_nothing_and_says_so(iris: Any, voter_of: Any) -> None:
    job = iris.open()
    voter = voter_of(environment="0" * 64, new_session=failing(AssertionError("it must not try")))
    iris.train(job, iris.alice, 0)
    assert voter.consider() is None
    iris.work(job)
    assert voter.consider() == RETRY
    assert mine(iris, job).decision == "unavailable"


def test_a_node_that_is_away_is_for_the_caller(iris: Any, voter_of: Any) -> None:
    iris.away = NodeUnavailable("away")
    with pytest.raises(NodeUnavailable):
        voter_of().consider()
