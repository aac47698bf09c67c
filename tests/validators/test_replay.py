"""Doing a job again: what is found to be true, false, or not to be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from chain.schema import Cid
from ipfs import open_store
from ipfs.errors import ContentMissing
from learning.encoded import forget
from learning.session import Session
from validators.replay import Replayer, Unworkable


class Counting(Session):
    """A session that counts what it is asked to do."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.counts: Counter[str] = Counter()

    def train(self, *arguments: Any) -> Any:
        self.counts["train"] += 1
        return super().train(*arguments)

    def aggregate(self, *arguments: Any) -> Any:
        self.counts["aggregate"] += 1
        return super().aggregate(*arguments)


def counting(lab: Any, job: Any) -> Counting:
    session = lab.session(job)
    return Counting(session.recipe, lab.store.open, lab.folder)


def replayed(lab: Any, job: Any, environment: str | None = None) -> Any:
    return Replayer(lab.session(job), lab.store, environment or lab.environment).replay(lab.now(job))


def test_an_honest_job_is_true_in_all_its_statements(iris: Any) -> None:
    job = iris.work(iris.open())
    replay = replayed(iris, job)
    assert [(check.kind, check.partition) for check in replay.checks] == [
        ("update", 0), ("update", 1), ("aggregate", None),
    ]  # fmt: skip
    assert all(check.matches and check.counts and check.recomputed == check.artifact for check in replay.checks)
    assert (replay.disproved, replay.foreign) == ((), ())
    assert iris.store.add(replay.candidate) == job.candidate.artifact
    assert replay.score == job.candidate.score


def test_each_round_starts_from_the_aggregate_of_the_one_before(iris: Any, lab_module: Any) -> None:
    job = iris.work(iris.open(lab_module.LOGISTIC, rounds=3))
    replay = replayed(iris, job)
    assert [check.round for check in replay.checks] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert replay.false == ()
    assert replay.score == job.candidate.score


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"artifact": "of partition 0"}, "trained again, the model is"),
        ({"artifact": "of nobody"}, "trained again, the model is"),
        ({"rows": 7}, "rows, not 7"),
        ({"score": 123}, "not 0.000123"),
    ],
)
def test_a_false_update_is_disproved_and_says_how(iris: Any, lab_module: Any, lie: dict[str, Any], said: str) -> None:
    job = iris.open()
    first = iris.submit_update(job, iris.alice, 0)
    if lie.get("artifact") == "of partition 0":
        lie = {"artifact": iris.now(job).round_list[0].updates[0].artifact}
    elif "artifact" in lie:
        lie = {"artifact": lab_module.cid("nobody has it")}
    false = iris.submit_update(job, iris.bob, 1, **lie)
    if lie.get("artifact") == lab_module.cid("nobody has it"):
        honest = iris.now(job).round_list[0].updates
        aggregate = lab_module.SubmitAggregate(
            job.id, 0, 0, tuple(u.id for u in honest), lab_module.cid("any"), 1, iris.environment
        )
        iris.send(aggregate, iris.bob)
    else:
        assert iris.aggregate(job, iris.alice) == "submitted"
    replay = replayed(iris, job)
    assert [check.id for check in replay.checks if check.kind == "update" and check.matches] == [first]
    assert [check.id for check in replay.disproved] == [false], "who combined a false update stated nothing false"
    assert said in replay.disproved[0].problem


@pytest.mark.parametrize("lie", ["artifact", "score"])
def test_a_false_candidate_is_disproved(iris: Any, lab_module: Any, lie: str) -> None:
    job = iris.open()
    iris.train(job, iris.alice, 0)
    iris.train(job, iris.bob, 1)
    value = lab_module.cid("nobody has it") if lie == "artifact" else 1
    false = iris.send(replace(iris.honest_aggregate(job), **{lie: value}), iris.alice)
    replay = replayed(iris, job)
    assert [check.id for check in replay.disproved] == [false]


def test_an_aggregate_beside_the_candidate_says_nothing_about_it(iris: Any, lab_module: Any) -> None:
    job = iris.work(iris.open())
    beside = replace(iris.honest_aggregate(job, 0), artifact=lab_module.cid("nobody has it"))
    false = iris.send(beside, iris.bob)
    replay = replayed(iris, job)
    assert [check.id for check in replay.false] == [false]
    assert replay.disproved == ()


def test_an_update_that_is_built_on_a_false_aggregate_is_disproved_with_it(iris: Any, lab_module: Any) -> None:
    job = iris.open(lab_module.LOGISTIC, rounds=2)
    iris.train(job, iris.alice, 0)
    iris.train(job, iris.bob, 1)
    true = iris.honest_aggregate(job)
    false = iris.send(replace(true, artifact=iris.now(job).round_list[0].updates[0].artifact), iris.bob)
    iris.send(true, iris.alice)
    on_false = iris.submit_update(job, iris.bob, 0)  # the lab builds on the first aggregate
    iris.train(job, iris.alice, 1)
    iris.aggregate(job, iris.alice)
    replay = replayed(iris, job)
    assert [check.id for check in replay.disproved] == [false, on_false]
    assert "it was built on" in replay.disproved[1].problem


def test_what_was_made_in_another_environment_is_not_judged_by_bytes(lab: Any, lab_module: Any) -> None:
    lab.register(environments=(lab.environment, lab_module.OTHER_ENVIRONMENT))
    job = lab.open()
    lab.train(job, lab.alice, 0)
    other = lab.submit_update(job, lab.bob, 1, score=5, environment=lab_module.OTHER_ENVIRONMENT)
    lab.aggregate(job, lab.alice)
    replay = replayed(lab, job)
    assert replay.foreign == (other,)
    assert replay.disproved == ()


def test_but_what_is_no_model_in_any_environment_is_disproved(lab: Any, lab_module: Any) -> None:
    lab.register(environments=(lab.environment, lab_module.OTHER_ENVIRONMENT))
    job = lab.open()
    lab.train(job, lab.alice, 0)
    junk = Cid(lab.store.add(b"this is no model"))
    false = lab.submit_update(job, lab.bob, 1, artifact=junk, environment=lab_module.OTHER_ENVIRONMENT)
    updates = tuple(update.id for update in lab.now(job).round_list[0].updates)
    lab.send(lab_module.SubmitAggregate(job.id, 0, 0, updates, lab_module.cid("any"), 1, lab.environment), lab.bob)
    replay = replayed(lab, job)
    assert [check.id for check in replay.disproved] == [false]
    assert "is no model of this job" in replay.disproved[0].problem
    assert replay.candidate is None


def test_updates_that_do_not_add_up_disprove_the_aggregate_of_them(iris: Any) -> None:
    job = iris.work(iris.open())

    class NeverAdds(Session):
        def aggregate(self, *_: Any) -> Any:
            raise ArithmeticError("overflow")

    session = NeverAdds(iris.session(job).recipe, iris.store.open, iris.folder)
    replay = Replayer(session, iris.store, iris.environment).replay(job)
    assert [check.id for check in replay.disproved] == [job.candidate.id]
    assert "do not add up to a model: overflow" in replay.disproved[0].problem


def test_a_partition_of_which_no_model_comes_out_disproves_who_submitted_one(iris: Any) -> None:
    job = iris.work(iris.open())

    class NoModel(Session):
        def train(self, *_: Any) -> Any:
            raise ValueError("one class only")

    session = NoModel(iris.session(job).recipe, iris.store.open, iris.folder)
    replay = Replayer(session, iris.store, iris.environment).replay(job)
    assert len(replay.disproved) == 2
    assert "no model comes out: one class only" in replay.disproved[0].problem


def test_too_little_memory_is_no_finding(iris: Any) -> None:
    job = iris.work(iris.open())

    class Small(Session):
        def train(self, *_: Any) -> Any:
            raise MemoryError

    session = Small(iris.session(job).recipe, iris.store.open, iris.folder)
    with pytest.raises(MemoryError):
        Replayer(session, iris.store, iris.environment).replay(job)


def test_missing_content_is_an_error_that_names_it(iris: Any) -> None:
    job = iris.work(iris.open())
    empty = iris.folder / "empty"
    empty.mkdir()
    forget()  # what this process keeps of datasets
    store = open_store(str(empty))
    session = Session(iris.session(job).recipe, store.open, empty)
    with pytest.raises(ContentMissing) as caught:
        Replayer(session, store, iris.environment).replay(job)
    dataset = iris.dataset("iris")
    assert caught.value.cid in {dataset.data, dataset.manifest, iris.model("iris").statistics}


def test_data_that_are_not_what_was_registered_are_nobody_s_update(lab: Any) -> None:
    lab.register(manifest=b"{}")
    job = lab.open()
    with pytest.raises(Unworkable):
        Replayer(lab.session(job), lab.store, lab.environment).prepare(lab.now(job))


def test_what_was_prepared_is_not_done_again(iris: Any, lab_module: Any) -> None:
    job = iris.open(lab_module.LOGISTIC, rounds=2)
    session = counting(iris, job)
    replayer = Replayer(session, iris.store, iris.environment)
    for _ in range(2):
        iris.train(job, iris.alice, 0)
        replayer.prepare(iris.now(job))
        replayer.prepare(iris.now(job))
        iris.train(job, iris.bob, 1)
        replayer.prepare(iris.now(job))
        iris.aggregate(job, iris.alice)
    assert session.counts == {"train": 4, "aggregate": 2}
    replay = replayer.replay(iris.now(job))
    assert session.counts == {"train": 4, "aggregate": 2}
    assert replay.false == ()
    assert all(not isinstance(kept, bytes) for kept in vars(replayer._trained[(0, 0, None)]).values())


def test_progress_is_told_check_by_check(iris: Any) -> None:
    job = iris.work(iris.open())
    told: list[Any] = []
    replay = Replayer(iris.session(job), iris.store, iris.environment, told.append).replay(job)
    assert tuple(told) == replay.checks
