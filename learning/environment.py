"""The environment in which a model was computed: what must be equal for equal bits.

Its digest is part of every update and vote; models are compared byte by byte only between equal environments.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import scipy
import sklearn

from learning.canonical import to_canonical
from learning.errors import WrongEnvironment
from runtime import numeric

#: Raised whenever the same recipe would give other bytes than before, for whatever reason in our own code.
ALGORITHM = 1


def environment() -> dict[str, Any]:
    """Versions, platform, C library and numeric pins of this process, as plain JSON data.

    Raises :class:`WrongEnvironment` when the pins are not in force.
    """
    try:
        found = numeric.check()
    except numeric.NumericPinsError as problem:
        raise WrongEnvironment(str(problem)) from None
    return {**_versions(), "dispatch": found["numpy.dispatch"], "pins": dict(numeric.PINS)}


def environment_id() -> str:
    """SHA-256 of the canonical JSON of :func:`environment`, 64 hex digits."""
    return hashlib.sha256(to_canonical(environment())).hexdigest()


@functools.cache
def _versions() -> dict[str, Any]:
    return {
        "algorithm": ALGORITHM,
        "blas": {"numpy": _blas(np), "scipy": _blas(scipy)},
        "libc": _libc(),
        "machine": platform.machine().lower(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "scikit-learn": sklearn.__version__,
        "scipy": scipy.__version__,
        "system": platform.system().lower(),
    }


def _blas(library: Any) -> str:
    """The linear algebra that a library was built with: a distribution's build may differ from the
    wheel's.
    """
    blas = library.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', 'unknown')}"


def _libc() -> str:
    """The C library, whose exp and log differ between versions; on macOS the system's version stands for
    it.
    """
    name, version = platform.libc_ver()
    if name:
        return f"{name} {version}"
    macos = platform.mac_ver()[0]
    return f"macos {macos}" if macos else "unknown"
