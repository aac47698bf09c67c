"""The node's HTTP API, over a socket."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import requests

from chain.blocks import Block
from chain.client import NodeClient, NodeRefused, NodeUnavailable, TransactionRefused, WaitTimeout
from chain.encoding import encode, to_json
from chain.keys import Key
from chain.node.api import create_app
from chain.node.core import Node
from chain.schema import Cid, Hash
from chain.state import Account
from chain.transactions import (
    CancelJob,
    ClaimPartition,
    Signed,
    Transfer,
    sign,
)
from runtime.streams import MAX_STREAMS
from tests.chain.node.sending import content, dataset, included, job, model

CBOR = "application/vnd.ipld.dag-cbor"


def problem(response: requests.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


class TestHostileRequests:
    @pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "-1", "²", "1e3"])
    def test_a_log_that_goes_on_from_an_event_that_is_not_there_begins_with_the_last_lines(self, served, net, number):
        included(served.client, Transfer(net.validators[0].address, 5), net.owner)
        headers = {"Last-Event-ID": number.encode()}
        with requests.get(f"{served.url}/log?tail=1", headers=headers, stream=True, timeout=5) as response:
            assert response.status_code == 200
            assert any(line.startswith(b"data: ") for line in response.iter_lines())

    def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(self, served):
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"POST /transactions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")

    def test_what_was_refused_is_not_kept(self, served):
        """Not even until the garbage collector looks, which it does seldom: bodies have megabytes."""

        def refused(count: int) -> int:
            for _ in range(count):
                body = bytes(5_000_000)
                headers = {"Content-Type": CBOR}
                assert problem(requests.post(f"{served.url}/transactions", body, headers=headers, timeout=10))[0] == 400
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")

        gc.collect()
        gc.disable()
        try:
            assert refused(30) - refused(10) < 50_000_000
        finally:
            gc.enable()

    def test_many_small_items_are_refused_before_the_writer_hears_of_them(self, served, net, monkeypatch):
        monkeypatch.setattr(Node, "receive_transactions", lambda node, items: 1 / 0)
        body = encode({"body": {"kind": "transfer", "payload": [[]] * 1_000_000}, "signature": "a" * 130})
        answer = requests.post(f"{served.url}/transactions", body, headers={"Content-Type": CBOR}, timeout=10)
        assert problem(answer) == (400, "invalid_encoding")
        assert "three bytes" in answer.json()["detail"]

    def test_a_name_of_any_length_is_shown_cut(self, served):
        response = requests.get(f"{served.url}/jobs/{'a' * 100_000}", timeout=5)
        assert problem(response) == (404, "not_found")
        assert len(response.content) < 1000

    def test_a_page_of_large_blocks_ends_early(self, served, net, monkeypatch):
        for _ in range(3):
            included(served.client, Transfer(net.validators[0].address, 5), net.owner)
        monkeypatch.setattr("chain.node.api_chain.PAGE_BYTES", 1)
        first = served.client.blocks(limit=20, cursor=2)
        assert [block["height"] for block in first["blocks"]] == [2]
        assert first["next"] == 1

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[" * 1_000_000, "deeper nesting"),
            ('{"a":' * 200_000, "deeper nesting"),
            ("9" * 1_000_000, "JSON document"),
            ('{"body":"\\ud800","signature":""}', "surrogate"),
            ('{"body":{"/":"x"},"body":1}', "twice"),
            ('{"body":{"/":{"bytes":"aGk"}}}', "links alone"),
        ],
    )
    def test_json_that_is_made_to_hurt_is_refused(self, served, text, said):
        response = requests.post(
            f"{served.url}/transactions", data=text.encode(), headers={"Content-Type": "application/json"}, timeout=5
        )
        assert problem(response) == (400, "invalid_encoding")
        assert said in response.json()["detail"]

    def test_a_name_with_line_breaks_makes_no_header_and_no_line(self, served):
        response = requests.get(f"{served.url}/models/a%0d%0aSet-Cookie:%20x=1%1b[31m", timeout=5)
        assert problem(response) == (404, "not_found")
        assert "Set-Cookie" not in response.headers
        assert b"\x1b" not in response.content


class TestTransactions:
    def test_bytes_are_acknowledged_and_mined_at_once(self, served, net):
        client = served.client
        began = time.monotonic()
        sent = client.send(Transfer(net.validators[0].address, 5), net.owner)
        found = client.wait_transaction(sent)
        assert time.monotonic() - began < 2
        assert (found["status"], found["height"], found["kind"]) == ("included", 1, "transfer")
        assert found["sender"] == net.owner.address
        assert found["payload"] == {"recipient": net.validators[0].address, "amount": 5}
        assert client.account(net.validators[0].address) == Account(5)

    def test_dag_json_serves_as_well(self, served, net):
        signed = served.client.prepare(Transfer(net.validators[0].address, 5), net.owner)
        response = requests.post(
            f"{served.url}/transactions", data=to_json(signed.to_object()), timeout=5,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert (response.status_code, response.json()) == (202, {"transaction": signed.id, "status": "pending"})
        assert served.client.submit(signed) == signed.id

    def test_forgeries_are_refused_each_with_its_code(self, served, net):
        client = served.client
        good = client.prepare(Transfer(net.validators[0].address, 5), net.owner)
        other = client.prepare(Transfer(net.validators[0].address, 6), net.owner)
        now = int(time.time() * 1000)
        before = client.chain()
        for data, status, code in (
            (Signed(good.body, other.signature).data, 400, "invalid_signature"),
            (sign(replace(good.body, genesis=Hash("1" * 64)), net.owner).data, 400, "wrong_network"),
            (sign(replace(good.body, expires=now - 1), net.owner).data, 400, "expired"),
            (sign(replace(good.body, expires=now + 10**9), net.owner).data, 400, "expires_too_late"),
            (good.data + b"\x00", 400, "invalid_encoding"),
            (b"\xfb" + b"\x00" * 8, 400, "invalid_encoding"),
            (client.prepare(Transfer(net.owner.address, 10**12), net.owner).data, 422, "insufficient_balance"),
            (client.prepare(Transfer(net.owner.address, 1), Key(b"\x77" * 32)).data, 422, "insufficient_balance"),
            (client.prepare(CancelJob(content("no job")), net.owner).data, 422, "unknown"),
            (b"\x00" * 6_000_000, 413, "request_too_large"),
        ):
            response = requests.post(f"{served.url}/transactions", data=data, headers={"Content-Type": CBOR}, timeout=5)
            assert problem(response) == (status, code), response.text
        after = client.chain()
        assert (after["head"], after["pending"], after["pending_votes"]) == (before["head"], 0, 0)

    def test_repeated_after_inclusion_changes_nothing(self, served, net):
        signed = served.client.prepare(Transfer(net.validators[0].address, 5), net.owner)
        served.client.submit(signed)
        served.client.wait_transaction(signed.id)
        assert served.client.submit(signed) == signed.id
        assert served.client.account(net.validators[0].address) == Account(5)

    def test_content_types(self, served):
        url = f"{served.url}/transactions"
        assert problem(requests.post(url, data=b"x", headers={"Content-Type": "text/plain"}, timeout=5)) == (
            415, "unsupported_media_type",
        )  # fmt: skip
        bad = requests.post(url, data=b"\xff{", headers={"Content-Type": "application/json"}, timeout=5)
        assert problem(bad) == (400, "invalid_encoding")

    def test_unknown(self, served):
        assert served.client.transaction(content("nothing")) is None
        with pytest.raises(WaitTimeout):
            served.client.wait_transaction(content("nothing"), timeout=0.05)

    def test_waiting_for_one_that_is_dropped_says_why(self, served, net):
        client = served.client
        included(client, dataset(), net.owner)
        included(client, model(), net.owner)
        opened = included(client, job(), net.owner)
        # A claim of an attempt that has not begun waits for it, as long as it may.
        signed = client.prepare(ClaimPartition(Cid(opened), 1, 0, 0), net.owner, expires_in_ms=400)
        client.submit(signed)
        assert client.transaction(signed.id)["code"] == "not_yet"
        with pytest.raises(TransactionRefused) as caught:
            client.wait_transaction(signed.id, timeout=5)
        assert caught.value.code == "expired"


class TestChain:
    def test_chain_genesis_and_blocks(self, served, net):
        client = served.client
        sent = included(client, Transfer(net.validators[0].address, 5), net.owner)
        chain = client.chain()
        assert chain["network"] == "development"
        assert client.genesis() == net.genesis()
        block = client.block(1)
        assert block["transactions"][0]["transaction"] == sent
        assert block["parent"] == client.genesis_hash() == chain["genesis"]
        raw = client.raw_block(block["hash"])
        assert raw == client.raw_block(1)
        assert Block.decode(raw, 10**6).id == block["hash"]
        listed = client.blocks(limit=1)
        assert listed["blocks"][0]["height"] == chain["height"] or listed["next"] is not None
        assert [each["height"] for each in client.blocks(cursor=1)["blocks"]] == [1, 0]

    def test_health(self, served):
        assert requests.get(f"{served.url}/healthz", timeout=5).status_code == 200
        assert served.client.ready()
        assert "assay_node_height 0.0" in requests.get(f"{served.url}/metrics", timeout=5).text

    @pytest.mark.parametrize(
        "path",
        ["/chain?x=1", "/blocks?limit=0", "/blocks?limit=501", "/jobs?state=no", "/events?wait=61", "/events?after=x",
         "/jobs?order=up", "/jobs?cursor=x", "/jobs?cursor=-1",
         "/blocks?limit=1&limit=2", "/blocks/xyz", "/log?tail=-1", "/transactions/x?until=never"],
    )  # fmt: skip
    def test_parameters_are_strict(self, served, path):
        assert problem(requests.get(served.url + path, timeout=5)) == (400, "invalid_parameter")

    def test_unknown_routes_are_problems_too(self, served):
        assert problem(requests.get(f"{served.url}/nothing", timeout=5)) == (404, "not_found")
        assert problem(requests.delete(f"{served.url}/chain", timeout=5)) == (405, "method_not_allowed")


class TestEvents:
    def test_a_long_poll_ends_with_the_event(self, served, net):
        client = served.client
        start = client.events()
        assert start.events == ()
        got = []
        waiter = threading.Thread(target=lambda: got.append(client.events(start.next, wait=20)))
        waiter.start()
        included(client, Transfer(net.validators[0].address, 5), net.owner)
        waiter.join(10)
        kinds = [event.kind for event in got[0].events]
        assert kinds[:2] == ["block", "transfer"]
        assert got[0].next == got[0].events[-1].seq
        assert got[0].run == start.run

    def test_a_long_poll_ends_in_time_without_any(self, served):
        began = time.monotonic()
        assert served.client.events(0, wait=0.2).events == ()
        assert 0.15 < time.monotonic() - began < 2

    def test_beyond_the_newest_event_is_another_run(self, served):
        with pytest.raises(NodeRefused) as caught:
            served.client.events(1000)
        assert caught.value.code == "unknown_event"

    def test_following_begins_with_the_state_and_goes_on(self, served, net):
        stop = threading.Event()
        pages = served.client.follow(stop, wait=5)
        assert next(pages).events == ()
        included(served.client, Transfer(net.validators[0].address, 5), net.owner)
        assert next(pages).events[0].kind == "block"
        stop.set()
        assert list(pages) == []

    def test_streams_are_bounded(self, served):
        answers: queue.Queue[requests.Response] = queue.Queue()

        def poll() -> None:
            with contextlib.suppress(requests.ConnectionError):  # at the end some may be cut
                answers.put(requests.get(f"{served.url}/events?after=0&wait=30", timeout=60))

        polls = [threading.Thread(target=poll) for _ in range(MAX_STREAMS + 7)]
        for thread in polls:
            thread.start()
        for _ in range(7):
            refused = answers.get(timeout=25)  # before the others have waited
            assert problem(refused) == (503, "service_unavailable")
            assert "Retry-After" in refused.headers
        assert served.client.chain()["height"] == 0  # ordinary requests are answered meanwhile
        served.stop.set()
        for thread in polls:
            thread.join(10)
        assert not any(thread.is_alive() for thread in polls)

    def test_the_log_is_streamed_as_it_is_written(self, served, net):
        client = served.client
        included(client, Transfer(net.validators[0].address, 5), net.owner)
        stop = threading.Event()
        lines = NodeClient(served.url).log(stop, tail=100)
        first = next(lines)
        assert " event=block " in first
        assert " event=transfer " in next(lines)
        on_disk = (served.folder / "blockchain.log").read_text().splitlines()
        assert on_disk[0] == first
        stop.set()
        served.stop.set()
        assert list(lines) == []

    def test_a_broken_stream_of_the_log_goes_on_behind_the_last_line(self, served, net, monkeypatch):
        client, stop = served.client, threading.Event()
        included(client, Transfer(net.validators[0].address, 5), net.owner)
        real, breaks = requests.Response.iter_lines, [3, 4]

        def breaking(response, *given, **named):
            """A stream that ends after so many lines of its own, in the middle of an event."""
            lines = real(response, *given, **named)
            if not breaks:
                yield from lines
            for _ in range(breaks.pop(0)):
                yield next(lines)
            raise requests.ConnectionError("cut")

        monkeypatch.setattr(requests.Response, "iter_lines", breaking)
        monkeypatch.setattr("chain.following.RETRY_SECONDS", 0.01)
        lines, told = NodeClient(served.url).log(stop, tail=100), []
        told.append(next(lines))
        for amount in (6, 7):
            included(client, Transfer(net.validators[0].address, amount), net.owner)
        on_disk = (served.folder / "blockchain.log").read_text().splitlines()
        while len(told) < len(on_disk):
            told.append(next(lines))
        assert told == on_disk
        assert breaks == []
        stop.set()


def test_a_node_that_is_gone_is_unavailable(served):
    served.end()
    with pytest.raises(NodeUnavailable):
        served.client.chain()
    assert not served.client.ready()


def test_a_node_that_is_stopping_is_not_ready_and_says_when_to_ask_again():
    service = MagicMock(alive=False, error=None)
    response = create_app(service).test_client().get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["code"], response.headers["Retry-After"]) == (503, "not_ready", "5")


def test_a_request_that_is_overtaken_by_the_node_s_stop_is_told_to_come_again(sim, caplog):
    client = create_app(MagicMock(node=sim.node, run="run")).test_client()
    assert client.get("/events?after=0").status_code == 200
    sim.store.close()
    response = client.get("/events?after=0")
    assert response.json is not None
    assert (response.status_code, response.json["code"], response.headers["Retry-After"]) == (503, "stopping", "5")
    assert not caplog.records, "nothing that an operator need look at"
