"""A coordinator says which network its node is of, and where its folder has served another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from chain.client import NodeClient, NodeUnavailable
from coordinator import network

ONE, OTHER = "ab" * 32, "cd" * 32


class Node:
    url = "http://127.0.0.1:7001"

    def __init__(self, genesis: str, away: int = 0) -> None:
        self.genesis, self.away = genesis, away

    def chain(self) -> dict[str, Any]:
        if self.away:
            self.away -= 1
            raise NodeUnavailable("no node answers at http://127.0.0.1:7001")
        return {"network": "consortium", "genesis": self.genesis}


@pytest.fixture
def file(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Path:
    caplog.set_level("INFO")
    monkeypatch.setattr(network, "RETRY_SECONDS", 0.001)
    return tmp_path / "genesis"


def told(node: Node, file: Path, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    caplog.clear()
    network.tell(cast(NodeClient, node), file, threading.Event())
    return [(each.levelname, each.getMessage()) for each in caplog.records]


def test_it_says_which_network_it_follows_and_no_more_where_that_is_as_before(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        ((level, text),) = told(Node(ONE), file, caplog)
        assert level == "INFO"
        assert "network=consortium" in text
        assert f"genesis={ONE}" in text


def test_it_warns_at_every_start_where_the_folder_has_served_another(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told(Node(ONE), file, caplog)
    for _ in range(2):
        _, (level, text) = told(Node(OTHER), file, caplog)
        assert level == "WARNING"
        assert "another network than this folder has served" in text
        assert f"served={ONE}" in text
        assert f"found={OTHER}" in text
        assert "--node" in text
        assert str(file) in text
    assert len(told(Node(ONE), file, caplog)) == 1
    file.unlink()
    assert len(told(Node(OTHER), file, caplog)) == 1
    assert len(told(Node(OTHER), file, caplog)) == 1


def test_a_node_that_is_away_is_said_once_and_waited_for(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [level for level, _ in told(Node(ONE, away=5), file, caplog)] == ["WARNING", "INFO"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"nonsense\n"])
def test_a_file_that_was_cut_short_is_written_anew(
    file: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file.write_bytes(content)
    assert len(told(Node(ONE), file, caplog)) == 1
    assert file.read_text() == f"{ONE}\n"
