"""Which fleet a command talks to."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import targets
from coordinator.client import DEFAULT_URL
from runtime.settings import DataFolder

THERE = {
    "coordinator": "http://127.0.0.1:5999",
    "node": "http://127.0.0.1:7999",
    "store": "/somewhere/store",
    "broker": "redis://127.0.0.1:1/0",
}


@pytest.fixture
def running(tmp_path: Path) -> str:
    """The folder of a fleet that runs."""
    folder = DataFolder(tmp_path / "data")
    folder.path.mkdir(exist_ok=True)
    folder.write_endpoints(THERE)
    return str(folder.path)


def test_the_one_of_the_folder(running: str) -> None:
    assert targets.node(running, None).url == THERE["node"]
    with targets.coordinator(running, None) as client:
        assert client.url == THERE["coordinator"]


def test_or_the_one_that_is_named(running: str, tmp_path: Path) -> None:
    assert targets.node(running, "http://127.0.0.1:1/").url == "http://127.0.0.1:1"
    with targets.coordinator(running, "http://127.0.0.1:2") as client:
        assert client.url == "http://127.0.0.1:2"
    store = targets.store(running, str(tmp_path / "mine"))
    assert store.name.endswith("mine")
    store.close()


def test_or_the_usual_one(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing")
    assert targets.node(nowhere, None).url == targets.NODE_URL
    with targets.coordinator(nowhere, None) as client:
        assert client.url == DEFAULT_URL
    store = targets.store(nowhere, None)
    assert store.name.endswith("nothing/store"), "the embedded one, with or without a fleet"
    store.close()
