"""Equal training gives equal bytes, in any process; what is loaded predicts the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.artifacts.codec import dump, load
from learning.artifacts.envelope import pack, unpack
from learning.catalogue import CATALOGUE, ESTIMATORS, REGRESSION
from learning.errors import InvalidArtifact
from learning.estimators import possible_aggregations
from learning.models import Constant, Fitted
from learning.session import Session
from learning.training import train

_TRAIN_ALL = """
import importlib.util, io, json, hashlib, sys, tempfile
from pathlib import Path
spec = importlib.util.spec_from_file_location("helpers", sys.argv[1])
helpers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helpers)
from learning.catalogue import CATALOGUE, ESTIMATORS
from learning.estimators import possible_aggregations
from learning.session import Session
content, digests = {}, {}
with tempfile.TemporaryDirectory() as folder:
    for path in ESTIMATORS:
        name = "iris" if CATALOGUE[path].task == "classification" else "diabetes"
        for way in possible_aggregations(path):
            recipe = helpers.recipe_on(content, name, helpers.spec_of(path), way)
            session = Session(recipe, lambda cid: io.BytesIO(content[cid]), Path(folder))
            digests[f"{path} {way}"] = hashlib.sha256(session.train(0, 1, None).artifact).hexdigest()
print(json.dumps(digests))
"""


def test_two_processes_that_train_the_same_partition_make_the_same_bytes() -> None:
    """Every supported class, every way to combine it; hash seeds differ between the processes."""
    helpers = Path(__file__).parents[1] / "conftest.py"
    root = Path(__file__).parents[3]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _TRAIN_ALL, str(helpers)],
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]
    first, second = (json.loads(run.communicate(timeout=120)[0]) for run in runs)
    assert first == second
    assert {key.split()[0] for key in first} == set(ESTIMATORS)


def cases() -> list[tuple[str, str]]:
    return [(path, way) for path in ESTIMATORS for way in possible_aggregations(path)]


@pytest.mark.parametrize("scaled", [False, True], ids=["raw", "scaled"])
@pytest.mark.parametrize(("path", "way"), cases(), ids=lambda v: v.split(".")[-1])
def test_a_model_survives_the_round_trip_bit_for_bit(
    job: Callable[..., Session], small_spec: Callable[[str], dict[str, Any]], path: str, way: str, scaled: bool
) -> None:
    spec = small_spec(path)
    if scaled:
        spec = {"pipeline": [{"class": "sklearn.preprocessing.MinMaxScaler"}, spec]}
    session = job("iris" if CATALOGUE[path].task != REGRESSION else "diabetes", spec, way)
    data, setting = session._ready()
    rows = session.partition_rows(0, 2)
    model = train(setting, data.matrix[rows], data.targets[rows], 7, None)
    artifact = dump(model, setting.plan)
    again, plan = load(artifact)
    assert plan.text == setting.plan.text
    assert dump(again, plan) == artifact
    for matrix in (data.matrix, data.holdout_matrix[:1]):
        assert np.array_equal(again.predict(matrix), model.predict(matrix))
        before, after = model.probabilities(matrix), again.probabilities(matrix)
        assert (before is None and after is None) or np.array_equal(before, after)  # type: ignore[arg-type]
    update = session.train(0, 2, None)
    aggregate = session.aggregate(0, [(update.artifact, update.rows)] * 2)
    assert dump(load(aggregate.artifact)[0], plan) == aggregate.artifact


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("breast_cancer", {"class": "sklearn.linear_model.LogisticRegression", "params": {"fit_intercept": False}}),
        ("breast_cancer", {"class": "sklearn.neural_network.MLPClassifier",
                           "params": {"solver": "lbfgs", "max_iter": 5}}),
        ("breast_cancer", {"class": "sklearn.ensemble.GradientBoostingClassifier",
                           "params": {"n_estimators": 3, "loss": "exponential", "init": "zero"}}),
        ("breast_cancer", {"class": "sklearn.ensemble.HistGradientBoostingClassifier", "params": {"max_iter": 3}}),
        ("breast_cancer", {"class": "sklearn.linear_model.SGDClassifier",
                           "params": {"average": True, "loss": "log_loss"}}),
        ("diabetes", {"class": "sklearn.ensemble.GradientBoostingRegressor",
                      "params": {"n_estimators": 3, "loss": "huber"}}),
        ("diabetes", {"class": "sklearn.ensemble.GradientBoostingRegressor",
                      "params": {"n_estimators": 30, "n_iter_no_change": 2}}),
        ("diabetes", {"class": "sklearn.ensemble.HistGradientBoostingRegressor",
                      "params": {"max_iter": 3, "loss": "poisson", "early_stopping": True}}),
        ("diabetes", {"class": "sklearn.neural_network.MLPRegressor",
                      "params": {"loss": "poisson", "max_iter": 3, "hidden_layer_sizes": 4}}),
        ("diabetes", {"class": "sklearn.linear_model.LinearRegression", "params": {"positive": True}}),
        ("diabetes", {"class": "sklearn.tree.DecisionTreeRegressor", "params": {"ccp_alpha": 5, "max_leaf_nodes": 9}}),
        ("iris", {"class": "sklearn.ensemble.RandomForestClassifier",
                  "params": {"n_estimators": 2, "criterion": "entropy", "class_weight": "balanced"}}),
        ("iris", {"class": "sklearn.neighbors.KNeighborsClassifier",
                  "params": {"metric": "cosine", "algorithm": "brute", "n_neighbors": 90}}),
    ],
    ids=lambda v: v["class"].split(".")[-1] if isinstance(v, dict) else v,
)  # fmt: skip
def test_parameters_that_change_what_is_fitted(job: Callable[..., Session], name: str, spec: dict[str, Any]) -> None:
    session = job(name, spec, "ensemble")
    data, setting = session._ready()
    rows = session.partition_rows(0, 0)
    model = train(setting, data.matrix[rows], data.targets[rows], 7, None)
    again = load(dump(model, setting.plan))[0]
    assert np.array_equal(again.predict(data.matrix), model.predict(data.matrix))
    before, after = model.probabilities(data.matrix), again.probabilities(data.matrix)
    assert (before is None and after is None) or np.array_equal(before, after)  # type: ignore[arg-type]


def test_column_order_is_kept(job: Callable[..., Session]) -> None:
    """A column-ordered matrix restored row by row predicts other bits."""
    session = job("iris", "sklearn.linear_model.LogisticRegression", "average")
    artifact = session.train(0, 0, None).artifact
    assert unpack(artifact)[0]["fortran"] == ["coef"]
    model = load(artifact)[0]
    assert isinstance(model, Fitted)
    assert model.estimator.coef_.flags.f_contiguous
    assert not model.estimator.coef_.flags.c_contiguous


def test_a_constant_is_a_model(job: Callable[..., Session]) -> None:
    plan = job("iris", "sklearn.linear_model.SGDClassifier", "ensemble")._plan
    assert load(dump(Constant(4, 3, 2), plan))[0] == Constant(4, 3, 2)


def changed(artifact: bytes, **fields: Any) -> bytes:
    header, arrays = unpack(artifact)
    header.update(fields)
    return pack({k: v for k, v in header.items() if k not in {"format", "version", "fortran"}}, arrays)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "clustering"}, "task"),
        ({"task": {"classification": 1}}, "task"),
        ({"task": ["classification"]}, "task"),
        ({"estimator": '{"class":"os.system","params":{}}'}, "os.system"),
        ({"estimator": ' {"class":"sklearn.linear_model.Ridge","params":{}}'}, "task"),
        ({"estimator": '{"class": "sklearn.linear_model.LogisticRegression"}'}, "canonically"),
        ({"features": 5}, "shape"),
        ({"features": True}, "features"),
        ({"classes": 2}, "within 0..1"),
        ({"classes": 10**9}, "classes"),
        ({"kind": "pickle"}, "unknown kind"),
        ({"kind": "merged"}, "no statistics that merge"),
        ({"kind": "constant", "label": 3}, "unknown array"),
        ({"kind": "ensemble", "members": []}, "1 to 256"),
        ({"kind": "ensemble", "members": [{"kind": "fitted", "rows": 0}]}, "rows"),
        ({"kind": "ensemble", "members": [{"kind": "ensemble", "rows": 1}]}, "unknown kind"),
        ({"scaling": "none"}, "scaling"),
        ({"scaling": [{"low": None, "high": 1}]}, "two numbers or two nulls"),
        ({"scaling": [{"low": None, "high": None}]}, "scaling.0.offset"),
    ],
)
def test_a_header_that_contradicts_the_model_is_refused(
    job: Callable[..., Session], fields: dict[str, Any], words: str
) -> None:
    artifact = job("iris", "sklearn.linear_model.LogisticRegression", "average").train(0, 0, None).artifact
    with pytest.raises(InvalidArtifact, match=words):
        load(changed(artifact, **fields))


def test_arrays_that_contradict_the_model_are_refused(job: Callable[..., Session]) -> None:
    artifact = job("iris", "sklearn.linear_model.LogisticRegression", "average").train(0, 0, None).artifact
    header, arrays = unpack(artifact)
    header = {k: v for k, v in header.items() if k not in {"format", "version", "fortran"}}
    for name, array in (
        ("coef", np.zeros((3, 4), dtype=np.float32)),
        ("coef", np.zeros((4, 3))),
        ("classes", np.array([0, 2, 1])),
        ("classes", np.array([0, 1, 3])),
        ("classes", np.array([0, 6 * 10**18, -5 * 10**18])),  # their differences wrap around to above 0
        ("more", np.zeros(1)),
    ):
        with pytest.raises(InvalidArtifact, match=name if name != "classes" else "classes must rise"):
            load(pack(header, {**arrays, name: array}))
    del arrays["intercept"]
    with pytest.raises(InvalidArtifact, match=r"intercept.*came nothing"):
        load(pack(header, arrays))


def test_a_parameter_that_only_fitting_refuses_makes_no_model(job: Callable[..., Session]) -> None:
    artifact = job("iris", "sklearn.neighbors.KNeighborsClassifier", "merge").train(0, 0, None).artifact
    spec = '{"class":"sklearn.neighbors.KNeighborsClassifier","params":{"p":null}}'
    with pytest.raises(InvalidArtifact, match=r"'p' of .*KNeighborsClassifier"):
        load(changed(artifact, estimator=spec))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_do_no_worse_than_invalid_artifact(data: st.DataObject) -> None:
    artifact = _SMALL[data.draw(st.sampled_from(sorted(_SMALL)))]
    bytes_ = bytearray(artifact)
    for _ in range(data.draw(st.integers(1, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(bytes_), len(bytes_) - 1, len(bytes_) // 2]))
    try:
        model, plan = load(bytes(bytes_[:cut]))
        model.predict(np.zeros((3, model.features)))
        dump(model, plan)
    except InvalidArtifact:
        pass


_SMALL: dict[str, bytes] = {}


@pytest.fixture(autouse=True)
def small_artifacts(
    request: pytest.FixtureRequest, job: Callable[..., Session], small_spec: Callable[[str], dict[str, Any]]
) -> None:
    if _SMALL or "damaged" not in request.node.name:
        return
    for path in ESTIMATORS:
        name = "iris" if CATALOGUE[path].task != REGRESSION else "diabetes"
        for way in possible_aggregations(path):
            _SMALL[f"{path} {way}"] = job(name, small_spec(path), way).train(0, 0, None).artifact
