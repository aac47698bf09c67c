"""What is under way to one peer waits for nobody else."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chain.node.peering.links import UNDER_WAY, Link, Links
from chain.node.peering.messages import Hello, Status, Transactions
from chain.params import DEVELOPMENT

ZERO = "00" * 32


@pytest.fixture
def links(monkeypatch):
    """Connections that post to nobody: what goes to slow addresses takes until the test is over."""
    release, posted = threading.Event(), queue.SimpleQueue[str]()
    links = Links(lambda _: None, DEVELOPMENT)

    def post(url: str, *_given: object) -> bytes:
        posted.put(url)
        if "slow" in url:
            release.wait(30)
        return b""

    monkeypatch.setattr(links._poster, "post", post)
    yield links, posted
    release.set()
    links.close()


def test_peers_that_take_their_time_hold_up_nobody_else(links):
    links, posted = links
    names = [f"http://slow{number}:1" for number in range(63)]
    for name in [*names, "http://quick:1"]:
        links._links[name] = Link(name, name, "", "", [])
    for name in names * (UNDER_WAY + 2):
        links.send(name, Transactions(()))
    for _ in range(len(names) * UNDER_WAY):
        posted.get(timeout=10)
    links.send("http://quick:1", Transactions(()))
    assert posted.get(timeout=10).startswith("http://quick:1/p2p/"), "while the slow ones hold theirs for 30 s"
    assert posted.empty(), "so many are under way to one peer, and the rest waits"


@pytest.mark.parametrize(("own", "asks"), [("", False), ("http://greeter:1", False), ("http://here:1", True)])
def test_who_has_no_address_does_not_call_back_in_vain(links, own, asks):
    """The other side answers only to the address that it greeted, which has to be the one that asks."""
    links, posted = links
    hello = Hello(1, ZERO, "00" * 16, own, Status(0, ZERO, "0", "0", 0, ZERO, 0, ZERO))
    links.peering = SimpleNamespace(url=own, hello=lambda: hello)
    assert not links.call_back(replace(hello, url="http://greeter:1"), "11" * 16, "22" * 16)
    assert posted.empty() is not asks
