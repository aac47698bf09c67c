"""A dataset as matrices, verified and encoded once per process and shared by the sessions that need it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learning.errors import InvalidData
from learning.features import design_matrix, target_vector
from learning.manifest import Manifest
from learning.models import Floats, Labels
from learning.registration import training_rows
from learning.scaling import Columns, columns_of
from learning.statistics import Statistics, compute
from learning.tables import Open, load_table

MAX_DOCUMENT_BYTES = 256 << 20
# Encoded datasets kept for later sessions: at most so many, and of at most so many bytes together.
_KEPT = 8
_KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class Source:
    """What an encoded dataset follows from; the fields of `learning.recipe.Recipe`. Equal sources, equal arrays."""

    model: str
    data: str
    manifest: str
    target: str
    task: str
    statistics: str
    holdout_fraction: int | None
    holdout_data: str | None
    holdout_manifest: str | None
    statistics_data: str | None = None
    statistics_manifest: str | None = None


@dataclass(frozen=True)
class Encoded:
    """All rows, shape (rows, features) and (rows,), the indices of those to train on, and the holdout's."""

    statistics: Statistics
    columns: Columns
    matrix: Floats
    targets: Labels
    training_rows: npt.NDArray[np.int64]
    holdout_matrix: Floats
    holdout_targets: Labels

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.matrix, self.targets, self.holdout_matrix, self.training_rows))


_cache: OrderedDict[Source, Encoded] = OrderedDict()
_lock = threading.Lock()


def encoded(source: Source, open: Open, cache: Path) -> Encoded:
    """The dataset's arrays, from memory where this process has them.

    Raises InvalidData when the manifest or the statistics are not those of the data; what `open` raises
    passes.
    """
    with _lock:
        found = _cache.get(source)
        if found is not None:
            _cache.move_to_end(source)
            return found
    found = _encode(source, open, cache)
    with _lock:
        _cache[source] = found
        while len(_cache) > 1 and (
            len(_cache) > _KEPT or sum(one.nbytes for one in _cache.values()) > _KEPT_BYTES
        ):
            _cache.popitem(last=False)
    return found


def forget() -> None:
    """Drop what is kept, so that the next session reads and verifies again."""
    with _lock:
        _cache.clear()


def _encode(source: Source, open: Open, cache: Path) -> Encoded:
    target, task = source.target, source.task
    table = load_table(open, source.data, Manifest.from_bytes(_read(open, source.manifest)), cache)
    holdout = None
    if source.holdout_data is not None:
        if source.holdout_manifest is None:
            raise InvalidData("the holdout dataset has no manifest; register it with one")
        holdout_manifest = Manifest.from_bytes(_read(open, source.holdout_manifest))
        holdout = load_table(open, source.holdout_data, holdout_manifest, cache)
    rows = training_rows(table, target, source.model, source.holdout_fraction, holdout)
    first, first_rows = table, rows
    if source.statistics_data is not None and source.statistics_manifest is not None:
        first_manifest = Manifest.from_bytes(_read(open, source.statistics_manifest))
        first = load_table(open, source.statistics_data, first_manifest, cache)
        first_rows = training_rows(first, target, source.model, source.holdout_fraction, holdout)
    given = _read(open, source.statistics)
    if compute(first, first_rows, target, task).to_bytes() != given:
        raise InvalidData(
            f"the statistics {source.statistics} registered with model {source.model!r} are not those of the "
            f"training rows of {source.statistics_data or source.data}; register the model with the statistics that "
            "Assay computes"
        )
    statistics = Statistics.from_bytes(given)
    whole = np.arange(table.rows, dtype=np.int64)
    matrix = design_matrix(table, statistics, whole)
    targets = target_vector(table, statistics, whole, target, task)
    if holdout is None:
        out = np.setdiff1d(whole, rows, assume_unique=True)
        held_matrix, held_targets = matrix[out], targets[out]
    else:
        every = np.arange(holdout.rows, dtype=np.int64)
        held_matrix = design_matrix(holdout, statistics, every)
        held_targets = target_vector(holdout, statistics, every, target, task)
    for array in (matrix, targets, rows, held_matrix, held_targets):
        array.flags.writeable = False
    return Encoded(statistics, columns_of(statistics), matrix, targets, rows, held_matrix, held_targets)


def _read(open: Open, cid: str) -> bytes:
    with open(cid) as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidData(f"{cid} is larger than {MAX_DOCUMENT_BYTES} bytes; expected a manifest or statistics")
    return data
