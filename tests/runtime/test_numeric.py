"""The numeric pins take, or say that they did not."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys

import pytest

from runtime import numeric

PRINT_FOUND = "from runtime import numeric\nnumeric.pin()\nimport scipy.linalg\nprint(numeric.check())"


@pytest.fixture
def bare(monkeypatch):
    """An environment without any of the pins."""
    for name in numeric.PINS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.fleet
def test_the_pins_take_in_a_fresh_process(bare, start_python):
    output, _ = start_python(PRINT_FOUND).communicate(timeout=60)
    found = ast.literal_eval(output)
    assert found
    assert all(value == "1" for name, value in found.items() if name.endswith(".threads"))
    if "OPENBLAS_CORETYPE" in numeric.PINS:
        assert found["numpy.dispatch"] == "X86_V3"
        assert "Haswell" in found.values()


@pytest.mark.fleet
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import numpy; from runtime import numeric; numeric.pin()",
            "before the numeric environment was pinned",
        ),
        ("import numpy, scipy.linalg; from runtime import numeric; numeric.check()", "did not take"),
        (
            "from runtime import numeric; numeric.pin(); import numpy, scipy.linalg, threadpoolctl\n"
            "with threadpoolctl.threadpool_limits(2): numeric.check()",
            "2 threads, expected 1",
        ),
    ],
    ids=["too late", "never", "changed afterwards"],
)
def test_pins_that_did_not_take_are_an_error(bare, code, message):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if message == "did not take" and done.returncode == 0:
        pytest.skip("this machine's own defaults happen to be the pinned ones")
    assert done.returncode == 1
    assert "NumericPinsError" in done.stderr
    assert message in done.stderr


def test_importing_the_module_loads_nothing_numeric():
    code = "import runtime.numeric, sys; print({'numpy', 'scipy', 'threadpoolctl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_pinning_twice_is_harmless(monkeypatch):
    for name, value in numeric.PINS.items():
        monkeypatch.setenv(name, value)
    numeric.pin()


def test_threads_are_pinned_everywhere_and_kernels_on_x86_64_v3():
    assert numeric.PINS["OMP_NUM_THREADS"] == "1"
    assert numeric.PINS["OPENBLAS_NUM_THREADS"] == "1"
    if platform.machine() not in {"x86_64", "AMD64"}:
        assert "NPY_ENABLE_CPU_FEATURES" not in numeric.PINS


def test_the_kernels_of_a_cpu_without_avx2_are_not_forced(monkeypatch, tmp_path):
    """Haswell kernels on an older CPU end in SIGILL."""
    old = tmp_path / "cpuinfo"
    old.write_text("processor : 0\nflags : fpu sse4_2 avx\n")
    monkeypatch.setattr(numeric, "Path", lambda _path: old)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert numeric._is_x86_64_v3() is False
    old.write_text("processor : 0\nflags\t\t: fpu fma bmi1 bmi2 avx avx2\n")
    assert numeric._is_x86_64_v3() is True
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert numeric._is_x86_64_v3() is False
