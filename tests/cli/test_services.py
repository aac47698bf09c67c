"""`assay node` as a process of its own: started as the docs say, stopped, and started again on its folder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.client import NodeClient
from chain.params import Genesis
from cli.reading import UnreadableFile
from cli.services import _genesis
from runtime.settings import DataFolder, EndpointsError
from tests.lab import key_of

WITHIN = 20.0  # seconds


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    """The file that the organisations of a network were given."""
    path = tmp_path / "given.json"
    validators = (key_of("validator").address,)
    path.write_text(Genesis("consortium", int(time.time() * 1000), validators, (), "of several").to_json())
    return path


@contextlib.contextmanager
def node(folder: DataFolder, *options: object) -> Iterator[NodeClient]:
    """`assay node` on the folder, until this is left: it ends well at SIGTERM."""
    command = [sys.executable, "-P", "-m", "cli.main", "node", "--data", folder.path, "--port", 0, *options]
    process = subprocess.Popen([str(each) for each in command], stderr=subprocess.PIPE, text=True)
    try:
        yield NodeClient(_where(folder, process))
        process.terminate()
        assert process.wait(WITHIN) == 0
    finally:
        process.kill()
        process.communicate()


def _where(folder: DataFolder, process: subprocess.Popen[str]) -> str:
    deadline, pause = time.monotonic() + WITHIN, threading.Event()
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with contextlib.suppress(EndpointsError):
            return str(folder.read_endpoints()["node"])
        pause.wait(0.02)
    raise AssertionError("it did not answer in time")


def test_a_node_that_was_given_its_genesis_once_comes_back_on_its_folder(tmp_path: Path, genesis: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with node(folder, "--genesis", genesis) as first:
        begun = first.genesis_hash()
    assert folder.genesis.read_bytes() == genesis.read_bytes(), "what auditors are given"
    with node(folder) as again:
        assert again.genesis_hash() == begun
    folder.genesis.unlink()  # as in a folder of a node that did not write it
    with node(folder) as again:
        assert again.genesis_hash() == begun
    assert folder.genesis.read_bytes() == genesis.read_bytes()
    folder.genesis.write_bytes(genesis.read_bytes()[:20])  # as after a copy that was cut short
    with node(folder) as again:
        assert again.genesis_hash() == begun
    assert folder.genesis.read_bytes() == genesis.read_bytes()


def test_a_genesis_that_is_no_such_file_is_refused_where_it_is_named_or_nothing_else_is_there(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    broken = tmp_path / "genesis.json"
    broken.write_text('{"network":')
    folder.genesis.parent.mkdir(parents=True, exist_ok=True)
    folder.genesis.write_bytes(broken.read_bytes())
    for named, has_chain in ((str(broken), False), (str(broken), True), (None, False)):
        with pytest.raises(UnreadableFile, match=r"genesis\.json"):
            _genesis(folder, named, has_chain)
    assert _genesis(folder, None, True) is None
