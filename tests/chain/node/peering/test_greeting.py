"""Who is a peer after a greeting: a node that was reached where it says it is, or one that goes on to speak."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from chain import schema
from chain.node.peering import links
from chain.node.peering.links import TOKEN, Greeting
from chain.node.peering.messages import Hello
from tests.chain.node.peering.test_http import CBOR, Running, start, wait

__all__ = ["start"]


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where connections are taken and nothing is ever said: a node that is stopped, or far too busy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def hello(start) -> Hello:
    """What an honest node says, under its own name."""
    token = secrets.token_hex(16)
    other = start("o", advertise="")
    status = requests.get(f"{other.url}/chain", timeout=5).json()
    head = status["head"]
    place = {"height": 0, "head": head, "work": "0", "above": "0", "justified_height": 0, "justified": head}
    document = {**place, "final_height": 0, "final": head}
    return schema.from_object(
        Hello, {"version": 1, "genesis": status["genesis"], "node": token, "url": "", "status": document}
    )


def greet(node: Running, hello: Hello) -> requests.Response:
    body = schema.to_bytes(Greeting(hello, secrets.token_hex(16), ""))
    return requests.post(f"{node.url}/p2p/hello", data=body, headers={"Content-Type": CBOR}, timeout=10)


def say(node: Running, token: str, name: str = "ask-peers", body: bytes = b"\xa0") -> requests.Response:
    headers = {"Content-Type": CBOR, TOKEN: token}
    return requests.post(f"{node.url}/p2p/{name}", data=body, headers=headers, timeout=10)


def token_of(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    return schema.from_bytes(Greeting, answer.content, 4096).token


def test_who_greets_and_says_no_more_is_no_peer(start, hello):
    a = start("a")
    tokens = [token_of(greet(a, hello)) for _ in range(3)]
    assert a.peers() == []
    assert a.client.chain()["peers"] == 0
    assert say(a, tokens[1]).status_code == 200
    assert [peer["reachable"] for peer in a.peers()] == [False]


def test_a_node_whose_way_back_is_too_slow_may_ask_whatever_a_stranger_on_its_host_did(
    start, hello, silent, monkeypatch
):
    monkeypatch.setattr(links, "CALLBACK_SECONDS", 0.3)
    a = start("a")
    token = token_of(greet(a, hello))
    assert say(a, token, body=b"\xff").status_code == 400
    refused = greet(a, hello)
    assert (refused.status_code, refused.json()["code"]) == (403, "discouraged")
    token = token_of(greet(a, replace(hello, url=silent)))
    assert say(a, token).status_code == 200
    assert [peer["url"] for peer in a.peers()] == [silent]
    assert say(a, token, body=b"\xff").status_code == 400
    refused = greet(a, replace(hello, url=silent))
    assert refused.json()["code"] == "discouraged", "nor does it share its own fate with others"


def test_a_busy_greeter_does_not_hold_up_peers(start, hello, silent):
    """Each of its greetings is called back at an address that takes three seconds to fail."""
    a = start("a")
    token = token_of(greet(a, hello))
    body = schema.to_bytes(Greeting(replace(hello, url=silent), secrets.token_hex(16), ""))
    head = f"POST /p2p/hello HTTP/1.1\r\nHost: a\r\nContent-Type: {CBOR}\r\nContent-Length: {len(body)}\r\n\r\n"
    address = ("127.0.0.1", int(a.url.rpartition(":")[2]))
    open_ = [socket.create_connection(address, timeout=5) for _ in range(32)]
    try:
        for each in open_:
            each.sendall(head.encode() + body)
        wait(lambda: say_hello_is_busy(a, hello))
        for _ in range(20):
            assert say(a, token).status_code == 200
    finally:
        for each in open_:
            each.close()


def say_hello_is_busy(node: Running, hello: Hello) -> bool:
    return greet(node, hello).status_code in (429, 503)
