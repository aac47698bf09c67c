"""What registration computes is what everybody computes again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learning.errors import InvalidData, InvalidSpec
from learning.holdout import holdout_mask
from learning.manifest import Manifest, build_manifest
from learning.registration import compute_statistics, describe_dataset, training_rows
from learning.statistics import Statistics, compute
from learning.tables import read_table

DATA, EXAM = "bafkreidata", "bafkreiexam"


@pytest.fixture
def iris(datasets: Path) -> bytes:
    return (datasets / "iris.csv").read_bytes()


def test_a_dataset_is_described_for_registration(iris: bytes) -> None:
    described = describe_dataset(io.BytesIO(iris), "species", None)
    assert (described.rows, described.target, described.task) == (150, "species", "classification")
    assert described.columns == ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
    assert Manifest.from_bytes(described.manifest_bytes) == build_manifest(io.BytesIO(iris))


def test_an_unusable_target_is_told_before_anything_is_registered(iris: bytes) -> None:
    with pytest.raises(InvalidData, match="no column 'flower'; the columns are sepal_length, "):
        describe_dataset(io.BytesIO(iris), "flower", None)


def test_statistics_are_of_the_training_rows_alone(iris: bytes, served: Any, tmp_path: Path) -> None:
    served.content[DATA] = iris
    table = read_table(io.BytesIO(iris))
    manifest = table.manifest.to_bytes()
    rows = np.flatnonzero(~holdout_mask(table, "species", "iris", 200_000))
    expected = compute(table, rows, "species", "classification")
    for cache in (None, tmp_path, tmp_path):
        data = compute_statistics(
            served.open, DATA, manifest, "species", "classification", "iris", 200_000, cache=cache
        )
        assert data == expected.to_bytes()
    assert expected.rows == len(rows) < 150
    assert served.opened == [DATA, DATA]  # the third time from the cache


def test_rows_of_the_holdout_dataset_are_not_measured(iris: bytes, served: Any) -> None:
    lines = iris.splitlines(keepends=True)
    served.content |= {DATA: iris, EXAM: b"".join([lines[0], *lines[1:31]])}
    manifests = [build_manifest(served.open(cid)).to_bytes() for cid in (DATA, EXAM)]
    data = compute_statistics(
        served.open,
        DATA,
        manifests[0],
        "species",
        "classification",
        "iris",
        None,
        holdout_data=EXAM,
        holdout_manifest_bytes=manifests[1],
    )
    assert Statistics.from_bytes(data).rows == 120
    with pytest.raises(InvalidSpec, match="needs its manifest"):
        compute_statistics(
            served.open, DATA, manifests[0], "species", "classification", "iris", None, holdout_data=EXAM
        )


def test_there_is_exactly_one_holdout(iris: bytes) -> None:
    table = read_table(io.BytesIO(iris))
    for fraction, holdout in ((None, None), (200_000, table)):
        with pytest.raises(InvalidSpec, match="not both or neither"):
            training_rows(table, "species", "iris", fraction, holdout)
    with pytest.raises(InvalidData, match="all 150 rows are in the holdout dataset too"):
        training_rows(table, "species", "iris", None, table)


@pytest.mark.parametrize(
    ("path", "target", "rows"),
    [
        ("boston_housing/boston_housing_data.csv", "medv", 506),
        ("california_housing/california_housing.csv", "MedHouseVal", 20_433),
    ],
)
def test_real_data_are_described_and_measured(
    path: str, target: str, rows: int, real_data: Path, served: Any, tmp_path: Path
) -> None:
    content = (real_data / path).read_bytes()
    served.content[DATA] = content
    described = describe_dataset(io.BytesIO(content), target, None)
    assert (described.rows, described.task) == (rows, "regression")
    first, again = (
        compute_statistics(
            served.open, DATA, described.manifest_bytes, target, "regression", "houses", 200_000, cache=tmp_path
        )
        for _ in range(2)
    )
    assert first == again
    assert abs(Statistics.from_bytes(first).rows / rows - 0.8) < 0.06
