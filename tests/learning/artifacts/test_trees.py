"""Hostile trees: nothing that is loaded may loop or read outside its arrays when it predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from learning.artifacts import trees
from learning.artifacts.codec import load
from learning.artifacts.envelope import Fields, pack, unpack
from learning.errors import InvalidArtifact
from learning.session import Session

TREE = {"class": "sklearn.tree.DecisionTreeClassifier"}
HISTOGRAM = {"class": "sklearn.ensemble.HistGradientBoostingClassifier",
             "params": {"max_iter": 1, "min_samples_leaf": 3}}  # fmt: skip


def reload(artifact: bytes, name: str, change: Callable[[Any], object]) -> None:
    header, arrays = unpack(artifact)
    change(arrays[name])
    load(pack({k: v for k, v in header.items() if k not in {"format", "version", "fortran"}}, arrays))


def put(index: int, value: int) -> Callable[[Any], object]:
    return lambda array: array.__setitem__(index, value)


@pytest.mark.parametrize(
    ("name", "index", "value", "words"),
    [
        ("tree.left_child", 0, 0, "before it or outside"),  # its own child: a loop
        ("tree.right_child", 0, 1, "exactly one parent"),  # both children the same
        ("tree.right_child", 0, 10**6, "before it or outside"),
        ("tree.right_child", 0, -1, "one child"),
        ("tree.left_child", 0, -7, "before it or outside"),
        ("tree.feature", 0, 4, "outside 0..3"),
        ("tree.feature", 0, -2, "outside 0..3"),
        ("tree.missing_go_to_left", 0, 2, "impossible"),
        ("tree.n_node_samples", 0, -1, "impossible"),
        ("tree.offset", 0, 1, "start at 0"),
        ("tree.offset", 1, 10**9, "array 'tree.left_child'"),
    ],
)
def test_a_tree_that_is_none_is_refused(
    job: Callable[..., Session], name: str, index: int, value: int, words: str
) -> None:
    artifact = job("iris", TREE, "ensemble").train(0, 0, None).artifact
    with pytest.raises(InvalidArtifact, match=words):
        reload(artifact, name, put(index, value))


@pytest.mark.parametrize(
    ("name", "index", "value", "words"),
    [
        ("node.left", 0, 0, "before it or outside"),
        ("node.right", 0, 2**32 - 1, "before it or outside"),
        ("node.feature_idx", 0, 99, "outside 0..3"),
        ("node.is_categorical", 0, 1, "categories"),
        ("node.is_leaf", 0, 1, "exactly one parent"),
        ("node.is_leaf", 0, 7, "impossible"),
    ],
)
def test_a_histogram_tree_that_is_none_is_refused(
    job: Callable[..., Session], name: str, index: int, value: int, words: str
) -> None:
    artifact = job("iris", HISTOGRAM, "ensemble").train(0, 0, None).artifact
    with pytest.raises(InvalidArtifact, match=words):
        reload(artifact, name, put(index, value))


def chain(length: int) -> Fields:
    """A tree of one branch: node 2i has a leaf 2i + 1 and the next node 2i + 2."""
    count = 2 * length + 1
    index = np.arange(count)
    inner = (index % 2 == 0) & (index < count - 1)
    ints = {"left_child": np.where(inner, index + 1, -1), "right_child": np.where(inner, index + 2, -1),
            "feature": np.zeros(count, dtype=np.int64), "n_node_samples": np.ones(count, dtype=np.int64)}  # fmt: skip
    arrays = {f"tree.{k}": v.astype(np.int64) for k, v in ints.items()}
    for name in ("threshold", "impurity", "weighted_n_node_samples"):
        arrays[f"tree.{name}"] = np.zeros(count)
    arrays["tree.missing_go_to_left"] = np.zeros(count, dtype=np.uint8)
    arrays["tree.value"] = np.zeros((count, 1))
    arrays["tree.offset"] = np.array([0, count])
    return Fields(arrays)


def test_the_depth_is_measured_and_bounded() -> None:
    assert trees.unpack_trees(chain(30), 1, 1)[0].max_depth == 30
    with pytest.raises(InvalidArtifact, match="deeper than 10000"):
        trees.unpack_trees(chain(10_001), 1, 1)
