"""Tables: a dataset's rows as arrays, read once per party and kept as an Arrow file of its own."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.errors import InvalidData
from learning.manifest import Manifest, describe
from learning.reading import FORMAT_VERSION, read_csv

#: From a CID to a stream of its bytes, each of them checked against the CID; a context manager.
Open = Callable[[str], BinaryIO]

_CID = re.compile(r"[A-Za-z0-9]{8,128}")
_MANIFEST = b"assay.manifest"
_FORMAT = b"assay.format"


class Table:
    """A dataset's rows in memory, column by column."""

    def __init__(self, arrow: pa.Table, manifest: Manifest) -> None:
        self._arrow = arrow
        self._columns: dict[str, np.ndarray[Any, Any]] = {}
        self.manifest = manifest
        self.rows: int = arrow.num_rows

    def arrow_column(self, name: str) -> pa.ChunkedArray:
        """The column as Arrow has it: bool, int64, float64 or string, null where missing."""
        self.manifest.find(name)
        return self._arrow.column(name)

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """The column's values, shape ``(rows,)``, read-only.

        ``float64`` with NaN where missing for integers, numbers and booleans (0 and 1); ``object`` of ``str``
        or ``None`` for text.  Raises :class:`InvalidData` for a name that the table does not have.
        """
        if name not in self._columns:
            values = self.arrow_column(name)
            if self.manifest.find(name).type == "text":
                array = np.array(values.to_pylist(), dtype=object)
            else:
                if values.type == pa.bool_():
                    values = pc.cast(values, pa.int8())
                numbers = pc.fill_null(pc.cast(values, pa.float64()), float("nan"))
                array = np.array(numbers.to_numpy(), dtype=np.float64)
            array.flags.writeable = False
            self._columns[name] = array
        return self._columns[name]


def read_table(stream: BinaryIO) -> Table:
    """The table in a CSV file, with the manifest that follows from it.  Raises :class:`InvalidData`."""
    arrow = read_csv(stream)
    return Table(arrow, describe(arrow))


def load_table(open: Open, data: str, manifest: Manifest, cache: Path | None) -> Table:
    """The table of the dataset with CID ``data``, checked against the manifest it was registered with.

    ``cache`` is a folder of this party's own: the table is kept there as ``CID.arrow`` with its SHA-256 in
    ``CID.sha256``, so that the next call reads neither CSV nor network.  A cached file that is damaged,
    written by another user or of another format is ignored and written anew.

    Raises :class:`InvalidData` when the data are no valid CSV or when ``manifest`` is not what follows from
    them; whatever ``open`` raises passes through.
    """
    if not _CID.fullmatch(data):
        raise InvalidData(
            f"{data[:80]!r} is no CID: expected letters and digits, as `assay dataset add` prints them"
        )
    table = None if cache is None else _cached(cache, data)
    if table is None:
        with open(data) as stream:
            table = read_table(stream)
        if cache is not None:
            _keep(cache, data, table)
    if table.manifest != manifest:
        raise InvalidData(
            f"the manifest registered with {data} is not the data's own: "
            f"{_difference(table.manifest, manifest)}; "
            "register the dataset again with the manifest that Assay computes"
        )
    return table


def _difference(own: Manifest, given: Manifest) -> str:
    if own.rows != given.rows:
        return f"it claims {given.rows} rows, the data have {own.rows}"
    if own.names != given.names:
        return f"it claims the columns {', '.join(given.names)}, the data have {', '.join(own.names)}"
    for mine, other in zip(own.columns, given.columns, strict=True):
        if mine.type != other.type:
            return f"it claims the type {other.type} for {mine.name!r}, the data make it {mine.type}"
        if mine.missing != other.missing:
            return f"it claims {other.missing} missing values in {mine.name!r}, the data have {mine.missing}"
        if mine.categories != other.categories:
            return f"it claims other categories for {mine.name!r} than the data have"
    return f"it claims the format {given.format}, the data are {own.format}"


def _cached(folder: Path, data: str) -> Table | None:
    """The kept table, or None when there is none that can be relied on."""
    file, sidecar = folder / f"{data}.arrow", folder / f"{data}.sha256"
    try:
        if not (_own(file) and _own(sidecar)):
            return None
        content, digest = file.read_bytes(), sidecar.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(content).hexdigest() != digest:
        return None
    try:
        arrow = pa.ipc.open_file(pa.py_buffer(content)).read_all()
        metadata = arrow.schema.metadata or {}
        if metadata.get(_FORMAT) != str(FORMAT_VERSION).encode():
            return None
        return Table(arrow.replace_schema_metadata(None), Manifest.from_bytes(metadata[_MANIFEST]))
    except (pa.ArrowException, KeyError, InvalidData):
        return None


def _own(path: Path) -> bool:
    """Whether the file is this user's and nobody else may write it."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _keep(folder: Path, data: str, table: Table) -> None:
    sink = pa.BufferOutputStream()
    metadata = {_FORMAT: str(FORMAT_VERSION).encode(), _MANIFEST: table.manifest.to_bytes()}
    arrow = table._arrow.replace_schema_metadata(metadata)
    with pa.ipc.new_file(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    content = sink.getvalue().to_pybytes()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / f"{data}.arrow", content)
    _write(folder / f"{data}.sha256", hashlib.sha256(content).hexdigest().encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when several of this party's processes write it at once; mode 0600."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
