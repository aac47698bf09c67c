"""Predictions for rows as people write them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from learning.errors import InvalidArtifact, InvalidData
from learning.manifest import Manifest
from learning.predictor import Predictor
from learning.recipe import Recipe
from learning.registration import compute_statistics, describe_dataset
from learning.session import Session
from learning.statistics import Statistics

CSV = "size,colour,new,note,y\n" + "".join(
    f"{i},{'red' if i % 2 else 'blue'},{'true' if i % 3 else 'false'},n{i},{i % 2}\n" for i in range(600)
)


@pytest.fixture
def predictor(served: Any, tmp_path: Any) -> Predictor:
    """A model of a number, a category, a boolean and a free text; the class is the parity of the number."""
    data = CSV.encode()
    manifest = describe_dataset(io.BytesIO(data), "y", "classification").manifest_bytes
    served.content.update({"data12345": data, "manifest": manifest})
    statistics = compute_statistics(served.open, "data12345", manifest, "y", "classification", "m", 200_000)
    served.content["statistics"] = statistics
    recipe = Recipe(
        model="m", data="data12345", manifest="manifest", target="y", task="classification", metric="accuracy",
        statistics="statistics", holdout_fraction=200_000, holdout_data=None, holdout_manifest=None,
        estimator='{"class":"sklearn.tree.DecisionTreeClassifier","params":{}}',
        partitioning='{"scheme":"disjoint"}', partitions=1, rounds=1, aggregation="ensemble", job="j", seed="00" * 32,
    )  # fmt: skip
    artifact = Session(recipe, served.open, tmp_path).train(0, 0, None).artifact
    return Predictor(
        artifact, Manifest.from_bytes(manifest), Statistics.from_bytes(statistics), "y", "classification"
    )


def test_objects_and_lists_give_the_same(predictor: Predictor) -> None:
    assert predictor.features == ("size", "colour", "new", "note")
    named = predictor.predict([{"size": 7, "colour": "red", "new": True, "note": "x"}])
    listed = predictor.predict([[7, "red", True, "x"]])
    assert named == listed
    assert named == {"predictions": [1], "probabilities": [[0.0, 1.0]], "classes": [0, 1]}


def test_null_is_a_missing_value_and_free_text_may_be_left_out(predictor: Predictor) -> None:
    answer = predictor.predict(
        [{"size": None, "colour": "red", "new": None}, {"size": 1, "colour": None, "new": False}]
    )
    assert answer["predictions"][0] == 1
    assert len(answer["predictions"]) == 2


def test_no_rows_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict([]) == {"predictions": [], "probabilities": [], "classes": [0, 1]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"size": 1, "colour": "red"}, "row 1: feature 'new' is missing; expected size, colour, new, note"),
        ({"size": 1, "colour": "red", "new": True, "y": 1}, "'y' is the target"),
        ({"size": 1, "colour": "red", "new": True, "weight": 1}, "'weight' is not a feature"),
        ({"size": "1", "colour": "red", "new": True}, "'size' must be a finite number or null, came '1'"),
        ({"size": True, "colour": "red", "new": True}, "'size' must be a finite number"),
        ({"size": float("nan"), "colour": "red", "new": True}, "'size' must be a finite number"),
        ({"size": 10**400, "colour": "red", "new": True}, "'size' must be a finite number"),
        ({"size": 1e300, "colour": "red", "new": True}, "too large"),
        ({"size": 1, "colour": 3, "new": True}, "'colour' must be a text or null, came 3"),
        ({"size": 1, "colour": "red", "new": 1}, "'new' must be true or false or null, came 1"),
        ([1, "red", True], "expected 4 values"),
        ("red", "an object or a list"),
        (7, "an object or a list"),
    ],
)
def test_a_row_that_does_not_fit_is_named(predictor: Predictor, row: Any, words: str) -> None:
    with pytest.raises(InvalidData, match=words):
        predictor.predict([[1, "red", True, "x"], row])


def test_rows_must_be_a_list(predictor: Predictor) -> None:
    with pytest.raises(InvalidData, match="a list of objects"):
        predictor.predict({"size": 1})  # type: ignore[arg-type]


def test_statistics_of_another_model_are_refused(job: Callable[..., Session], served: Any) -> None:
    iris = job("iris", "sklearn.naive_bayes.GaussianNB", "merge").train(0, 0, None).artifact
    job("diabetes", "sklearn.linear_model.Ridge", "merge")
    manifest = Manifest.from_bytes(served.content["diabetesmanifest"])
    statistics = Statistics.from_bytes(served.content["diabetesstatistics"])
    with pytest.raises(InvalidArtifact, match="10 columns and 0 classes, the model has 4 and 3"):
        Predictor(iris, manifest, statistics, "y", "regression")


def test_regression_has_values_and_no_classes(job: Callable[..., Session], served: Any) -> None:
    artifact = job("diabetes", "sklearn.linear_model.Ridge", "merge").train_whole().artifact
    manifest = Manifest.from_bytes(served.content["diabetesmanifest"])
    statistics = Statistics.from_bytes(served.content["diabetesstatistics"])
    answer = Predictor(artifact, manifest, statistics, "y", "regression").predict([[0.0] * 10])
    assert answer["probabilities"] is None
    assert answer["classes"] == []
    assert 100 < answer["predictions"][0] < 200
