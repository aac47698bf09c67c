"""The node as a process: what it acknowledged survives SIGKILL at any moment."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from chain.blocks import Block
from chain.client import NodeClient, NodeError, NodeUnavailable
from chain.database import StoreError
from chain.errors import ConflictingFinality
from chain.finality import choose_vote
from chain.node import running
from chain.node.core import Node
from chain.node.running import DATABASE, run
from chain.node.service import Service
from chain.params import NETWORKS, Genesis
from chain.store import Store
from chain.transactions import Transfer
from runtime.settings import DataFolder

SERVE = """
import sys, threading
from pathlib import Path
from chain.node.running import run
from chain.params import Genesis
from runtime.guard import watch_parent
from runtime.signals import stop_event
watch_parent()
genesis = Genesis.from_json(Path(sys.argv[2]).read_text())
run(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[3]), genesis, "0x" + "ab" * 20, stop_event(),
    lambda port: print(port, flush=True))
"""
#: SIGKILLs; ASSAY_KILLS=50 for a long run.
KILLS = int(os.environ.get("ASSAY_KILLS", "10"))


class NodeProcess:
    """A node in a process of its own, started anew on the same folder and port."""

    def __init__(self, folder: Path, genesis: Path, leash) -> None:
        self.folder, self.genesis, self.leash, self.port = folder, genesis, leash, 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> NodeClient:
        with (self.folder.parent / "node.err").open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", SERVE, str(self.folder), str(self.genesis), str(self.port)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.leash.environment(),
                pass_fds=self.leash.pass_fds,
            )
        line = self.process.stdout.readline()
        assert line, (self.folder.parent / "node.err").read_text()
        self.port = int(line)
        return NodeClient(f"http://127.0.0.1:{self.port}", timeout=5)

    def end(self, number: int) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


@pytest.fixture
def node_process(tmp_path, net):
    from runtime.guard import Leash

    genesis = tmp_path / "genesis.json"
    genesis.write_text(net.genesis().to_json())
    leash = Leash()
    node = NodeProcess(tmp_path / "data", genesis, leash)
    yield node
    if node.process.poll() is None:
        node.end(signal.SIGKILL)
    leash.close()


class Voters(threading.Thread):
    """Four validators that vote on checkpoints, in one thread."""

    def __init__(self, client: NodeClient, net) -> None:
        super().__init__(daemon=True)
        self.client, self.net, self.stop, self.last = client, net, threading.Event(), {}

    def run(self) -> None:
        for _ in self.client.follow(self.stop, wait=1):
            try:
                self.vote()
            except NodeError:
                continue

    def vote(self) -> None:
        view = self.client.finality()
        if view.height == 0:
            return
        seen = Head(view.value, view.height)
        for key in self.net.validators:
            vote = choose_vote(seen, view.head, self.last.get(key.address))
            if vote is not None:
                self.last[key.address] = vote
                self.client.send(vote, key)

    def close(self) -> None:
        self.stop.set()
        self.join(10)


class Head:
    def __init__(self, finality, height: int) -> None:
        self.finality, self.height = finality, height


def test_starts_stops_and_takes_up_where_it_was(node_process, net):
    client = node_process.start()
    voters = Voters(client, net)
    voters.start()
    began = time.monotonic()
    sent = client.send(Transfer(net.validators[0].address, 5), net.owner)
    assert client.wait_transaction(sent, "final", timeout=20)["status"] == "final"
    assert time.monotonic() - began < 5
    voters.close()
    before = client.chain()
    assert node_process.end(signal.SIGTERM) == 0
    with pytest.raises(NodeUnavailable):
        client.chain()
    after = node_process.start().chain()
    same = ("genesis", "height", "head", "final", "justified", "work", "seq", "run", "pending")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}


@pytest.mark.fleet
def test_nothing_acknowledged_is_lost_by_sigkill_at_any_moment(node_process, net):
    chance = random.Random(7)
    client = node_process.start()
    voters = Voters(client, net)
    voters.start()
    acknowledged: list[str] = []
    stop = threading.Event()
    address = net.validators[0].address

    def send() -> None:
        while not stop.is_set():
            try:
                signed = client.prepare(Transfer(address, 1), net.owner)
                acknowledged.append(client.submit(signed))
            except NodeUnavailable:
                stop.wait(0.01)

    senders = [threading.Thread(target=send, daemon=True) for _ in range(3)]
    for sender in senders:
        sender.start()
    final = 0
    for _ in range(KILLS):
        stop.wait(chance.uniform(0.0, 0.4))
        node_process.end(signal.SIGKILL)
        node_process.start()
        height = client.chain()["final"]["height"]
        assert height >= final
        final = height
    stop.set()
    for sender in senders:
        sender.join(20)
    for each in acknowledged:
        client.wait_transaction(each, "final", timeout=30)
    voters.close()
    assert len(acknowledged) > KILLS
    balance = client.account(address).balance
    assert balance >= len(acknowledged)  # more where one was written down and its answer lost
    assert node_process.end(signal.SIGTERM) == 0
    _check_disk(node_process.folder, net, acknowledged)


def _check_disk(folder: Path, net, acknowledged: list[str]) -> None:
    """The database replays from genesis to the same state, and the log has every event once."""
    store = Store(folder / "node" / DATABASE)
    events = store.events(0, 10**9)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    lines = (folder / "blockchain.log").read_text().splitlines()
    assert [int(line.split()[1].removeprefix("seq=")) for line in lines] == [event.seq for event in events]
    node = Node(net.genesis(), net.params, store, lambda: int(time.time() * 1000), net.miner)
    fresh = Node(net.genesis(), net.params, Store(None), lambda: int(time.time() * 1000), net.miner)
    for stored in store.blocks_above(0):
        fresh.receive_block(Block.decode(stored.data, net.params.max_block_bytes))
    assert fresh.head.id == node.head.id
    assert fresh.head.state.digest == node.head.state.digest
    assert all(store.included(each) for each in acknowledged)
    store.close()


def test_a_second_node_on_the_folder_is_refused(node_process, net):
    node_process.start()
    with pytest.raises(StoreError, match="in use by another node"):
        run(node_process.folder, "127.0.0.1", 0, net.genesis(), net.miner, threading.Event())


def test_a_folder_without_a_chain_needs_a_genesis(tmp_path, net):
    with pytest.raises(StoreError, match="genesis file"):
        run(tmp_path, "127.0.0.1", 0, None, net.miner, threading.Event())


@pytest.mark.parametrize("said", [None, "half a fi", "another network's"])
def test_the_folder_says_the_genesis_of_its_chain(tmp_path, net, said):
    kept, given = DataFolder(tmp_path).genesis, net.genesis()
    if said is not None:
        other = Genesis(given.network, given.time, given.validators, given.balances, "another")
        kept.write_text(other.to_json() if said == "another network's" else said)
    for genesis in (given, None):
        stop = threading.Event()
        run(tmp_path, "127.0.0.1", 0, genesis, net.miner, stop, lambda _, stop=stop: stop.set())
        assert Genesis.from_json(kept.read_bytes()) == given


def test_a_genesis_file_that_was_replaced_is_named_and_setting_it_aside_brings_the_network_back(tmp_path, net):
    kept, given = DataFolder(tmp_path).genesis, net.genesis()

    def start(genesis):
        stop = threading.Event()
        run(tmp_path, "127.0.0.1", 0, genesis, net.miner, stop, lambda _: stop.set())

    start(given)
    kept.write_text(Genesis(given.network, given.time, given.validators, given.balances, "another").to_json())
    with pytest.raises(StoreError, match=r"with DATA/node/genesis\.json set aside"):
        start(Genesis.from_json(kept.read_bytes()))
    kept.unlink()
    start(None)
    assert Genesis.from_json(kept.read_bytes()) == given


def test_two_final_branches_stop_the_node_loudly(tmp_path, net, monkeypatch):
    def conflict(_self):
        raise ConflictingFinality("one final block", "two")

    monkeypatch.setattr(Node, "next_time", conflict)
    with pytest.raises(ConflictingFinality, match="one final block"):
        run(tmp_path / "data", "127.0.0.1", 0, net.genesis(), net.miner, threading.Event())


def test_a_node_stops_also_where_telling_of_it_fails(tmp_path, net, monkeypatch):
    def fail(*_args, **_fields):
        raise ConflictingFinality("one final block", "two")

    monkeypatch.setattr(Node, "next_time", fail)
    monkeypatch.setattr("chain.node.service._log", SimpleNamespace(critical=fail))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with pytest.raises(ConflictingFinality, match="one final block"):
        run(tmp_path / "data", "127.0.0.1", 0, net.genesis(), net.miner, threading.Event())


def test_a_peer_is_tried_again_soon_though_the_clock_was_set_back(tmp_path, net, monkeypatch):
    found: list[Service] = []
    make, real, stop = running.create_app, time.time_ns, threading.Event()
    monkeypatch.setattr(running, "create_app", lambda service, *given: found.append(service) or make(service, *given))
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(20)
        peer = f"http://127.0.0.1:{other.getsockname()[1]}"
        node = threading.Thread(
            target=lambda: run(
                tmp_path / "data", "127.0.0.1", 0, net.genesis(), net.miner, stop, lambda _: None, peers=[peer]
            )
        )
        node.start()
        try:
            other.accept()[0].close()  # no greeting
            deadline = time.monotonic() + 10
            while not any(each.failures for each in found[0].peers.peering.addresses):
                assert time.monotonic() < deadline
                stop.wait(0.01)
            monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600_000_000_000)
            other.accept()[0].close()
        finally:
            stop.set()
            node.join(20)


def test_the_application_is_made_before_any_thread_works(tmp_path, net, monkeypatch):
    """CPython 3.11 cannot parse code in two threads at once, as making routes and printing a traceback do."""
    order: list[str] = []
    make, start = running.create_app, Service.start
    monkeypatch.setattr(running, "create_app", lambda *given: order.append("application") or make(*given))
    monkeypatch.setattr(Service, "start", lambda self: order.append("threads") or start(self))
    stop = threading.Event()
    run(tmp_path / "data", "127.0.0.1", 0, net.genesis(), net.miner, stop, lambda _: stop.set())
    assert order == ["application", "threads"]


@pytest.mark.parametrize(("network", "peers"), [("development", []), ("consortium", []), ("consortium", ["http://127.0.0.1:9"])])
def test_the_log_says_where_a_node_stands_when_it_starts_and_that_it_ends(tmp_path, net, caplog, network, peers):
    caplog.set_level("INFO")
    genesis, stop, ports = replace(net.genesis(), network=network), threading.Event(), []
    run(
        tmp_path / "data", "127.0.0.1", 0, genesis, net.miner, stop,
        lambda port: (ports.append(port), stop.set()), peers=peers,
    )  # fmt: skip
    first = Node(genesis, NETWORKS[network], Store(None), lambda: 0, net.miner)
    said = [each.getMessage() for each in caplog.records if each.name == running.__name__]
    started = next(each for each in said if "listens=" in each)
    for expected in (
        "event=node ", f"listens=127.0.0.1:{ports[0]}", f"reached_at=http://127.0.0.1:{ports[0]}", f"miner={net.miner}",
        f"network={network}", f"genesis={first.chain.genesis_id}", "height=0", "final=0",
        f"addresses_of_others={len(peers)}",
    ):  # fmt: skip
        assert expected in started
    assert any("no other node is known yet" in each for each in said) == (network == "consortium" and not peers)
    assert said[-1].startswith('event="node ends"')


def test_many_at_once_share_one_write(node_process, net):
    client = node_process.start()
    signed = [client.prepare(Transfer(net.validators[0].address, 1), net.owner) for _ in range(200)]
    took: list[float] = []

    def send(part) -> None:
        mine = NodeClient(client.url)
        for each in part:
            began = time.monotonic()
            mine.submit(each)
            took.append(time.monotonic() - began)
        mine.close()

    threads = [threading.Thread(target=send, args=(signed[i::10],)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for each in signed:
        client.wait_transaction(each.id, "included")
    took.sort()
    assert len(took) == 200
    assert took[100] < 0.5  # 10 ms where the disk is quick
    assert client.chain()["height"] < 200
