"""``make install`` finds a way on bare machines: uv, venv and pip, the system's pip; or says what is missing.

The programs it calls are stood in for by scripts that write down how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A Python of some version, with or without ensurepip and pip; `-m pip install -e .` makes the command.
PYTHON = r"""#!/bin/sh
echo "$(basename "$0") $*" >> "$JOURNAL"
make_venv() { mkdir -p "$1/bin" && cp "$0" "$1/bin/python"; }
case "$1 $2" in
    "-c "*) [ -z "$TOO_OLD" ]; exit ;;
    "-m venv")
        if [ "$3" = --without-pip ]; then make_venv "$4"; exit; fi
        make_venv "$3"
        [ -z "$NO_ENSUREPIP" ] || { echo "ensurepip is not available" >&2; exit 1; }
        touch "$3/has-pip" ;;
    "-m pip")
        case "$0" in
            */.venv/bin/python) [ -e .venv/has-pip ] || exit 1 ;;
            *) [ -z "$NO_PIP" ] || exit 1 ;;
        esac
        [ -z "$NO_NETWORK" ] || exit 1
        case "$*" in *"-e .") cp "$0" .venv/bin/assay ;; esac ;;
esac
"""

UV = r"""#!/bin/sh
echo "uv $*" >> "$JOURNAL"
case "$1 $2" in
    "venv "*) mkdir -p .venv/bin && cp "$(command -v python3)" .venv/bin/python ;;
    "pip install") case "$*" in *"-e .") cp "$0" .venv/bin/assay ;; esac ;;
esac
"""


class Machine:
    """A checkout and a PATH with nothing but the stand-ins and what the shell needs."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.path = folder / "bin"
        self.journal = folder / "journal"
        (self.checkout / ".ci").mkdir(parents=True)
        self.path.mkdir()
        for name in (".ci/install", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in ("sh", "cat", "cksum", "rm", "mkdir", "cp", "touch", "chmod", "basename", "dirname"):
            program = shutil.which(name)
            assert program is not None
            (self.path / name).symlink_to(program)

    def have(self, name: str, script: str) -> None:
        (self.path / name).write_text(script)
        (self.path / name).chmod(0o755)

    def install(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.journal.write_text("")
        return subprocess.run(
            ["sh", str(self.checkout / ".ci" / "install"), *arguments],
            env={"PATH": str(self.path), "JOURNAL": str(self.journal), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self, beginning: str) -> list[str]:
        return [line for line in self.journal.read_text().splitlines() if line.startswith(beginning)]

    @property
    def installed(self) -> bool:
        return (self.checkout / ".venv" / "bin" / "assay").exists()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_uv_is_used_where_present(machine):
    machine.have("python3", PYTHON)
    machine.have("uv", UV)
    assert machine.install().returncode == 0
    assert machine.installed
    assert machine.called("python3 -m venv") == []
    assert len(machine.called("uv pip install")) == 2


def test_venv_and_pip_otherwise(machine):
    machine.have("python3", PYTHON)
    assert machine.install().returncode == 0
    assert machine.installed
    assert any("-r requirements.txt" in line for line in machine.called("python -m pip install"))


def test_a_python_without_ensurepip_uses_the_systems_pip(machine):
    machine.have("python3", PYTHON)
    assert machine.install(NO_ENSUREPIP="1").returncode == 0
    assert machine.installed
    assert machine.called("python3 -m venv --without-pip .venv")
    assert any("--python .venv/bin/python" in line for line in machine.called("python3 -m pip"))


def test_neither_is_a_clear_error_without_a_stamp(machine):
    machine.have("python3", PYTHON)
    done = machine.install(NO_ENSUREPIP="1", NO_PIP="1")
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert not list(machine.checkout.glob(".venv/.assay-*"))


def test_an_installation_that_broke_off_is_taken_up_again(machine):
    machine.have("python3", PYTHON)
    assert machine.install(NO_NETWORK="1").returncode == 1
    assert machine.install().returncode == 0
    assert machine.installed


def test_a_complete_environment_is_left_alone(machine):
    machine.have("python3", PYTHON)
    machine.install()
    done = machine.install()
    assert done.returncode == 0
    assert done.stdout == ""
    assert machine.called("python3") == []


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_changed_requirements_install_again(machine, changed):
    machine.have("python3", PYTHON)
    machine.install()
    with open(machine.checkout / changed, "a") as file:
        file.write("# changed\n")
    machine.install()
    assert machine.called("python -m pip install")


def test_what_tests_need_includes_what_assay_runs_on(machine):
    machine.have("python3", PYTHON)
    machine.install("dev")
    assert any("-r requirements-dev.txt" in line for line in machine.called("python -m pip install"))
    machine.install()
    assert machine.called("python -m pip install") == []


def test_a_machine_without_a_recent_python(machine):
    machine.have("python3", PYTHON)
    done = machine.install(TOO_OLD="1")
    assert done.returncode == 1
    assert "Python 3.11 or later" in done.stderr


def test_a_later_name_is_found_and_a_named_one_checked(machine):
    machine.have("python3.12", PYTHON)
    assert machine.install().returncode == 0
    assert machine.called("python3.12 -m venv")
    done = machine.install("dev", PYTHON="/nonexistent/python")
    assert done.returncode == 1
    assert "/nonexistent/python" in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_passes_the_services_on(tmp_path):
    """What `make demo IPFS=... BROKER=...` would run."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    arguments = ["make", "-n", "demo", "IPFS=/ip4/127.0.0.1/tcp/5001", "BROKER=redis://127.0.0.1:6379/0"]
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True, env=env)
    expected = ".venv/bin/assay demo --ipfs '/ip4/127.0.0.1/tcp/5001' --broker 'redis://127.0.0.1:6379/0'"
    assert expected in done.stdout
    bare = subprocess.run(
        ["make", "-n", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True, env=env
    )
    assert "--ipfs" not in bare.stdout


@pytest.mark.parametrize("script", [".ci/install", ".ci/test", ".ci/run"])
def test_the_scripts_are_executable_and_parse(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = shutil.which(
        path.read_text().split("\n", 1)[0].removeprefix("#!/usr/bin/env ").removeprefix("#!")
    )
    assert shell is not None
    assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


def test_the_environment_of_these_tests_is_recent_enough():
    assert sys.version_info >= (3, 11)
