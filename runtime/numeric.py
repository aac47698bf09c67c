"""The numeric environment: pinned before numpy loads, checked after.

Workers and validators compare models byte by byte, so equal code on equal rows must give equal bits on
different machines. Libraries choose their kernels by the CPU they find and sum in an order that depends on
the number of threads; both are fixed here. Nothing numeric is imported at the top of this module: call
:func:`pin` first thing in a process, import numpy, then call :func:`check`.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

#: One thread each: a sum's rounding depends on how it is cut into pieces.
_THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}

#: One CPU kind for all of x86-64-v3 (2013 and later). NumPy 2.4 silently ignores
#: ``NPY_DISABLE_CPU_FEATURES`` with AVX-512's old names, so the list of what is *allowed* is given. The last
#: three are PyTorch's.
_X86_64_V3 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
}


class NumericPinsError(RuntimeError):
    """The numeric environment is not the pinned one, so results would not be comparable."""


def _is_x86_64_v3() -> bool:
    """Whether this CPU has AVX2 and FMA; forcing Haswell kernels on one without them ends in SIGILL."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("flags"):
                return {"avx2", "fma", "bmi2"} <= set(line.split())
        return False
    sysctl = shutil.which("sysctl")
    if sysctl is None:
        return False
    found = subprocess.run([sysctl, "-n", "hw.optional.avx2_0"], capture_output=True, text=True, check=False)
    return found.stdout.strip() == "1"


_V3 = _is_x86_64_v3()

#: Environment variable -> value.  On a machine that is not x86-64-v3 only the thread pins: its results are
#: reproducible on its own kind, and the environment hashed into every update says that it is another kind.
PINS: Mapping[str, str] = MappingProxyType({**_THREADS, **(_X86_64_V3 if _V3 else {})})


def pin() -> None:
    """Set :data:`PINS` in this process (and so in those it starts).  Idempotent.

    Raises :class:`NumericPinsError` when numpy is loaded already and the variables were not set: too late.
    """
    wrong = [f"{name}={os.environ.get(name)!r}" for name, value in PINS.items() if os.environ.get(name) != value]
    if wrong and "numpy" in sys.modules:
        raise NumericPinsError(
            f"numpy was imported before the numeric environment was pinned (found {', '.join(wrong)}); "
            "call runtime.numeric.pin() before anything that imports numpy"
        )
    os.environ.update(PINS)


def check() -> dict[str, str]:
    """Assert that the pins took, and say what was found.

    Looks at what numpy really dispatches to and at the thread pools and kernels really loaded, since a
    variable that a library ignores looks the same as one that worked. Call it after the learning libraries
    are imported.

    Raises :class:`NumericPinsError` naming each difference.
    """
    numpy_core = importlib.import_module("numpy._core._multiarray_umath")
    threadpoolctl = importlib.import_module("threadpoolctl")
    found: dict[str, str] = {}
    wrong: list[str] = []

    features = numpy_core.__cpu_features__
    enabled = [name for name in numpy_core.__cpu_dispatch__ if features.get(name)]
    found["numpy"] = importlib.import_module("numpy").__version__
    found["numpy.dispatch"] = ",".join(enabled)
    if _V3 and enabled != ["X86_V3"]:
        wrong.append(f"numpy dispatches to {enabled}, expected ['X86_V3']")

    for pool in threadpoolctl.threadpool_info():
        name = f"{pool['internal_api']}:{Path(pool['filepath']).name.split('-')[0]}"
        found[f"{name}.version"] = str(pool["version"])
        found[f"{name}.threads"] = str(pool["num_threads"])
        if pool["num_threads"] != 1:
            wrong.append(f"{name} uses {pool['num_threads']} threads, expected 1")
        if pool["internal_api"] == "openblas":
            found[f"{name}.architecture"] = str(pool["architecture"])
            if _V3 and str(pool["architecture"]).lower() != "haswell":
                wrong.append(f"{name} runs kernels for {pool['architecture']}, expected Haswell")
    if wrong:
        raise NumericPinsError(
            f"the numeric pins did not take: {'; '.join(wrong)}; runtime.numeric.pin() must run "
            "before numpy is imported, and no code may change the number of threads"
        )
    return found
