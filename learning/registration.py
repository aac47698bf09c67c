"""What is computed once, when a dataset or a model is registered, and later recomputed by everybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from learning.errors import InvalidData, InvalidSpec
from learning.holdout import drop_rows_of, holdout_mask
from learning.manifest import Manifest
from learning.statistics import Rows, compute
from learning.tables import Open, Table, load_table, read_table
from learning.targets import check_target


@dataclass(frozen=True)
class Described:
    """What ``register_dataset`` puts on the chain, and the manifest it refers to."""

    #: Canonical JSON, to be stored on IPFS.
    manifest_bytes: bytes
    rows: int
    #: Names, in order, the target among them.
    columns: tuple[str, ...]
    target: str
    task: str


def describe_dataset(stream: BinaryIO, target: str, task: str | None) -> Described:
    """Read a dataset that is about to be registered and check that ``target`` can be learned.

    ``task`` is guessed from the target where it is None.  Raises :class:`InvalidData` for a file that is no
    valid table or a target that is not usable, :class:`InvalidSpec` for an unknown task.
    """
    table = read_table(stream)
    checked = check_target(table, target, task)
    return Described(table.manifest.to_bytes(), table.rows, table.manifest.names, target, checked)


def compute_statistics(
    open: Open,
    data: str,
    manifest_bytes: bytes,
    target: str,
    task: str,
    model: str,
    holdout_fraction: int | None,
    holdout_data: str | None = None,
    holdout_manifest_bytes: bytes | None = None,
    cache: Path | None = None,
) -> bytes:
    """The canonical JSON of the statistics of a registered model: those of its first dataset's training rows.

    Either ``holdout_fraction`` (millionths) or the CID and manifest of a holdout dataset must be given.
    Raises :class:`InvalidData` when data, manifests or target do not fit, :class:`InvalidSpec` for a bad
    fraction.
    """
    table = load_table(open, data, Manifest.from_bytes(manifest_bytes), cache)
    holdout = None
    if holdout_data is not None:
        if holdout_manifest_bytes is None:
            raise InvalidSpec("a holdout dataset needs its manifest: give holdout_manifest_bytes too")
        holdout = load_table(open, holdout_data, Manifest.from_bytes(holdout_manifest_bytes), cache)
    rows = training_rows(table, target, model, holdout_fraction, holdout)
    return compute(table, rows, target, task).to_bytes()


def training_rows(
    table: Table, target: str, model: str, holdout_fraction: int | None, holdout: Table | None
) -> Rows:
    """Indices of the rows that may be trained on, ascending: those neither held out nor in ``holdout``.

    Raises :class:`InvalidSpec` unless exactly one of ``holdout_fraction`` and ``holdout`` is given,
    :class:`InvalidData` when no row is left.
    """
    if (holdout_fraction is None) == (holdout is None):
        raise InvalidSpec("expected either a holdout fraction or a holdout dataset, not both or neither")
    if holdout is not None:
        out = drop_rows_of(table, target, holdout)
        if out.all():
            raise InvalidData(
                f"all {table.rows} rows are in the holdout dataset too, so none is left to train on; use a "
                "holdout dataset of other rows"
            )
    else:
        assert holdout_fraction is not None  # noqa: S101 - said above, for the type checker
        out = holdout_mask(table, target, model, holdout_fraction)
    rows: Rows = np.flatnonzero(~out).astype(np.int64)
    return rows
