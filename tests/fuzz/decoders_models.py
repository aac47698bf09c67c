"""Artifacts of models: whatever another party's bytes hold, loading refuses them or gives a model that predicts."""

from __future__ import annotations

import json as plain_json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785

from learning.artifacts.codec import dump, load
from learning.artifacts.envelope import unpack
from learning.errors import InvalidArtifact, InvalidData
from tests.fuzz.decoders import Decoder
from tests.fuzz.mutate import Example
from tests.lab import Lab

ESTIMATORS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "linear": (("linear_model.LogisticRegression", {"max_iter": 20}), ("linear_model.SGDClassifier", {"max_iter": 5})),
    "network": (("neural_network.MLPClassifier", {"hidden_layer_sizes": [3], "max_iter": 5}),),
    "merged": (("naive_bayes.GaussianNB", {}),),
    "neighbours": (("neighbors.KNeighborsClassifier", {"n_neighbors": 2}),),
    "trees": (
        ("tree.DecisionTreeClassifier", {"max_depth": 2}),
        ("ensemble.RandomForestClassifier", {"n_estimators": 2, "max_depth": 2}),
        ("ensemble.GradientBoostingClassifier", {"n_estimators": 1, "max_depth": 2}),
    ),
    "histogram": (("ensemble.HistGradientBoostingClassifier", {"max_iter": 1, "max_leaf_nodes": 3,
                                                               "min_samples_leaf": 2}),),
}  # fmt: skip
#: Rows as they are predicted for: plain, and of missing values imputed by zeros.
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [0.0, 0.0, 0.0, 0.0], [1e6, -1e6, 1e30, -1.0]])


@cache
def artifacts() -> dict[str, tuple[bytes, ...]]:
    """Updates as a worker makes them, by what they are of."""
    where = Path(tempfile.mkdtemp(prefix="assay-fuzz-"))
    try:
        lab = Lab(where).register()
        found = {}
        for name, estimators in ESTIMATORS.items():
            made = []
            for kind, params in estimators:
                job = lab.open({"class": f"sklearn.{kind}", "params": params}, partitions=10, minimum_updates=10)
                session = lab.session(job)
                updates = [(session.train(0, each, None).artifact, 15) for each in range(2)]
                made.append(updates[0][0])
                if kind == "tree.DecisionTreeClassifier":
                    found["ensemble"] = (session.aggregate(0, updates).artifact,)
            found[name] = tuple(made)
        return found
    finally:
        shutil.rmtree(where)


def examples(artifact: bytes) -> list[Example]:
    """One artifact to be spoiled in three ways: its arrays' table, our own header inside, and any byte."""
    length = int.from_bytes(artifact[:8], "little")
    outer = plain_json.loads(artifact[8 : 8 + length])
    arrays = artifact[8 + length :]

    def with_outer(text: bytes) -> bytes:
        return len(text).to_bytes(8, "little") + text + arrays

    def with_inner(text: bytes) -> bytes:
        header = {**outer, "__metadata__": {"assay": text.decode("utf-8", "replace")}}
        written = plain_json.dumps(header, separators=(",", ":")).encode()
        return with_outer(written + b" " * (-len(written) % 8))

    def with_arrays(data: bytes) -> bytes:
        return artifact[: 8 + length] + (data + bytes(len(arrays)))[: len(arrays)]

    inner = rfc8785.dumps(plain_json.loads(outer["__metadata__"]["assay"]))
    return [
        Example(artifact[8 : 8 + length].rstrip(), "json", with_outer), Example(inner, "json", with_inner),
        Example(arrays, "bytes", with_arrays), Example(artifact),
    ]  # fmt: skip


def _used(data: bytes) -> Any:
    """Load, and predict as who serves it does."""
    model, plan = load(data)
    if model.features == ROWS.shape[1]:
        model.predict(ROWS)
        model.probabilities(ROWS)
    return model, plan


def _again(value: Any, data: bytes) -> bool:
    """What was read is written as the artifact of the same model."""
    model, plan = value
    written = dump(model, plan)
    return dump(*load(written)) == written


def decoders() -> list[Decoder]:
    found = artifacts()
    every = [example for made in found.values() for example in examples(made[0])]
    return [
        Decoder("models/envelope.unpack", unpack, every, (InvalidArtifact,), ("learning.artifacts.envelope.unpack",)),
        *(
            Decoder(f"models/load.{name}", _used, [example for one in made for example in examples(one)],
                    (InvalidArtifact, InvalidData), ("learning.artifacts.codec.load",), _again)
            for name, made in found.items()
        ),
    ]  # fmt: skip
