"""The house keeps its walls: who imports whom, what is loaded when, how large a file may be."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: list[str] = PYPROJECT["tool"]["importlinter"]["root_packages"]

#: What takes 0.2 GB and more than a second of CPU to import.
LEARNING_LIBRARIES = {"numpy", "scipy", "sklearn", "pandas", "pyarrow", "joblib", "safetensors", "torch"}
#: Rooms whose every module is imported by the command line or by a service that must be light.
LIGHT_ROOMS = ("runtime", "chain", "ipfs", "coordinator", "cli")
#: Those in them that exist to compute with models; services import them after they listen.
HEAVY = ("coordinator.predictor",)
LONGEST_FILE = 400


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _core() -> list[str]:
    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "forbidden":
            return list(contract["source_modules"])
    raise AssertionError("pyproject.toml has no contract of type forbidden for the chain's core")


def test_the_import_contracts_hold():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_a_package_and_every_package_a_room():
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == set(ROOMS)
    included = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert included == [f"{room}*" for room in ROOMS]
    assert PYPROJECT["tool"]["mypy"]["packages"] == ROOMS


@pytest.mark.parametrize("module", _core())
def test_the_modules_of_the_core_exist(module):
    path = ROOT / Path(*module.split("."))
    assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_every_module_of_the_chain_is_in_the_core_or_known_for_its_io():
    core = _core()
    of_the_client = ("chain.client", "chain.following", "chain.transport", "chain.answers")
    outside = ("chain", "chain.store", "chain.database", *of_the_client, "chain.voting", "chain.wallets", "chain.node")
    unknown = [
        module
        for module in map(_module, _sources("chain"))
        if module not in outside
        and not any(module == name or module.startswith(f"{name}.") for name in [*core, "chain.node"])
    ]
    assert not unknown, f"{unknown}: add them to the core's contract in pyproject.toml"


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_distribution_installs_one_of_our_names(room):
    owners = set(importlib.metadata.packages_distributions().get(room, ()))
    assert owners <= {"assay"}, f"{room} is installed by {owners} too: one of them shadows the other"


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_do_not_load_the_learning_libraries(room):
    modules = [
        name
        for name in map(_module, _sources(room))
        if not name.endswith("__main__")
        and not any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY)
    ]
    code = (
        "import importlib, json, sys\n"
        "heavy = set(json.loads(sys.argv[2]))\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    importlib.import_module(name)\n"
        "    found = heavy & set(sys.modules)\n"
        "    assert not found, f'importing {name} loads {sorted(found)}'\n"
    )
    command = [sys.executable, "-c", code, json.dumps(modules), json.dumps(sorted(LEARNING_LIBRARIES))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["workers", "validators"])
def test_services_that_learn_load_nothing_with_their_package(room):
    code = (
        "import json, sys\n"
        f"import {room}\n"
        "found = set(json.loads(sys.argv[1])) & set(sys.modules)\n"
        "assert not found, sorted(found)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(sorted(LEARNING_LIBRARIES))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_stay_short():
    paths = [path for room in [*ROOMS, "tests"] for path in _sources(room)]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in paths
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not long, f"longer than {LONGEST_FILE} lines, split them: {long}"


def test_requirements_name_exact_versions():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert "==" in line, f"{name}: {line!r} is not pinned"
