"""The node's one thread that writes: a disk that refuses, a clock that was set, and who waits for what."""

from __future__ import annotations

import gc
import secrets
import sqlite3
import threading
import time
import weakref
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from chain.client import NodeUnavailable
from chain.errors import Expired
from chain.node.api import create_app
from chain.node.blocklog import BlockLog
from chain.node.core import Node
from chain.node.peering.peer import PeerRefused
from chain.node.service import Service, Unacknowledged, _Found, _Submission, clock
from chain.params import DEVELOPMENT
from chain.store import Store
from chain.transactions import Transfer, body_of, sign


def test_a_disk_that_refuses_is_asked_again(served, net, monkeypatch):
    failed = []
    put = Store.put_pending

    def once(self, transactions):
        if not failed:
            failed.append(1)
            raise sqlite3.OperationalError("database or disk is full")
        put(self, transactions)

    monkeypatch.setattr("chain.node.service.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Store, "put_pending", once)
    signed = served.client.prepare(Transfer(net.validators[0].address, 1), net.owner)
    with pytest.raises(NodeUnavailable, match="disk is full"):
        served.client.submit(signed)
    served.client.submit(signed)
    served.client.wait_transaction(signed.id)


def test_a_nonce_that_comes_while_the_disk_refuses_is_not_the_end_of_mining(served, net, monkeypatch):
    arrived, refuse = threading.Event(), threading.Event()
    take, put = Service._take, Store.put_pending
    held: list[object] = []

    def together(self):
        """Hands the miner's first answer to the writer together with a transaction that the disk refuses."""
        while True:
            items = held + take(self)
            held.clear()
            if refuse.is_set() or not any(isinstance(each, _Found) for each in items):
                return items
            arrived.set()
            held.extend(items)
            if any(isinstance(each, _Submission) for each in items):
                refuse.set()
                held.clear()
                return items

    def once(self, transactions):
        if refuse.is_set() and not failed:
            failed.append(1)
            raise sqlite3.OperationalError("database or disk is full")
        put(self, transactions)

    failed: list[int] = []
    monkeypatch.setattr("chain.node.service.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Service, "_take", together)
    monkeypatch.setattr(Store, "put_pending", once)
    first = served.client.send(Transfer(net.validators[0].address, 1), net.owner)
    second = served.client.prepare(Transfer(net.validators[0].address, 2), net.owner)
    assert arrived.wait(10)
    with pytest.raises(NodeUnavailable, match="disk is full"):
        served.client.submit(second)
    served.client.wait_transaction(first, timeout=10)


@pytest.fixture
def in_process(tmp_path, net, monkeypatch):
    """A node's service without HTTP, and by how many milliseconds its clock is behind."""
    genesis, behind = replace(net.genesis(), time=clock() - 10_000), [0]
    monkeypatch.setattr("chain.node.service.clock", lambda: clock() - behind[0])
    store = Store(tmp_path / "chain.sqlite")
    node = Node(genesis, DEVELOPMENT, store, lambda: clock() - behind[0], net.miner)
    with closing(store), closing(BlockLog(tmp_path / "blockchain.log", store.events)) as log:
        made = Service(node, store, log, threading.Event(), "run")
        yield made, behind
        made.close()


def transfer(service, net, expires_in: int = 600_000):
    body = body_of(
        Transfer(net.validators[0].address, 1), net.owner.address, service.node.chain.genesis_id, secrets.token_hex(16),
        clock() + expires_in,
    )  # fmt: skip
    return sign(body, net.owner)


def test_what_stands_behind_a_refused_write_has_its_turn(in_process, net, monkeypatch):
    """The end of a dial among it: its address would else never be dialled again."""
    service, _ = in_process
    busy, go_on, done = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr("chain.node.service.RETRY_SECONDS", 0.01)
    real, failed = service.node.receive_transactions, []

    def once(signed):
        if not failed:
            failed.append(1)
            raise sqlite3.OperationalError("database or disk is full")
        return real(signed)

    service.node.receive_transactions = once
    service.start()
    service.post(lambda: (busy.set(), go_on.wait(20)))
    assert busy.wait(20)

    def submit() -> None:
        with pytest.raises(Unacknowledged):
            service.submit(transfer(service, net))

    refused = threading.Thread(target=submit)
    refused.start()
    while service._inbox.qsize() < 1:
        threading.Event().wait(0.001)
    service.post(done.set)
    go_on.set()
    assert done.wait(20)
    refused.join(20)
    assert failed


def test_what_nobody_waits_for_any_more_is_not_taken(in_process, net, monkeypatch):
    """Its sender was told to send it again, and may have thought better of it."""
    service, _ = in_process
    busy, go_on = threading.Event(), threading.Event()
    service.start()
    service.post(lambda: (busy.set(), go_on.wait(20)))
    assert busy.wait(20)
    signed = transfer(service, net)
    with monkeypatch.context() as impatient:
        impatient.setattr("chain.node.service.ACKNOWLEDGE_SECONDS", 0.01)
        with pytest.raises(Unacknowledged, match="the disk did not take it"):
            service.submit(signed)
    go_on.set()
    assert service.call(lambda: service.node.standing(signed.id)) is None


@pytest.fixture
def no_collector():
    """Nothing looks for rings of objects that hold each other, as a node's process does seldom."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_transaction_that_was_refused_is_freed_with_the_answer(in_process, net, no_collector):
    service, _ = in_process
    service.start()
    signed = transfer(service, net, expires_in=-1)
    freed = weakref.ref(signed)
    with suppress(Expired):
        service.submit(signed)
        pytest.fail("it was not refused")
    del signed
    service.call(lambda: None)  # by then the writer is done with what came before
    assert freed() is None


def test_what_was_done_for_a_peer_that_was_refused_is_freed_with_the_answer(in_process, no_collector):
    service, _ = in_process
    service.start()

    def refuse():
        raise PeerRefused("full", "no room")

    freed = weakref.ref(refuse)
    with suppress(PeerRefused):
        service.call(refuse)
        pytest.fail("it was not refused")
    del refuse
    service.call(lambda: None)
    assert freed() is None


def test_a_node_looks_at_the_clock_again_which_may_have_been_set(in_process, net):
    """Nothing else wakes the one node of a machine whose clock was half an hour behind and is right again."""
    service, behind = in_process
    service.start()
    service.submit(transfer(service, net))
    wait_until(service, lambda: service.node.head.height > 0)
    behind[0] = 1_800_000
    signed = transfer(service, net)
    service.submit(signed)
    assert service.node.shown(signed.id).status == "pending"
    behind[0] = 0
    wait_until(service, lambda: service.node.shown(signed.id).status == "included")


def wait_until(service, holds, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        seen = service.bell.count
        if not holds():
            assert service.bell.wait(seen, deadline), "it did not come to it in time"


def test_who_waits_for_a_transaction_is_told_that_it_expired(in_process, net, monkeypatch):
    service, _ = in_process
    monkeypatch.setattr(Service, "_mine", lambda self: self.node.on_time() and None)  # nothing is found
    service.start()
    signed = transfer(service, net, 1_500)
    service.submit(signed)
    client = create_app(service, "token").test_client()
    began = time.monotonic()
    found = client.get(f"/transactions/{signed.id}?wait=25").json
    assert (found["status"], found["code"]) == ("dropped", "expired")
    assert time.monotonic() - began < 20
