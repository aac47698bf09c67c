"""Shared by the tests of the learning room: pinned numerics, small tables, a store in a dictionary."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime import numeric

numeric.pin()  # before anything imports numpy

import sklearn.datasets  # noqa: E402

from learning.estimators import check_spec  # noqa: E402
from learning.recipe import Recipe  # noqa: E402
from learning.registration import compute_statistics, describe_dataset  # noqa: E402
from learning.session import Session  # noqa: E402
from learning.tables import Table, read_table  # noqa: E402

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def table_of() -> Callable[[str], Table]:
    """A table from CSV text."""
    return lambda text: read_table(io.BytesIO(text.encode()))


class Served:
    """Content by CID, as workers are handed it; counts what was read."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.opened: list[str] = []

    def open(self, cid: str) -> BinaryIO:
        self.opened.append(cid)
        return io.BytesIO(self.content[cid])


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def datasets() -> Path:
    """The folder of the datasets that come with Assay."""
    return _ROOT / "datasets"


@pytest.fixture
def real_data() -> Path:
    """The folder of larger real datasets that Assay does not carry."""
    folder = os.environ.get("ASSAY_DATASETS")
    if not folder:
        pytest.skip("ASSAY_DATASETS names no folder with boston_housing and california_housing")
    return Path(folder)


@pytest.fixture
def job(served: Served, tmp_path: Path) -> Callable[..., Session]:
    """A session on one of scikit-learn's small datasets, served from memory, with a fifth of the rows held out.

    `job("iris", spec, aggregation, **changes of the recipe)`; the task follows from the dataset.
    """
    return lambda name, spec, aggregation, **changes: Session(
        recipe_on(served.content, name, spec, aggregation, **changes), served.open, tmp_path
    )


def recipe_on(content: dict[str, bytes], name: str, spec: Any, aggregation: str, **changes: Any) -> Recipe:
    """The recipe of a job on a dataset that it puts in `content` under the names that stand for CIDs."""
    loaded = getattr(sklearn.datasets, f"load_{name}")()
    task = "classification" if hasattr(loaded, "target_names") else "regression"
    lines = [",".join([*(f"f{i}" for i in range(loaded.data.shape[1])), "y"])]
    for row, target in zip(loaded.data.tolist(), loaded.target.tolist(), strict=True):
        said = str(loaded.target_names[target]) if task == "classification" else repr(float(target))
        lines.append(",".join([*map(repr, row), said]))
    data = ("\n".join(lines) + "\n").encode()
    name = name.replace("_", "")  # CIDs are letters and digits
    manifest = describe_dataset(io.BytesIO(data), "y", task).manifest_bytes
    content.update({f"{name}data": data, f"{name}manifest": manifest})
    fields: dict[str, Any] = {
        "model": "m", "data": f"{name}data", "manifest": f"{name}manifest", "target": "y", "task": task,
        "metric": "accuracy" if task == "classification" else "r2", "statistics": f"{name}statistics",
        "holdout_fraction": 200_000, "holdout_data": None, "holdout_manifest": None,
        "estimator": check_spec(spec, task), "partitioning": '{"scheme":"disjoint"}', "partitions": 4,
        "rounds": 1, "aggregation": aggregation, "job": "job", "seed": "ab" * 32, **changes,
    }  # fmt: skip
    content[fields["statistics"]] = compute_statistics(
        lambda cid: io.BytesIO(content[cid]), fields["data"], manifest, "y", task, fields["model"], 200_000
    )
    return Recipe(**fields)


@pytest.fixture
def small_spec() -> Callable[[str], dict[str, Any]]:
    return spec_of


def spec_of(path: str) -> dict[str, Any]:
    """A spec of the class that trains in milliseconds."""
    name = path.rsplit(".", 1)[1]
    params: dict[str, Any] = {}
    if name.startswith(("RandomForest", "GradientBoosting")):
        params = {"n_estimators": 3}
    elif name.startswith("HistGradient"):
        params = {"max_iter": 3, "min_samples_leaf": 5}
    elif name.startswith("MLP"):
        params = {"max_iter": 5, "hidden_layer_sizes": [5]}
    return {"class": path, "params": params}
