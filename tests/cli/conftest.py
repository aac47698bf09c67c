"""The command line as a caller sees it, on the network in one process of the coordinator's tests."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import main


def _coordinator_s() -> Any:
    """tests/ is no package: its conftest is loaded from its place."""
    path = Path(__file__).parents[1] / "coordinator" / "conftest.py"
    spec = importlib.util.spec_from_file_location("assay_coordinator_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


network = _coordinator_s().network


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def assay(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `assay ARGUMENTS` in this process."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as done:
            status = done.code if isinstance(done.code, int) else int(done.code is not None)
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    return run


@pytest.fixture
def on(network: Any, assay: Callable[..., Ran]) -> Callable[..., Ran]:
    """The same, told where the network is: by `--url`, or `--node` and `--store` for commands that take those."""

    def run(*arguments: object) -> Ran:
        where: list[object] = ["--data", network.settings.data]
        group = arguments[0]
        if group in ("train", "job", "model") or arguments[:2] in (("dataset", "register"), ("dataset", "list")):
            where += ["--url", network.url]
        elif group in ("chain", "audit") or arguments[:2] in (("wallet", "balance"), ("wallet", "send")):
            where += ["--node", network.node.url]
        if group == "audit" or arguments[:2] == ("dataset", "add"):
            where += ["--store", network.settings.store_address]
        return assay(*arguments, *where)

    return run
