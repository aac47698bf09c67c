"""Which fleet a command talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import targets
from coordinator.client import DEFAULT_URL
from runtime.endpoints import announced
from runtime.settings import DEFAULT, DataFolder, EndpointsError

THERE = {
    "coordinator": "http://127.0.0.1:5999",
    "node": "http://127.0.0.1:7999",
    "store": "/somewhere/store",
    "broker": "redis://127.0.0.1:1/0",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """The folder of a fleet that runs."""
    folder = DataFolder(tmp_path / "data")
    with folder.lock():
        folder.write_endpoints(THERE)
        yield str(folder.path)


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


def test_or_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets.node(str(DEFAULT), None).url == targets.NODE_URL
    with targets.coordinator(str(DEFAULT), None) as client:
        assert client.url == DEFAULT_URL


def test_a_folder_that_is_named_and_has_no_fleet_never_means_another_fleet(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing")
    with pytest.raises(EndpointsError, match="assay up --data"):
        targets.node(nowhere, None)
    with pytest.raises(EndpointsError, match="assay up --data"):
        targets.coordinator(nowhere, None)
    assert targets.node(nowhere, "http://127.0.0.1:1").url == "http://127.0.0.1:1"
    store = targets.store(nowhere, None)
    assert store.name.endswith("nothing/store"), "the embedded one, with or without a fleet"
    store.close()


def test_services_started_one_by_one_are_found_by_their_folder(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with announced(folder, "node", {"node": "http://127.0.0.1:7003"}):
        assert targets.node(str(folder.path), None).url == "http://127.0.0.1:7003"
        with pytest.raises(EndpointsError, match=r"no coordinator runs on .* `assay coordinator --data .* --url URL"):
            targets.coordinator(str(folder.path), None)
        with announced(folder, "validator", {"store": str(tmp_path / "shared")}):
            store = targets.store(str(folder.path), None)
            assert store.name.endswith("shared")
            store.close()
    with pytest.raises(EndpointsError, match="assay node --data"):
        targets.node(str(folder.path), None)


def test_an_address_whose_capitals_show_a_wrong_digit_is_nobody_s() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert targets.address("nowhere", right) == right.lower()
    with pytest.raises(click.UsageError, match="a character is wrong"):
        targets.address("nowhere", right.replace("5aA", "6aA"))
