"""Models, versions, predictions and evaluations over HTTP. On a real node, an embedded store and real learning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.coordinator.http import fields, get, post, problem


def test_the_default_policy_of_a_model_that_came_with_its_first_job(network, iris) -> None:
    model = network.client.model("iris-nb")
    assert (model["metric"], model["holdout"], model["minimum_improvement"]) == (
        "accuracy",
        {"fraction": 0.2, "dataset": None},
        0.0,
    )
    assert model["audit_fraction"] == 1.0
    assert model["version"] is not None
    assert model["version"]["version"] >= 1  # other tests of the session may have trained it again
    assert model["version"]["final"] is True


def test_a_model_is_registered_once_and_its_policy_is_fixed(network, iris) -> None:
    body = {"name": "iris-strict", "datasets": ["iris"], "minimum_improvement": 0.01, "metric": "f1_macro"}
    first = post(network, "/api/v1/models", body)
    assert first.status_code == 201
    again = post(network, "/api/v1/models", body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = problem(post(network, "/api/v1/models", body | {"minimum_improvement": 0.5}), 409)
    assert "minimum_improvement" in other["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": "r2"}, "metric"),
        ({"holdout": {"fraction": 0.2, "dataset": "iris"}}, "holdout"),
        ({"holdout": {"fraction": 1.5}}, "holdout.fraction"),
        ({"audit_fraction": 0.5}, "audit_fraction"),
        ({"openers": ["0xABC"]}, "openers.0"),
        ({"task": "regression"}, "datasets"),
        ({"datasets": []}, "datasets"),
    ],
)
def test_a_wrong_field_of_a_model_is_named(network, iris, change: dict[str, Any], field: str) -> None:
    body = {"name": "iris-wrong", "datasets": ["iris"]} | change
    named = fields(problem(post(network, "/api/v1/models", body), 400))
    assert any(name.startswith(field) for name in named), named


def test_a_version_shows_its_votes_and_an_unknown_one_is_404(network, iris) -> None:
    version = network.client.version("iris-nb", 1)
    assert version["job"] == iris["job"]
    assert len(version["votes"]) >= 3
    assert network.client.versions("iris-nb")[0]["cid"] == version["cid"]
    problem(get(network, "/api/v1/models/iris-nb/versions/99"), 404)
    problem(get(network, "/api/v1/models/nobody"), 404)
    problem(get(network, "/api/v1/models/nobody/versions"), 404)


def test_the_version_in_service_at_a_time(network, iris) -> None:
    before = get(network, "/api/v1/models/iris-nb?at=2020-01-01T00:00:00Z").json()
    assert before["version"] is None
    later = get(network, "/api/v1/models/iris-nb?at=2100-01-01T00:00:00%2B02:00").json()
    assert later["version"]["version"] >= 1
    assert fields(problem(get(network, "/api/v1/models/iris-nb?at=yesterday"), 400)) == {"at"}


def test_predictions_of_rows_as_objects_and_as_arrays_agree(network, iris) -> None:
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    row = [5.1, 3.5, 1.4, 0.2]
    found = network.client.predict("iris-nb", [row, dict(zip(names, row, strict=True))])
    assert found["predictions"] == ["setosa", "setosa"]
    assert found["probabilities"] is not None
    assert found["probabilities"][0] == found["probabilities"][1]
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    assert found["cid"] == network.client.model("iris-nb")["version"]["cid"]


@pytest.mark.parametrize("row", [[1.0], {"sepal_length": 1.0}, ["a", "b", "c", "d"], {"petal": 1, "sepal_width": 2}])
def test_a_row_that_does_not_fit_is_a_wrong_field(network, iris, row: Any) -> None:
    found = problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": [row]}), 400)
    assert any(name.startswith("rows") for name in fields(found))


def test_a_prediction_has_bounds_and_needs_a_final_version(network, iris) -> None:
    problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": []}), 400)
    problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": [[1, 2, 3, 4]] * 10_001}), 413)
    post(network, "/api/v1/models", {"name": "iris-empty", "datasets": ["iris"]})
    found = problem(post(network, "/api/v1/models/iris-empty/predict", {"rows": [[1, 2, 3, 4]]}), 409)
    assert "no final version" in found["detail"]


def test_the_evaluation_repeats_the_version_s_score(network, iris) -> None:
    found = network.client.evaluation("iris-nb")
    assert found["metrics"]["accuracy"] == pytest.approx(network.client.version("iris-nb", 1)["score"], abs=1e-6)
    assert len(found["metrics"]["confusion_matrix"]) == 3
