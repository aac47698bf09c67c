"""The environment names everything that bits depend on."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import rfc8785

from learning import environment as module
from learning.environment import environment, environment_id
from learning.errors import WrongEnvironment
from runtime import numeric


def test_it_names_versions_platform_and_pins() -> None:
    found = environment()
    assert found["numpy"] == np.__version__
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["pins"] == dict(numeric.PINS)
    assert set(found) == {
        "algorithm",
        "blas",
        "dispatch",
        "libc",
        "machine",
        "numpy",
        "pins",
        "pyarrow",
        "python",
        "scikit-learn",
        "scipy",
        "system",
    }
    assert all(found.values())


def test_its_id_is_the_sha256_of_its_canonical_json() -> None:
    assert environment_id() == hashlib.sha256(rfc8785.dumps(environment())).hexdigest()


def test_another_process_has_the_same() -> None:
    code = (
        "from runtime import numeric; numeric.pin(); import sklearn.ensemble, scipy.linalg;"
        "from learning.environment import environment_id; print(environment_id())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == environment_id()


def test_another_version_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment_id()
    monkeypatch.setattr(module, "_versions", lambda: {"numpy": "0"})
    assert environment_id() != before


def test_pins_that_are_not_in_force_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, str]:
        raise numeric.NumericPinsError("openblas uses 2 threads, expected 1")

    monkeypatch.setattr(numeric, "check", fail)
    with pytest.raises(WrongEnvironment, match="uses 2 threads"):
        environment()


@pytest.mark.parametrize(
    ("libc", "macos", "expected"),
    [(("glibc", "2.36"), "", "glibc 2.36"), (("", ""), "14.5", "macos 14.5"), (("", ""), "", "unknown")],
)
def test_the_c_library_is_part_of_it(
    libc: tuple[str, str], macos: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(module.platform, "mac_ver", lambda: (macos, ("", "", ""), ""))
    assert module._libc() == expected
