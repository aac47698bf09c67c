"""Which rows nobody trains on.

A row's canonical form is the RFC 8785 text of its feature values, in manifest order and without the target,
as a JSON array (null where missing), so equal rows lie on one side whatever their target says.  A row is
held out when::

    int.from_bytes(SHA-256(b"assay holdout\\n" + model + b"\\n" + row)[:8], "big") * 10**6 < fraction * 2**64

with the registered model's name in UTF-8 and the fraction in millionths.  No job can choose its own exam: the
rule holds for all jobs and all versions of the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.canonical import to_canonical
from learning.errors import InvalidData, InvalidSpec
from learning.tables import Table

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

_MILLION = 1_000_000


def canonical_rows(table: Table, target: str) -> list[bytes]:
    """Each row's canonical form: features in manifest order, without the target."""
    table.manifest.find(target)
    return _rows(table, _features(table, target))


def holdout_mask(table: Table, target: str, model: str, fraction_micro: int) -> Mask:
    """True for the rows held out for the registered model ``model``; shape ``(rows,)``.

    ``fraction_micro`` is the part of the different rows that is to be held out, in millionths.  Raises
    :class:`InvalidSpec` when it is not between 0 and 1 (both excluded), :class:`InvalidData` when no row, or
    every row, would be held out.
    """
    if type(fraction_micro) is not int or not 0 < fraction_micro < _MILLION:
        raise InvalidSpec(
            f"the holdout fraction is {fraction_micro!r} millionths: expected an integer from 1 to 999999"
        )
    salt = b"assay holdout\n" + model.encode() + b"\n"
    limit = -(-fraction_micro * 2**64 // _MILLION)  # the same rule without a product per row
    mask: Mask = np.fromiter(
        (
            int.from_bytes(hashlib.sha256(salt + row).digest()[:8], "big") < limit
            for row in canonical_rows(table, target)
        ),
        dtype=np.bool_,
        count=table.rows,
    )
    if mask.all() or not mask.any():
        what = "every row" if mask.all() else "no row"
        raise InvalidData(
            f"{what} of {table.rows} would be held out for {model!r} with a fraction of "
            f"{fraction_micro / _MILLION:g}; choose another fraction, more rows or a holdout dataset"
        )
    return mask


def drop_rows_of(table: Table, target: str, holdout_table: Table) -> Mask:
    """True where a row of ``table`` equals (in its features) a row of the holdout dataset; shape ``(rows,)``.

    Raises :class:`InvalidData` when the holdout dataset lacks a column of ``table``.
    """
    names = _features(table, target)
    lacking = [name for name in (*names, target) if name not in holdout_table.manifest.names]
    if lacking:
        raise InvalidData(
            f"the holdout dataset has no column {', '.join(lacking)}; its columns are "
            f"{', '.join(holdout_table.manifest.names)}, expected those of the training data"
        )
    held = set(_rows(holdout_table, names))
    mask: Mask = np.fromiter((row in held for row in _rows(table, names)), dtype=np.bool_, count=table.rows)
    return mask


def _features(table: Table, target: str) -> list[str]:
    return [name for name in table.manifest.names if name != target]


def _rows(table: Table, names: Sequence[str]) -> list[bytes]:
    texts = [_texts(table, name) for name in names]
    joined = pc.binary_join_element_wise(*texts, b",") if texts else pa.array([b""] * table.rows)
    return [b"[%b]" % row for row in joined.to_pylist()]


def _texts(table: Table, name: str) -> Any:
    """A column's values as RFC 8785 texts; each distinct value is written once."""
    encoded = table.arrow_column(name).combine_chunks().dictionary_encode()
    texts = [to_canonical(value) for value in encoded.dictionary.to_pylist()]
    values = pc.take(pa.array(texts, pa.binary()), encoded.indices)
    return pc.fill_null(values, b"null")
