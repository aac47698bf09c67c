"""One job from its recipe: verified data, deterministic updates, scores, and who is told what went wrong."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from learning import encoded
from learning.errors import InvalidArtifact, InvalidData, InvalidSpec
from learning.registration import compute_statistics, describe_dataset
from learning.session import Aggregated, Session

RIDGE = "sklearn.linear_model.Ridge"
LOGISTIC = {
    "pipeline": [
        {"class": "sklearn.preprocessing.StandardScaler"},
        {"class": "sklearn.linear_model.LogisticRegression"},
    ]
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    encoded.forget()
    yield
    encoded.forget()


def run(session: Session, round_: int = 0, base: bytes | None = None) -> Aggregated:
    updates = [session.train(round_, partition, base) for partition in range(session.recipe.partitions)]
    return session.aggregate(round_, [(update.artifact, update.rows) for update in updates])


def test_iris_from_partitions_to_candidate(job: Callable[..., Session]) -> None:
    session = job("iris", LOGISTIC, "average")
    updates = [session.train(0, partition, None) for partition in range(4)]
    assert sum(update.rows for update in updates) == len(session._ready()[0].training_rows)
    assert all(update.milliseconds >= 1 and 0 <= update.score <= 1_000_000 for update in updates)
    candidate = session.aggregate(0, [(u.artifact, u.rows) for u in updates])
    assert candidate.score == session.score(candidate.artifact) >= 800_000
    assert session.train_whole().score >= 800_000
    report = session.report(candidate.artifact)
    assert round(report["accuracy"] * 1_000_000) == candidate.score
    assert set(report["classes"]) == {"setosa", "versicolor", "virginica"}
    assert sum(map(sum, report["confusion_matrix"])) == report["rows"]


def test_another_party_gets_the_same_bytes(job: Callable[..., Session], tmp_path: Path) -> None:
    session = job("iris", LOGISTIC, "average", rounds=2)
    first = run(session)
    encoded.forget()
    other = Session(session.recipe, session._open, tmp_path / "other")
    assert run(other) == first
    assert run(other, 1, first.artifact) == run(session, 1, first.artifact)


def test_seed_and_job_change_rows_and_random_state(job: Callable[..., Session]) -> None:
    session = job("iris", LOGISTIC, "average")
    for change in ({"seed": "cd" * 32}, {"job": "other"}):
        other = Session(replace(session.recipe, **change), session._open, session._cache)  # type: ignore[arg-type]
        assert not np.array_equal(session.partition_rows(0, 0), other.partition_rows(0, 0))


def test_averaging_rounds_continue_from_the_base(job: Callable[..., Session]) -> None:
    """Few local passes and many rounds reach what many passes reach."""
    spec = {
        "pipeline": [
            {"class": "sklearn.preprocessing.StandardScaler"},
            {"class": "sklearn.neural_network.MLPRegressor",
             "params": {"hidden_layer_sizes": [8], "learning_rate_init": 0.05, "max_iter": 5}},
        ]
    }  # fmt: skip
    session = job("diabetes", spec, "average", rounds=12)
    scores, base = [], None
    for round_ in range(12):
        aggregate = run(session, round_, base)
        scores.append(aggregate.score)
        base = aggregate.artifact
    assert scores[-1] > 100_000
    assert scores[0] < 0
    assert max(scores) == scores[-1]


@pytest.mark.parametrize(
    "path", ["linear_model.SGDClassifier", "linear_model.LogisticRegression", "neural_network.MLPClassifier"]
)
def test_partitions_may_lack_classes(job: Callable[..., Session], path: str) -> None:
    """With forty partitions of three rows each, most lack a class; averaged and combined models know all."""
    for way in ("average", "ensemble"):
        session = job("iris", {"class": f"sklearn.{path}", "params": {"max_iter": 50}}, way, partitions=40)
        aggregate = run(session)
        assert aggregate.score > 550_000, (way, aggregate.score)


@pytest.mark.parametrize(
    "path",
    ["tree.DecisionTreeClassifier", "ensemble.GradientBoostingClassifier", "ensemble.HistGradientBoostingClassifier",
     "naive_bayes.GaussianNB", "neighbors.KNeighborsClassifier"],
)  # fmt: skip
def test_a_partition_of_one_class_still_trains(job: Callable[..., Session], path: str) -> None:
    session = job("iris", f"sklearn.{path}", "ensemble", partitions=60)
    single = [
        p for p in range(60) if len(set(session._ready()[0].targets[session.partition_rows(0, p)].tolist())) == 1
    ]
    assert single
    update = session.train(0, single[0], None)
    assert 0 < update.score < 600_000


def test_more_partitions_than_rows_are_refused(job: Callable[..., Session]) -> None:
    session = job("iris", LOGISTIC, "average", partitions=200)
    with pytest.raises(InvalidSpec, match="at least one row in each"):
        session.train(0, 0, None)


def test_statistics_of_other_rows_are_refused(job: Callable[..., Session]) -> None:
    session = job("diabetes", RIDGE, "merge")
    other = Session(replace(session.recipe, model="other"), session._open, session._cache)
    with pytest.raises(InvalidData, match=r"diabetesstatistics.*not those of the training rows"):
        other.train(0, 0, None)


def test_a_manifest_of_other_data_is_refused(job: Callable[..., Session]) -> None:
    session, iris = job("diabetes", RIDGE, "merge"), job("iris", LOGISTIC, "average")
    other = Session(replace(session.recipe, manifest=iris.recipe.manifest), session._open, session._cache)
    with pytest.raises(InvalidData, match="manifest"):
        other.score(b"")


def test_the_holdout_can_be_a_dataset_and_its_rows_are_not_trained_on(job: Callable[..., Session]) -> None:
    session = job("diabetes", RIDGE, "merge")
    with session._open("diabetesdata") as stream:
        lines = stream.read().decode().splitlines()
    held = "\n".join([lines[0], *lines[1:60]]).encode()
    manifest = describe_dataset(io.BytesIO(held), "y", "regression").manifest_bytes
    content = {"held1234": held, "heldmanifest": manifest}

    def opened(cid: str) -> BinaryIO:
        return io.BytesIO(content[cid]) if cid in content else session._open(cid)

    with opened("diabetesmanifest") as stream:
        own = stream.read()
    content["heldstatistics"] = compute_statistics(
        opened, "diabetesdata", own, "y", "regression", "m", None, "held1234", manifest
    )
    recipe = replace(
        session.recipe, holdout_fraction=None, holdout_data="held1234", holdout_manifest="heldmanifest",
        statistics="heldstatistics",
    )  # fmt: skip
    other = Session(recipe, opened, session._cache)
    assert len(other._ready()[0].holdout_targets) == 59
    assert min(other._ready()[0].training_rows) == 59
    assert run(other).score == other.train_whole().score


def test_what_open_raises_passes_through(job: Callable[..., Session], tmp_path: Path) -> None:
    def gone(cid: str) -> BinaryIO:
        raise FileNotFoundError(cid)

    session = Session(job("iris", LOGISTIC, "average").recipe, gone, tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="irismanifest"):
        session.train(0, 0, None)


def test_a_model_of_another_estimator_is_no_update(job: Callable[..., Session]) -> None:
    ridge, raw = job("diabetes", RIDGE, "merge"), job("diabetes", {"class": RIDGE, "params": {"alpha": 2}}, "merge")
    update = ridge.train(0, 0, None)
    with pytest.raises(InvalidArtifact, match=r"expected a model of .*alpha"):
        raw.aggregate(0, [(update.artifact, update.rows)])
    average = job("diabetes", RIDGE, "average")
    with pytest.raises(InvalidArtifact, match="only fitted"):
        average.aggregate(0, [(ridge.train(0, 0, None).artifact, 80)])


def test_a_version_of_another_estimator_is_scored_on_the_same_rows(job: Callable[..., Session]) -> None:
    ridge = job("diabetes", RIDGE, "merge")
    forest = job("diabetes", {"class": "sklearn.tree.DecisionTreeRegressor", "params": {"max_depth": 2}}, "ensemble")
    served = run(ridge)
    assert forest.score(served.artifact) == served.score


def test_statistics_of_the_models_first_dataset_serve_its_other_datasets(job: Callable[..., Session]) -> None:
    first = job("diabetes", RIDGE, "merge")
    with first._open("diabetesdata") as stream:
        lines = stream.read().decode().splitlines()
    data = "\n".join([lines[0], *lines[200:]]).encode()
    manifest = describe_dataset(io.BytesIO(data), "y", "regression").manifest_bytes
    content = {"other123": data, "othermanifest": manifest}

    def opened(cid: str) -> BinaryIO:
        return io.BytesIO(content[cid]) if cid in content else first._open(cid)

    recipe = replace(first.recipe, data="other123", manifest="othermanifest")
    with pytest.raises(InvalidData, match="not those of the training rows of other123"):
        run(Session(recipe, opened, first._cache))
    recipe = replace(recipe, statistics_data="diabetesdata", statistics_manifest="diabetesmanifest")
    second = Session(recipe, opened, first._cache)
    assert second.score(run(second).artifact) == run(second).score
    assert second._ready()[0].statistics == first._ready()[0].statistics


def test_rounds_and_bases_must_agree(job: Callable[..., Session]) -> None:
    session = job("iris", LOGISTIC, "average", rounds=2)
    artifact = run(session).artifact
    with pytest.raises(InvalidArtifact, match="round 0 starts from nothing"):
        session.train(0, 0, artifact)
    with pytest.raises(InvalidArtifact, match="round 1 starts from the aggregate"):
        session.train(1, 0, None)
    with pytest.raises(InvalidSpec, match="came round 2"):
        session.train(2, 0, artifact)
    with pytest.raises(InvalidSpec, match="partition 4"):
        session.train(0, 4, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"aggregation": "auto"}, "came 'auto'"), ({"metric": "r2"}, "came 'r2'"), ({"rounds": 0}, "rounds"),
     ({"aggregation": "merge"}, "'merge' is not possible"), ({"estimator": "{}"}, "class None")],
)  # fmt: skip
def test_a_recipe_that_cannot_be_trained_is_refused_at_once(
    job: Callable[..., Session], change: dict[str, Any], words: str
) -> None:
    session = job("iris", LOGISTIC, "average")
    with pytest.raises(InvalidSpec, match=words):
        Session(replace(session.recipe, **change), session._open, session._cache)


def test_a_diverged_training_is_the_data_s_fault_and_says_so(job: Callable[..., Session]) -> None:
    spec = {
        "class": "sklearn.neural_network.MLPRegressor",
        "params": {"solver": "sgd", "learning_rate_init": 1e12, "activation": "identity"},
    }
    with pytest.raises(InvalidData, match=r"MLPRegressor cannot be trained on these \d+ rows.*non-finite"):
        job("diabetes", spec, "average").train(0, 0, None)


def test_a_warm_iris_job_takes_milliseconds(job: Callable[..., Session]) -> None:
    first = job("iris", LOGISTIC, "average")
    run(first)
    session = Session(replace(first.recipe, job="next"), first._open, first._cache)
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        session.train(0, 0, None)
        best = min(best, time.perf_counter() - started)
    assert best < 0.1  # about 4 ms on an idle machine
