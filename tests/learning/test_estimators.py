"""An estimator spec is checked in full before it goes on the chain."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.catalogue import CATALOGUE, ESTIMATORS, FIXED
from learning.errors import InvalidSpec
from learning.estimators import check_rounds, check_spec, parse_spec, resolve_aggregation

RIDGE = "sklearn.linear_model.Ridge"
FOREST = "sklearn.ensemble.RandomForestClassifier"
SCALER = {"class": "sklearn.preprocessing.StandardScaler"}


def of(path: str, **params: Any) -> dict[str, Any]:
    return {"class": path, "params": params}


def test_the_text_is_canonical() -> None:
    expected = '{"class":"sklearn.linear_model.Ridge","params":{"alpha":0.5,"tol":0.001}}'
    assert check_spec(of(RIDGE, tol=1e-3, alpha=0.5), "regression") == expected
    assert check_spec(expected, "regression") == expected


def test_a_bare_name_and_missing_params_mean_the_defaults() -> None:
    expected = '{"class":"sklearn.linear_model.Ridge","params":{}}'
    assert check_spec(RIDGE, "regression") == check_spec({"class": RIDGE}, "regression") == expected


def test_a_pipeline_of_one_is_the_estimator() -> None:
    assert check_spec({"pipeline": [of(RIDGE)]}, "regression") == check_spec(RIDGE, "regression")


@pytest.mark.parametrize("path", ESTIMATORS)
def test_every_class_is_accepted_alone_and_behind_scaling_and_can_be_built(path: str) -> None:
    task = CATALOGUE[path].task or ""
    assert type(parse_spec(path, task).build(7)).__name__ == CATALOGUE[path].name
    minmax = {"class": "sklearn.preprocessing.MinMaxScaler", "params": {"feature_range": [-1, 1], "clip": True}}
    text = check_spec({"pipeline": [SCALER, minmax, {"class": path}]}, task)
    assert check_spec(text, task) == text


@pytest.mark.parametrize(
    ("spec", "task", "words"),
    [
        (of("sklearn.svm.SVC"), "classification", ["sklearn.svm.SVC", "not allowed"]),
        (of("os.system"), "classification", ["os.system", "not allowed"]),
        (of(RIDGE, alpha="x"), "regression", ["alpha", "a float in the range", "'x'"]),
        (of(RIDGE, alpha=-1), "regression", ["alpha", "-1"]),
        (of(RIDGE, alpha=[1.0, 2.0]), "regression", ["alpha", "[1.0, 2.0]"]),
        (of(RIDGE, solver="nope"), "regression", ["solver", "cholesky", "nope"]),
        (of(RIDGE, beta=1), "regression", ["beta", "does not exist", "alpha"]),
        (of(RIDGE, random_state=1), "regression", ["random_state", "derived from the job's seed"]),
        (of(FOREST, n_jobs=2), "classification", ["n_jobs", "one thread"]),
        (of(FOREST, warm_start=True), "classification", ["warm_start"]),
        (of(FOREST, verbose=1), "classification", ["verbose"]),
        (of(FOREST, max_features=1.0), "classification", ["max_features", "canonical JSON"]),
        (of(FOREST, n_estimators=10**9), "classification", ["n_estimators", "at most 2000"]),
        (of(FOREST, class_weight={"a": 1}), "classification", ["class_weight"]),
        (of(RIDGE), "classification", ["regression", "classification", "LogisticRegression"]),
        (of(RIDGE, alpha=float("nan")), "regression", ["alpha", "below 2**53"]),
        ({"class": RIDGE, "args": []}, "regression", ["args"]),
        ({"pipeline": []}, "regression", ["pipeline", "1 to 4"]),
        ({"pipeline": [SCALER]}, "regression", ["last step", "StandardScaler"]),
        ({"pipeline": [of(RIDGE), of(RIDGE)]}, "regression", ["before the estimator"]),
        ({"pipeline": [SCALER] * 9 + [of(RIDGE)]}, "regression", ["1 to 4"]),
        ({"pipeline": [{"pipeline": [of(RIDGE)]}]}, "regression", ["pipeline", "step"]),
        ('{"class": "a", "class": "b"}', "regression", ["twice"]),
        ("{" * 10_000, "regression", ["not JSON"]),
        ("{" + " " * 20_000 + "}", "regression", ["16384"]),
        ([], "regression", ["expected an estimator"]),
        (of("sklearn.neighbors.KNeighborsClassifier", metric="pyfunc"), "classification", ["metric", "euclidean"]),
        (of("sklearn.neighbors.KNeighborsClassifier", n_neighbors=None), "classification", ["n_neighbors"]),
        (of("sklearn.neighbors.KNeighborsClassifier", p=None), "classification", ["'p'", "a number", "null"]),
        ('{"class":"sklearn.neighbors.KNeighborsRegressor","params":{"p":null}}', "regression", ["'p'", "null"]),
        (of("sklearn.linear_model.Lasso", max_iter=None), "regression", ["max_iter", "a number", "null"]),
        (of("sklearn.naive_bayes.GaussianNB", priors=[0.5, 0.6]), "classification", ["priors", "sum to 1"]),
        (of("sklearn.neural_network.MLPClassifier", hidden_layer_sizes=[0]), "classification", ["1 or more"]),
        (of("sklearn.neural_network.MLPClassifier", hidden_layer_sizes=[2] * 99), "classification", ["16 layers"]),
    ],
)
def test_what_is_refused_and_what_the_refusal_says(spec: Any, task: str, words: list[str]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        check_spec(spec, task)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_every_fixed_parameter_is_refused_by_name() -> None:
    for path in ESTIMATORS:
        for name in FIXED.keys() & CATALOGUE[path].type._parameter_constraints.keys():
            with pytest.raises(InvalidSpec, match=name):
                check_spec(of(path, **{name: None}), CATALOGUE[path].task or "")


def _nullable() -> list[tuple[str, str]]:
    """Class and parameter where null is accepted."""
    found = []
    for path in ESTIMATORS:
        for name in sorted(CATALOGUE[path].type._parameter_constraints.keys() - FIXED.keys()):
            with contextlib.suppress(InvalidSpec):
                check_spec(of(path, **{name: None}), CATALOGUE[path].task or "")
                found.append((path, name))
    return found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("path", "name"), _nullable())
def test_where_null_is_accepted_training_takes_it(path: str, name: str) -> None:
    entry = CATALOGUE[path]
    rows = np.random.default_rng(0).normal(size=(40, 3))
    targets = (rows[:, 0] > 0).astype(int) if entry.task == "classification" else rows[:, 0]
    params: dict[str, Any] = {name: None}
    if "n_estimators" in entry.type._parameter_constraints:
        params["n_estimators"] = 2
    model = parse_spec(of(path, **params), entry.task or "").build(7).fit(rows, targets)
    assert model.predict(rows).shape == (40,)


def test_a_whole_number_serves_where_a_fraction_is_meant() -> None:
    """1.0 is 1 in canonical JSON; where only floats are allowed it is a float again."""
    path = "sklearn.ensemble.HistGradientBoostingRegressor"
    text = check_spec(of(path, max_features=1.0), "regression")
    value = parse_spec(text, "regression").estimator.params["max_features"]
    assert (value, type(value)) == (1.0, float)


def test_aggregation_is_the_best_one_possible_unless_asked_otherwise() -> None:
    assert resolve_aggregation(RIDGE, "auto") == "merge"
    assert resolve_aggregation(of(RIDGE, positive=True), "auto") == "average"
    assert resolve_aggregation("sklearn.linear_model.SGDClassifier", "auto") == "average"
    assert resolve_aggregation(FOREST, "auto") == "ensemble"
    assert resolve_aggregation(RIDGE, "ensemble") == "ensemble"
    with pytest.raises(InvalidSpec, match=r"'average' is not possible for .*expected auto, ensemble"):
        resolve_aggregation(FOREST, "average")


def test_an_ensemble_has_one_round() -> None:
    check_rounds("sklearn.linear_model.SGDClassifier", "average", 5)
    check_rounds(RIDGE, "merge", 5)
    with pytest.raises(InvalidSpec, match="ensemble is complete after one round, came 2"):
        check_rounds(FOREST, "auto", 2)
    with pytest.raises(InvalidSpec, match="1 to 100, came 0"):
        check_rounds(RIDGE, "merge", 0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["class", "params", "pipeline", "alpha"]), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_json_value_does_worse_than_invalid_spec(value: Any) -> None:
    for spec in (value, of(RIDGE, alpha=value), of(FOREST, max_features=value)):
        for task in ("regression", "classification"):
            try:
                text = check_spec(spec, task)
            except InvalidSpec:
                continue
            assert check_spec(text, task) == text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sklearn.linear_model.LogisticRegresion", "sklearn.linear_model.LogisticRegression"),
        ("sklearn.GaussianNB", "sklearn.naive_bayes.GaussianNB"),
        ("randomforestclassifier", "sklearn.ensemble.RandomForestClassifier"),
    ],
)
def test_a_class_that_is_nearly_right_is_answered_with_the_one_that_was_meant(written: str, meant: str) -> None:
    with pytest.raises(InvalidSpec, match=f"is not allowed; did you mean .*{meant}") as caught:
        check_spec({"class": written, "params": {}}, "classification")
    assert len(str(caught.value)) < 300
    with pytest.raises(InvalidSpec, match="expected one of "):
        check_spec({"class": "os.system", "params": {}}, "classification")
