"""The outer form of an artifact: safetensors with one metadata entry, `assay`, a canonical JSON header.

safetensors (https://github.com/huggingface/safetensors, "Format") is eight bytes of header length, a JSON
header and raw little-endian arrays; its writer sorts the arrays by width and name, so equal arrays give
equal bytes. More than one metadata entry would be written in the order of a hash table, hence the single
one. Arrays are C-ordered in the file; the header's `fortran` lists those that were column-ordered in memory
and are restored so, because the order decides in which order products are summed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import rfc8785
import safetensors
import safetensors.numpy

from learning.errors import InvalidArtifact
from runtime import strict_json

MAX_ARTIFACT_BYTES = 256 * 1024 * 1024
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_ARRAYS = 20_000
FORMAT = "assay-model"
VERSION = 1
_KEY = "assay"
_DTYPES: Mapping[str, str] = {
    "F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U64": "<u8", "U32": "<u4", "U8": "|u1",
}  # fmt: skip

Arrays = dict[str, npt.NDArray[Any]]


def pack(header: Mapping[str, Any], arrays: Arrays) -> bytes:
    """The artifact's bytes. Raises InvalidArtifact when a value is not finite or the whole is too large."""
    fortran = sorted(n for n, a in arrays.items() if a.flags.f_contiguous and not a.flags.c_contiguous)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidArtifact(
                f"the fitted values {name!r} are not finite: the training diverged; "
                "scale the features or use a smaller learning rate"
            )
    if sum(array.nbytes for array in arrays.values()) > MAX_ARTIFACT_BYTES - MAX_HEADER_BYTES:
        raise InvalidArtifact(
            f"the model is larger than {MAX_ARTIFACT_BYTES} bytes; use fewer or smaller trees, layers or rows"
        )
    full = {"format": FORMAT, "version": VERSION, "fortran": fortran, **header}
    text = rfc8785.dumps(full).decode()
    plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    data: bytes = safetensors.numpy.save(plain, metadata={_KEY: text})
    if len(text) > MAX_HEADER_BYTES or len(arrays) > MAX_ARRAYS:
        raise InvalidArtifact(f"the model has {len(arrays)} arrays, at most {MAX_ARRAYS} fit an artifact")
    return data


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of an artifact, arrays owned and aligned. Raises InvalidArtifact; executes nothing."""
    if not 8 < len(data) <= MAX_ARTIFACT_BYTES:
        raise InvalidArtifact(f"an artifact has 9 to {MAX_ARTIFACT_BYTES} bytes, came {len(data)}")
    length = int.from_bytes(data[:8], "little")
    # safetensors writes about a hundred bytes on each array beside our own header.
    if length > min(len(data) - 8, 2 * MAX_HEADER_BYTES):
        raise InvalidArtifact(f"an artifact's header has at most {2 * MAX_HEADER_BYTES} bytes, came {length}")
    outer = _object(data[8 : 8 + length], "outer header")
    metadata = outer.get("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {_KEY} or not isinstance(metadata[_KEY], str):
        raise InvalidArtifact(f"expected one metadata entry {_KEY!r}, came {_short(metadata)}")
    if len(outer) > MAX_ARRAYS + 1:
        raise InvalidArtifact(f"an artifact has at most {MAX_ARRAYS} arrays, came {len(outer) - 1}")
    header = _object(metadata[_KEY], "header")
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        came = _short([header.get("format"), header.get("version")])
        raise InvalidArtifact(f"expected format {FORMAT!r} version {VERSION}, came {came}")
    try:
        entries: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise InvalidArtifact(f"not safetensors: {error}") from None
    arrays = {name: _array(name, entry) for name, entry in entries}
    fortran = header.get("fortran")
    if not isinstance(fortran, list) or not all(isinstance(n, str) and n in arrays for n in fortran):
        raise InvalidArtifact("the header's list of column-ordered arrays names an array that is not there")
    for name in fortran:
        arrays[name] = np.asfortranarray(arrays[name])
    return header, arrays


def _array(name: str, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise InvalidArtifact(f"array {name!r}: expected one of {', '.join(_DTYPES)}, came {entry['dtype']}")
    shape = tuple(entry["shape"])
    if len(shape) > 3 or math.prod(shape) * np.dtype(dtype).itemsize != len(entry["data"]):
        raise InvalidArtifact(f"array {name!r}: its shape {shape} does not fit its {len(entry['data'])} bytes")
    array = np.frombuffer(entry["data"], dtype=dtype).reshape(shape).copy()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidArtifact(f"array {name!r}: expected finite numbers only")
    return array


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(text)
    except ValueError as error:
        raise InvalidArtifact(f"the artifact's {what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArtifact(f"the artifact's {what} must be an object, came {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


class Fields:
    """Takes an artifact's arrays one by one, each with the dtype and shape its class must have."""

    def __init__(self, arrays: Arrays, prefix: str = "") -> None:
        self._arrays = arrays
        self._prefix = prefix

    def take(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """Remove and return one array; `None` in shape admits any length. Raises InvalidArtifact."""
        full = self._prefix + name
        array = self._arrays.pop(full, None)
        fits = array is not None and len(array.shape) == len(shape)
        if array is None or not fits or array.dtype != np.dtype(dtype) or not all(
            want is None or want == have for want, have in zip(shape, array.shape, strict=True)
        ):
            came = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise InvalidArtifact(f"array {full!r}: expected {np.dtype(dtype)} of shape {shape}, came {came}")
        return array

    def has(self, name: str) -> bool:
        return self._prefix + name in self._arrays

    def done(self) -> None:
        """Refuse arrays that nobody asked for: an artifact holds nothing beside its model."""
        rest = sorted(n for n in self._arrays if n.startswith(self._prefix))
        if rest:
            raise InvalidArtifact(f"unknown array {rest[0]!r} in the artifact")
