"""Documents about data and training: manifests, statistics, specs, partitionings, tables, rows to predict for."""

from __future__ import annotations

import io
import json as plain_json
from functools import cache
from pathlib import Path
from typing import Any

from learning.canonical import from_canonical, to_canonical
from learning.errors import InvalidData, InvalidSpec
from learning.estimators import check_rounds, check_spec, parse_spec
from learning.evaluation import check_metric
from learning.manifest import Manifest
from learning.partitions import parse_partitioning
from learning.predictor import Predictor
from learning.reading import read_csv
from learning.registration import compute_statistics, describe_dataset
from learning.statistics import Statistics
from learning.tables import read_table
from learning.targets import check_target
from tests.fuzz.decoders import Decoder, as_json, as_text
from tests.fuzz.decoders_chain import json
from tests.fuzz.mutate import Example

DATASETS = Path(__file__).parents[2] / "datasets"
CSV = b"\n".join((DATASETS / "iris.csv").read_bytes().splitlines()[:12]) + b"\n"
MIXED = "\r\n".join((
    "size,colour,ok,note,y", '1.5,red,true,"a ""b"", c",1', "-2e3,größe,false,,2", ",red,TRUE,x,3", "4,blue,,,4", "",
)).encode()  # fmt: skip
SPECS = (
    b'{"class":"sklearn.linear_model.LogisticRegression","params":{"C":0.5,"max_iter":100,"penalty":"l2"}}',
    b'{"class":"sklearn.neural_network.MLPClassifier","params":{"hidden_layer_sizes":[8,4],"alpha":0.001}}',
    b'{"pipeline":[{"class":"sklearn.preprocessing.StandardScaler"},{"class":"sklearn.naive_bayes.GaussianNB",'
    b'"params":{"var_smoothing":1e-9}}]}',
    b'{"class":"sklearn.ensemble.RandomForestClassifier","params":{"n_estimators":10,"max_depth":3}}',
)


@cache
def manifest() -> bytes:
    """The manifest of a small table."""
    return describe_dataset(io.BytesIO(MIXED), "y", "regression").manifest_bytes


@cache
def statistics() -> bytes:
    """The statistics of its rows."""
    return compute_statistics(
        lambda _cid: io.BytesIO(MIXED), "bafkfuzz", manifest(), "y", "regression", "fuzz", 200_000
    )


@cache
def predictor() -> Predictor:
    """A model of Iris that rows are predicted with."""
    from tests.fuzz.decoders_models import artifacts

    data = (DATASETS / "iris.csv").read_bytes()
    described = describe_dataset(io.BytesIO(data), "species", None)
    about = compute_statistics(
        lambda _cid: io.BytesIO(data), "bafkfuzz", described.manifest_bytes, "species", described.task, "iris", 200_000
    )
    read = Manifest.from_bytes(described.manifest_bytes), Statistics.from_bytes(about)
    return Predictor(artifacts()["linear"][0], *read, "species", described.task)


def _table(data: bytes) -> Any:
    found = read_table(io.BytesIO(data))
    for name in found.manifest.names:
        found.column(name)
    return found


def _described(data: bytes) -> Any:
    found = describe_dataset(io.BytesIO(data), "y", None)
    return Manifest.from_bytes(found.manifest_bytes)


def _target(data: bytes) -> Any:
    name, _, table = data.partition(b"\n")
    try:
        found = read_table(io.BytesIO(table))
    except InvalidData:
        found = read_table(io.BytesIO(MIXED))
    return check_target(found, as_text(name), None)


def _spec(data: bytes) -> Any:
    value = as_json(data)
    plan = parse_spec(value if isinstance(value, dict) else plain_json.dumps(value), "classification")
    plan.build(1)
    check_rounds(plan, "auto", 1)
    return plan


def _statistics(data: bytes) -> Any:
    from learning.features import feature_names

    found = Statistics.from_bytes(data)
    feature_names(found)
    return found


def decoders() -> list[Decoder]:
    spec = json(*SPECS)
    partitionings = json(b'{"scheme":"disjoint","redraw":true}', b'{"fraction":0.5,"scheme":"bootstrap"}')
    tables = (Example(CSV), Example(MIXED))
    return [
        Decoder("learning/canonical.from_canonical",
                lambda data: from_canonical(data, "the fuzz", InvalidData, 1 << 20), json(*SPECS[:1], manifest()),
                (InvalidData,), ("learning.canonical.from_canonical",),
                lambda value, data: to_canonical(value) == data),
        Decoder("learning/manifest.Manifest", Manifest.from_bytes, json(manifest()), (InvalidData,),
                ("learning.manifest.Manifest.from_bytes",), lambda value, data: value.to_bytes() == data),
        Decoder("learning/statistics.Statistics", _statistics, json(statistics()), (InvalidData,),
                ("learning.statistics.Statistics.from_bytes",), lambda value, data: value.to_bytes() == data),
        Decoder("learning/estimators.parse_spec", _spec, spec, (InvalidSpec,),
                ("learning.estimators.parse_spec", "learning.estimators.check_rounds"),
                lambda value, data: check_spec(value.text, "classification") == value.text),
        Decoder("learning/estimators.check_spec", lambda data: check_spec(as_text(data), "classification"), spec,
                (InvalidSpec,), ("learning.estimators.check_spec",),
                lambda value, data: check_spec(value, "classification") == value),
        Decoder("learning/partitions.parse_partitioning", lambda data: parse_partitioning(as_text(data)),
                partitionings, (InvalidSpec,), ("learning.partitions.parse_partitioning",),
                lambda value, data: parse_partitioning(value) == value),
        Decoder("learning/partitions.object", lambda data: parse_partitioning(as_json(data)), partitionings,
                (InvalidSpec,), ("learning.partitions.parse_partitioning",)),
        Decoder("learning/evaluation.check_metric", lambda data: check_metric(as_text(data), "classification"),
                (Example(b"accuracy"),), (InvalidSpec,), ("learning.evaluation.check_metric",)),
        Decoder("learning/reading.read_csv", lambda data: read_csv(io.BytesIO(data)), tables, (InvalidData,),
                ("learning.reading.read_csv",)),
        Decoder("learning/tables.read_table", _table, tables, (InvalidData,), ("learning.tables.read_table",)),
        Decoder("learning/registration.describe_dataset", _described,
                (Example(MIXED.replace(b"3\r", b"3.5\r")),), (InvalidData,),
                ("learning.registration.describe_dataset",)),
        Decoder("learning/targets.check_target", _target, (Example(b"colour\n" + MIXED),), (InvalidData,),
                ("learning.targets.check_target",)),
        Decoder("learning/predictor.predict", lambda data: predictor().predict(as_json(data)),
                json(b'[{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}]',
                     b"[[5.1,3.5,1.4,null],[1,2,3,4]]"),
                (InvalidData,), ()),
    ]  # fmt: skip
