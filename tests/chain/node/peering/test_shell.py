"""What a node has learned of others outlasts its process, within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain.node import remembering
from chain.node.core import Node
from chain.node.peering.book import Book
from chain.node.peering.limits import Limits
from chain.node.peering.shell import SAVE_MS, Peers
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address
from chain.store import Store

HOUR = 3_600_000


class Desk:
    """A node's peers on a store and a clock that outlast them; nobody is really called."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis, self.store, self.now = genesis, Store(None), 1_700_000_000_000
        self.start()

    def start(self, *seeds: str) -> Book:
        node = Node(self.genesis, DEVELOPMENT, self.store, lambda: self.now, Address("0x" + "ab" * 20))
        self.peers = Peers(node, self.store, lambda: self.now, lambda _: None, "", seeds)
        self.peers.links.dial = lambda: None  # type: ignore[method-assign]
        return self.peers.peering.book

    def tick(self) -> None:
        """What the node's writer does when it is due."""
        due = self.peers.next_time()
        assert due is not None
        assert due <= self.now + SAVE_MS
        self.now += SAVE_MS
        self.peers.on_time()


@pytest.fixture
def desk(network: Genesis) -> Any:
    desk = Desk(network)
    yield desk
    desk.peers.close()


def test_addresses_that_answered_and_whom_it_does_not_listen_to_are_known_after_a_kill(desk: Desk) -> None:
    book = desk.peers.peering.book
    book.answered("http://a:7001")
    book.add("http://never-answered:7001")
    book.discourage("http://b:7001", desk.now, "a header against the rules")
    desk.tick()
    book = desk.start()
    assert [each.url for each in book] == ["http://a:7001"]
    refusal = book.refusal("http://b:7001", desk.now)
    assert refusal is not None
    assert refusal.reason == "a header against the rules"
    assert book.refusal("http://b:7001", refusal.until) is None, "and it ends when it was to end"


def test_an_address_of_the_command_line_that_answered_is_one_of_many_in_the_next_run(desk: Desk) -> None:
    book = desk.start("http://a:7001", "http://a-mistake:7001")
    assert all(each.trusted for each in book)
    for number in range(Limits().addresses):
        book.answered(f"http://x{number}:1")
    book.answered("http://a:7001")
    desk.tick()
    kept = list(desk.start())
    assert len(kept) == Limits().addresses, "it counts as the others do, and comes before them"
    assert [(each.url, each.trusted, each.answered) for each in kept[:1]] == [("http://a:7001", False, True)]
    assert "http://a-mistake:7001" not in [each.url for each in kept]
    assert desk.start("http://a:7001").trusts("http://a:7001"), "until it is named again"


def test_what_the_operator_removes_is_not_there_again(desk: Desk) -> None:
    book = desk.start("http://a:7001")
    book.answered("http://a:7001")
    desk.tick()
    assert desk.peers.remove("http://a:7001")
    desk.tick()
    assert list(desk.start()) == []


def test_they_are_written_when_it_ends_as_well(desk: Desk) -> None:
    desk.peers.peering.book.answered("http://a:7001")
    desk.peers.close()
    assert [each.url for each in desk.start()] == ["http://a:7001"]


def test_a_crowd_cannot_have_it_write_all_the_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    keep = remembering.keep_book
    monkeypatch.setattr(remembering, "keep_book", lambda *given: (written.append(desk.now), keep(*given))[1])
    for number in range(200):
        desk.peers.peering.book.discourage(f"http://x{number}:1", desk.now, "nonsense")
        desk.now += 10
        desk.peers.on_time()
    assert 2 <= len(written) <= 3
    assert written[1] - written[0] >= SAVE_MS


def test_what_is_kept_is_bounded(desk: Desk) -> None:
    limits = Limits()
    book = desk.peers.peering.book
    for number in range(limits.addresses + 50):
        book.answered(f"http://a{number}:1")
    for number in range(limits.discouraged + 50):
        book.discourage(f"http://b{number}:1", desk.now, "nonsense")
    desk.tick()
    kept = remembering.book(desk.store)
    assert (len(kept["addresses"]), len(kept["discouraged"])) == (limits.addresses, limits.discouraged)
    assert len(json.dumps(kept)) < 200_000
    book = desk.start()
    assert len(list(book)) == limits.addresses
    assert len(book.discouraged) == limits.discouraged


def test_an_end_that_a_wrong_clock_has_set_is_no_further_away_than_a_new_one(desk: Desk) -> None:
    desk.peers.peering.book.discourage("http://b:1", desk.now + 24 * HOUR, "nonsense")
    desk.tick()
    refusal = desk.start().refusal("http://b:1", desk.now)
    assert refusal is not None
    assert refusal.until <= desk.now + Limits().discourage_ms


def test_an_operator_s_peer_is_forgiven_for_good(desk: Desk) -> None:
    desk.peers.peering.book.discourage("http://b:1", desk.now, "nonsense")
    desk.tick()
    desk.peers.add("http://b:1")
    desk.tick()
    book = desk.start()
    assert book.refusal("http://b:1", desk.now) is None
    assert [(each.url, each.trusted) for each in book] == [("http://b:1", True)]
