"""Federated averaging: the mean of the updates' parameters, weighted by their rows (McMahan et al., 2017).

Each mean is the exact sum of rows times parameter, rounded once, over the sum of rows, so that the order of
the updates does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.artifacts.envelope import Arrays, Fields
from learning.artifacts.states import restore, state_of
from learning.errors import InvalidArtifact
from learning.models import Fitted, Model

# Veltkamp's constant 2**27 + 1: splits a double in two halves of at most 26 bits, whose products with whole
# numbers of up to 27 bits are exact (Dekker, 1971).
_SPLITTER = 134_217_729.0


def average(updates: Sequence[tuple[Model, int]]) -> Fitted:
    """One model from updates with their row counts. Raises InvalidArtifact where they do not fit together."""
    states: list[tuple[Arrays, int]] = []
    for model, rows in updates:
        if not isinstance(model, Fitted):
            raise InvalidArtifact("only fitted estimators can be averaged")
        states.append((state_of(model.plan, model.estimator), rows))
    first = updates[0][0]
    assert isinstance(first, Fitted)  # noqa: S101 - checked above
    reference = states[0][0]
    for state, _ in states[1:]:
        if {name: array.shape for name, array in state.items()} != {
            name: array.shape for name, array in reference.items()
        }:
            raise InvalidArtifact("the updates' parameters differ in shape; expected the same classes and columns")
    means: Arrays = {}
    for name, array in reference.items():
        if array.dtype.kind != "f":
            if any(not np.array_equal(state[name], array) for state, _ in states):
                raise InvalidArtifact(f"the updates differ in {name!r}; expected the same for all")
            means[name] = array
        else:
            means[name] = weighted_mean([(state[name], rows) for state, rows in states])
    restored = restore(first.plan, Fields(means), first.features, first.classes)
    return Fitted(first.plan, first.features, first.classes, first.scaling, restored)


def weighted_mean(parts: Sequence[tuple[npt.NDArray[Any], int]]) -> npt.NDArray[Any]:
    """The mean of arrays of one shape, in the memory order of the first, independent of the order of parts."""
    first = parts[0][0]
    total = float(sum(rows for _, rows in parts))
    terms = []
    for array, rows in parts:
        flat = np.ascontiguousarray(array).ravel()
        with np.errstate(all="ignore"):
            scaled = flat * _SPLITTER
            high = scaled - (scaled - flat)
        terms += [high * rows, (flat - high) * rows]
    if not all(np.isfinite(term).all() for term in terms):
        raise InvalidArtifact("the updates' parameters are too large to average; the training diverged")
    sums = np.fromiter(map(math.fsum, np.stack(terms, axis=1).tolist()), np.float64, count=first.size)
    mean = (sums / total).reshape(first.shape)
    column_ordered = first.flags.f_contiguous and not first.flags.c_contiguous
    return np.asfortranarray(mean) if column_ordered else mean
