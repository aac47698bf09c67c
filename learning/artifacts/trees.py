"""Decision trees as arrays, one array for each field over all trees of a model.

scikit-learn keeps a tree's nodes as records with padding between the fields, whose bytes are whatever the
memory held; field by field they are the same for equal trees. On loading, the nodes must form trees: both
its builders number a child after its parent, which with one parent for every node but the roots leaves no
room for a cycle.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from learning.artifacts.envelope import Arrays, Fields
from learning.errors import InvalidArtifact

MAX_DEPTH = 10_000
MAX_TREES = 200_000
_LEAF = -1
Ints = npt.NDArray[np.int64]


def pack_trees(trees: list[Any]) -> Arrays:
    """`sklearn.tree._tree.Tree` objects as arrays; `offset` holds where each tree's nodes begin, and the end."""
    states = [tree.__getstate__() for tree in trees]
    nodes = np.concatenate([state["nodes"] for state in states])
    arrays: Arrays = {f"tree.{name}": np.ascontiguousarray(nodes[name]) for name in nodes.dtype.names or ()}
    arrays["tree.offset"] = _offsets([len(state["nodes"]) for state in states])
    arrays["tree.value"] = np.concatenate([state["values"] for state in states])[:, 0, :]
    return arrays


def unpack_trees(fields: Fields, features: int, outputs: int) -> list[Any]:
    """The trees again. `outputs` is the number of values in a node: the classes, or 1. Raises InvalidArtifact."""
    offset, count = _take_offsets(fields)
    template = Tree(1, np.array([1], dtype=np.intp), 1).__getstate__()["nodes"].dtype
    nodes = _records(fields, "tree", template, count)
    value = fields.take("tree.value", "<f8", (count, outputs))
    left, right = nodes["left_child"].astype(np.int64), nodes["right_child"].astype(np.int64)
    leaf = left == _LEAF
    if not np.array_equal(leaf, right == _LEAF):
        raise InvalidArtifact("a tree has a node with one child: expected two or none")
    if (nodes["missing_go_to_left"] > 1).any() or (nodes["n_node_samples"] < 0).any():
        raise InvalidArtifact("a tree has a node with impossible counts or flags")
    _check_features(nodes["feature"][~leaf], features)
    depths = _depths(left, right, leaf, offset)
    trees = []
    for index in range(len(offset) - 1):
        part = slice(offset[index], offset[index + 1])
        tree = Tree(features, np.array([outputs], dtype=np.intp), 1)
        tree.__setstate__({
            "max_depth": int(depths[index]),
            "node_count": int(offset[index + 1] - offset[index]),
            "nodes": nodes[part].copy(),
            "values": np.ascontiguousarray(value[part][:, None, :]),
        })
        trees.append(tree)
    return trees


def pack_predictors(predictors: list[Any]) -> Arrays:
    """Histogram gradient boosting's `TreePredictor` objects (without categorical splits) as arrays."""
    nodes = np.concatenate([predictor.nodes for predictor in predictors])
    arrays: Arrays = {f"node.{name}": np.ascontiguousarray(nodes[name]) for name in nodes.dtype.names or ()}
    arrays["tree.offset"] = _offsets([len(predictor.nodes) for predictor in predictors])
    return arrays


def unpack_predictors(fields: Fields, features: int) -> list[Any]:
    """The predictors again. Raises InvalidArtifact."""
    offset, count = _take_offsets(fields)
    dtype = np.dtype(PREDICTOR_RECORD_DTYPE)
    nodes = _records(fields, "node", dtype, count)
    if nodes["is_categorical"].any():
        raise InvalidArtifact("a tree splits on categories; they are one-hot columns here")
    if (nodes["is_leaf"] > 1).any() or (nodes["missing_go_to_left"] > 1).any():
        raise InvalidArtifact("a tree has a node with impossible flags")
    leaf = nodes["is_leaf"] == 1
    _check_features(nodes["feature_idx"][~leaf], features)
    _depths(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), leaf, offset)
    none = np.zeros((0, 8), dtype=np.uint32)
    return [TreePredictor(nodes[start:end].copy(), none, none) for start, end in pairwise(offset)]


def _offsets(sizes: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _take_offsets(fields: Fields) -> tuple[Ints, int]:
    offset = fields.take("tree.offset", "<i8", (None,))
    if not 2 <= len(offset) <= MAX_TREES + 1 or offset[0] != 0 or (offset[1:] <= offset[:-1]).any():
        raise InvalidArtifact("the offsets of an artifact's trees must start at 0 and rise")
    return offset, int(offset[-1])


def _records(fields: Fields, prefix: str, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    # All fields are there in full before anything of the claimed size is allocated.
    columns = {name: fields.take(f"{prefix}.{name}", dtype[name].str, (count,)) for name in dtype.names or ()}
    nodes = np.zeros(count, dtype=dtype)
    for name, column in columns.items():
        nodes[name] = column
    return nodes


def _check_features(used: npt.NDArray[Any], features: int) -> None:
    if ((used < 0) | (used >= features)).any():
        raise InvalidArtifact(f"a tree splits on a feature outside 0..{features - 1}")


def _depths(left: Ints, right: Ints, leaf: npt.NDArray[np.bool_], offset: Ints) -> Ints:
    """Each tree's depth. Raises InvalidArtifact unless all nodes are reached, once, from their tree's root."""
    sizes = np.diff(offset)
    start = np.repeat(offset[:-1], sizes)
    end = np.repeat(offset[1:], sizes)
    here = np.arange(len(left), dtype=np.int64)
    inner = ~leaf
    low = (start + left)[inner], (start + right)[inner]
    for child in low:
        if (child <= here[inner]).any() or (child >= end[inner]).any():
            raise InvalidArtifact("a tree's node points to a node before it or outside its tree")
    parents = np.bincount(np.concatenate(low), minlength=len(left))
    parents[offset[:-1]] += 1
    if (parents != 1).any():
        raise InvalidArtifact("a tree's node must have exactly one parent")
    tree_of = np.repeat(np.arange(len(sizes)), sizes)
    depths = np.zeros(len(sizes), dtype=np.int64)
    level = offset[:-1]
    for depth in range(MAX_DEPTH + 1):
        depths[tree_of[level]] = depth
        level = level[inner[level]]
        if not len(level):
            return depths
        level = np.concatenate([start[level] + left[level], start[level] + right[level]])
    raise InvalidArtifact(f"a tree is deeper than {MAX_DEPTH}")
