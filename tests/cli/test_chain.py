"""`assay chain peers`: what is told to who changes a node's peers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cli import targets

URL = "http://192.0.2.7:7001"


class Node:
    """A node without peers, and what it was asked to change."""

    def __init__(self) -> None:
        self.changed: list[tuple[str, ...]] = []

    def peers(self) -> dict[str, Any]:
        return {"url": "http://192.0.2.1:7001", "peers": [], "addresses": [], "discouraged": []}

    def remove_peer(self, url: str, token: str) -> None:
        self.changed.append(("remove", url, token))

    def add_peer(self, url: str, token: str) -> None:
        self.changed.append(("add", url, token))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(targets, "node", lambda *_: node)
    monkeypatch.setattr(targets, "operator_token", lambda _: "token")
    return node


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_who_removes_a_peer_is_told_that_it_may_come_back_and_what_keeps_it_away(
    assay: Callable[..., Any], node: Node, form: list[str]
) -> None:
    ran = assay("chain", "peers", "--remove", URL, *form)
    assert (ran.status, node.changed) == (0, [("remove", URL, "token")])
    assert "until another node tells of it" in ran.err
    assert "firewall" in ran.err
    assert URL not in ran.out


def test_who_adds_one_is_not(assay: Callable[..., Any], node: Node) -> None:
    ran = assay("chain", "peers", "--add", URL)
    assert (ran.status, ran.err, node.changed) == (0, "", [("add", URL, "token")])


def test_the_help_says_so_too(assay: Callable[..., Any]) -> None:
    told = " ".join(assay("chain", "peers", "--help").out.split())
    assert "keeps nobody away" in told
    assert "firewall" in told


def test_an_address_without_a_connection_says_why_or_that_it_was_not_tried(
    assay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [
        {"url": "http://192.0.2.7:7001", "trusted": True, "failures": 0, "reason": ""},
        {"url": "http://192.0.2.8:7001", "trusted": True, "failures": 3, "reason": "connection refused"},
    ]
    answer = {"url": "", "peers": [], "addresses": known, "discouraged": []}
    monkeypatch.setattr(targets, "node", lambda *_: SimpleNamespace(peers=lambda: answer))
    lines = assay("chain", "peers").out.splitlines()
    assert [line.split(maxsplit=2) for line in lines[-2:]] == [
        ["http://192.0.2.7:7001", "0", "not tried yet"],
        ["http://192.0.2.8:7001", "3", "connection refused"],
    ]
