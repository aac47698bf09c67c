"""The datasets that come with Assay: stable bytes, a card each, what scikit-learn has."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipfs.builder import only_hash
from learning.registration import describe_dataset
from learning.tables import read_table

SHAPES = {  # rows, features, target, task
    "iris": (150, 4, "species", "classification"),
    "wine": (178, 13, "cultivar", "classification"),
    "breast_cancer": (569, 30, "diagnosis", "classification"),
    "digits": (1797, 64, "digit", "classification"),
    "diabetes": (442, 10, "progression", "regression"),
}


def test_there_are_no_others(datasets: Path) -> None:
    assert {path.stem for path in datasets.glob("*.csv")} == set(SHAPES)


def test_the_export_writes_the_same_bytes(datasets: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(datasets / "export.py"), str(tmp_path)], check=True)
    for name in SHAPES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (datasets / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("name", SHAPES)
def test_each_can_be_registered_and_its_card_tells_its_cid(name: str, datasets: Path) -> None:
    rows, features, target, task = SHAPES[name]
    content = (datasets / f"{name}.csv").read_bytes()
    described = describe_dataset(io.BytesIO(content), target, None)
    assert (described.rows, len(described.columns) - 1, described.task) == (rows, features, task)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in described.columns)
    card = (datasets / f"{name}.md").read_text()
    assert f"`{only_hash(io.BytesIO(content))}`" in card
    assert f"| rows | {rows} |" in card
    assert f"`{target}`" in card


@pytest.mark.parametrize("name", SHAPES)
def test_the_numbers_are_those_of_scikit_learn(name: str, datasets: Path) -> None:
    from sklearn import datasets as sklearn_datasets

    bunch: Any = getattr(sklearn_datasets, f"load_{name}")(
        **({"scaled": False} if name == "diabetes" else {})
    )
    table = read_table(io.BytesIO((datasets / f"{name}.csv").read_bytes()))
    *features, target = table.manifest.names
    assert np.array_equal(np.column_stack([table.column(feature) for feature in features]), bunch.data)
    values = table.column(target)
    if values.dtype == object:
        assert values.tolist() == [str(bunch.target_names[index]) for index in bunch.target]
    else:
        assert np.array_equal(values, bunch.target)
