"""Nodes that talk over HTTP on loopback, each with its threads, in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from chain.client import NodeClient
from chain.finality import choose_vote
from chain.node import remembering
from chain.node.peering.exchange import Exchange
from chain.node.peering.links import Links
from chain.node.running import DATABASE, run
from chain.params import Genesis
from chain.schema import Address
from chain.store import Store
from chain.transactions import Transfer
from cli import services
from cli.chain import chain
from runtime.settings import DataFolder

CBOR = "application/vnd.ipld.dag-cbor"


@dataclass
class Running:
    """A node that serves from a thread."""

    client: NodeClient
    stop: threading.Event
    thread: threading.Thread
    folder: Path

    @property
    def url(self) -> str:
        return self.client.url

    @property
    def head(self) -> str:
        return str(self.client.chain()["head"])

    def peers(self) -> list[dict[str, object]]:
        return list(requests.get(f"{self.url}/peers", timeout=5).json()["peers"])

    def add(self, other: Running) -> None:
        self.client.add_peer(other.url, self.token)

    @property
    def token(self) -> str:
        return DataFolder(self.folder).operator_token.read_text().strip()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.client.close()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, network: Genesis) -> Iterator[Start]:
    nodes: list[Running] = []

    def begin(name: str, *peers: Running, genesis: Genesis = network, **options: object) -> Running:
        stop, ready, ports = threading.Event(), threading.Event(), list[int]()

        def on_ready(port: int) -> None:
            ports.append(port)
            ready.set()

        miner = Address("0x" + name.encode().hex().rjust(40, "0"))
        urls = [peer.url for peer in peers]
        arguments = (tmp_path / name, "127.0.0.1", 0, genesis, miner, stop, on_ready)
        thread = threading.Thread(target=run, args=arguments, kwargs={"peers": urls, **options})
        thread.start()
        assert ready.wait(20)
        nodes.append(Running(NodeClient(f"http://127.0.0.1:{ports[0]}", timeout=5), stop, thread, tmp_path / name))
        return nodes[-1]

    yield begin
    for node in nodes:
        if node.thread.is_alive():
            node.end()


def wait(until: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not until():
        assert time.monotonic() < deadline, "not so in time"
        pause.wait(0.02)


def vote(node: Running, keys, last) -> None:
    view = node.client.finality()
    if view.height == 0:
        return

    class Head:
        finality, height = view.value, view.height

    for key in keys:
        found = choose_vote(Head, view.head, last.get(key.address))
        if found is not None:
            last[key.address] = found
            node.client.send(found, key)


def pay(node: Running, owner, keys) -> str:
    return node.client.send(Transfer(keys[0].address, 1), owner)


def test_three_nodes_follow_one_another_and_a_late_joiner_catches_up(start, owner, validators):
    a = start("a")
    b = start("b", a)
    c = start("c", a)
    wait(lambda: len(a.peers()) == 2 and all(peer["reachable"] for peer in a.peers()))
    wait(lambda: len(b.peers()) == 2)  # it learned of c from a, or c of it
    for node in (a, b, c):
        sent = pay(node, owner, validators)
        for other in (a, b, c):
            other.client.wait_transaction(sent, "included", timeout=10)
    last: dict = {}

    def final() -> bool:
        vote(b, validators, last)
        return all(node.client.chain()["final"]["height"] >= 3 for node in (a, b, c))

    wait(final)
    late = start("late", b)
    wait(lambda: late.head == a.head == b.head == c.head)
    assert late.client.chain()["final"]["height"] >= 3


def test_turns_are_taken_over_the_network(start, owner, validators):
    a = start("a")
    b = start("b", a)
    wait(lambda: len(a.peers()) == 1 == len(b.peers()))
    miners = set()
    for number in range(100):
        # Handed in at either, twenty and as many more as it takes: a miner that never mined is in nobody's order yet,
        # and has to be first once, which it is for about half of what is handed in at it.
        if number >= 20 and len(miners) == 2:
            break
        sent = pay((a, b)[number % 2], owner, validators)
        found = a.client.wait_transaction(sent, "included", timeout=10)
        miners.add(a.client.block(found["block"])["miner"])
        wait(lambda: a.head == b.head)
    assert len(miners) == 2


def test_a_reorganisation_tells_followers_what_was_undone_and_redone(start, owner, validators):
    a, b = start("a"), start("b")
    lost = pay(a, owner, validators)
    a.client.wait_transaction(lost, "included", timeout=10)
    kept = [pay(b, owner, validators)]
    b.client.wait_transaction(kept[0], "included", timeout=10)
    last: dict = {}

    def final() -> bool:
        vote(b, validators, last)
        return b.client.chain()["final"]["height"] >= 1

    wait(final)
    old = a.client.transaction(lost)["block"]
    a.add(b)
    wait(lambda: a.client.chain()["final"]["height"] >= 1)
    events = a.client.events(0).events
    start_at = [event.kind for event in events].index("reorganisation")
    before, after = events[:start_at], events[start_at + 1 :]
    undone = [event for event in after if event.undone]
    # Everything that had happened is said again, last first; then what happened instead.
    assert [(event.block, event.kind) for event in undone] == [(event.block, event.kind) for event in reversed(before)]
    assert (old, "transfer") in [(event.block, event.kind) for event in undone]
    assert not any(event.undone for event in after[len(undone) :])
    heights = [event.height for event in after[len(undone) :] if event.kind == "block"]
    assert heights == list(range(1, heights[-1] + 1))
    # The transaction of the branch that was left is mined again.
    found = a.client.wait_transaction(lost, "included", timeout=10)
    assert found["block"] != old
    b.client.wait_transaction(lost, "included", timeout=10)


def test_both_of_two_nodes_with_conflicting_finals_stop(start, owner, validators, monkeypatch):
    """Whoever sees it first still shows its own branch to the other."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # their threads end with the conflict
    sides = start("a"), start("b")
    for node in sides:
        last: dict = {}
        node.client.wait_transaction(pay(node, owner, validators), "included", timeout=10)

        def final(node=node, last=last) -> bool:
            vote(node, validators, last)
            return bool(node.client.chain()["final"]["height"] >= 1)

        wait(final)
    sides[1].add(sides[0])
    for node in sides:
        node.thread.join(30)
        assert not node.thread.is_alive()
    for node in sides:
        with closing(Store(node.folder / "node" / DATABASE)) as store:
            assert remembering.conflict(store) is not None
            caught = {report.validator for report in remembering.evidence(store)}
            assert caught == {key.address for key in validators}


def test_another_network_is_refused_with_the_reason(start, network):
    a = start("a")
    b = start("b", a, genesis=Genesis(network.network, network.time, network.validators, network.balances, "another"))

    def reason() -> bool:
        found = requests.get(f"{b.url}/peers", timeout=5).json()["addresses"]
        return "expected the network of genesis" in found[0]["reason"]

    wait(reason)
    assert a.peers() == b.peers() == []


def test_a_node_does_not_connect_with_itself(start):
    a = start("a", advertise="")
    a.add(a)
    wait(lambda: requests.get(f"{a.url}/peers", timeout=5).json()["addresses"] == [])
    assert a.peers() == []


def test_a_node_that_cannot_be_reached_asks_and_tells(start, owner, validators):
    a = start("a")
    b = start("b", a, advertise="")
    wait(lambda: len(a.peers()) == 1)
    assert not a.peers()[0]["reachable"]
    sent = pay(b, owner, validators)
    a.client.wait_transaction(sent, "included", timeout=10)
    sent = pay(a, owner, validators)
    a.client.wait_transaction(sent, "included", timeout=10)
    wait(lambda: a.head == b.head)


def test_an_address_that_is_not_the_speakers_is_not_believed(start):
    a, b = start("a"), start("b")
    c = start("c", a, advertise=b.url)
    wait(lambda: len(a.peers()) == 1)
    assert not a.peers()[0]["reachable"]
    assert c.peers()[0]["peer"] == a.url


def test_a_node_that_comes_back_is_found_again(start, owner, validators, tmp_path):
    a = start("a")
    b = start("b", a)
    wait(lambda: [peer["reachable"] for peer in a.peers()] == [True])
    b.end()
    sent = pay(a, owner, validators)
    a.client.wait_transaction(sent, "included", timeout=10)
    again = start("b", a)
    wait(lambda: again.head == a.head)


def test_peers_of_an_operator_are_kept_over_a_restart(start):
    a, b = start("a"), start("b")
    b.add(a)
    wait(lambda: len(b.peers()) == 1)
    b.end()
    again = start("b")
    wait(lambda: len(again.peers()) == 1)


def test_a_token_is_good_before_the_answer_to_its_greeting_is_here(start, owner, validators, monkeypatch):
    settle = Links._dialled
    held = []

    def late(self, url, found, token) -> None:
        held.append(token)
        timer = threading.Timer(0.5, lambda: self._post(lambda: settle(self, url, found, token)))
        timer.start()

    monkeypatch.setattr(Links, "_dialled", late)
    a = start("a")
    b = start("b", a)
    wait(lambda: len(held) == 1)
    assert len(a.peers()) == 1  # and asks b at once
    wait(lambda: len(b.peers()) == 1)
    b.client.wait_transaction(pay(a, owner, validators), "included", timeout=10)
    assert len(held) == 1  # nobody had to greet again
    assert len(a.peers()) == len(b.peers()) == 1


def test_messages_need_a_token(start):
    a = start("a")
    answer = requests.post(f"{a.url}/p2p/ask-peers", data=b"\xa0", headers={"Content-Type": CBOR}, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_peer")
    answer = requests.post(f"{a.url}/p2p/nonsense", data=b"\xa0", headers={"Content-Type": CBOR}, timeout=5)
    assert answer.status_code == 404
    answer = requests.post(f"{a.url}/p2p/hello", data=b"\xa0", headers={"Content-Type": CBOR}, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_encoding")


@pytest.mark.parametrize(
    "command", [(chain, "peers", "--add"), (services.node, "--peers"), (services.node, "--advertise")]
)
def test_an_address_on_the_command_line_is_checked(command):
    refused = CliRunner().invoke(command[0], [*command[1:], "nowhere"])
    assert refused.exit_code == 2
    assert "expected http://HOST:PORT" in refused.output


def test_large_transactions_are_fetched_by_who_is_offered_them(start, owner, validators, monkeypatch):
    monkeypatch.setattr("chain.node.peering.gossip.OFFERED_BYTES", 1)
    offers = []
    decide = Exchange.on_offer
    monkeypatch.setattr(Exchange, "on_offer", lambda *given: (offers.append(given[2].ids), decide(*given))[1])
    a, b = start("a"), start("b")
    b.add(a)
    wait(lambda: len(a.peers()) == len(b.peers()) == 1)
    sent = pay(a, owner, validators)
    assert b.client.wait_transaction(sent, "included", timeout=20)["status"] in ("included", "final")
    assert (sent,) in offers
