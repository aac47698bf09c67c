"""Bytes that are no HTTP, or half of it, to a real node: it refuses them, and answers others meanwhile."""

from __future__ import annotations

import socket
import time

import pytest
import requests

from chain.client import NodeClient
from tests.fuzz.progress import of_routes
from tests.fuzz.requests import REQUESTS, SEED, check_growth, random_of, usage
from tests.fuzz.test_node import node, standing

__all__ = ["node"]
GET = b"GET /chain HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.ipld.dag-cbor\r\n"
NONSENSE = (
    b"",
    b"\x00" * 100,
    b"\xff\xfe\xfd\r\n\r\n",
    b"GET",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\xed\xa0\x80 HTTP/1.1\r\n\r\n",
    b"GET " + b"/a" * 50_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: x\r\n\r\n",
    POST + b"Content-Length: 5\r\n\r\nab",
    POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    GET * 50,
    GET + POST + b"Content-Length: 3\r\n\r\nabc" + GET,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\n\r\n",
)  # fmt: skip


def said(port: int, data: bytes, wait: float) -> bytes:
    """What the server says to these bytes, after which nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(wait)
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                answer += piece
        except OSError:
            return answer  # cut off, or nothing said: both may be
        return answer


def test_what_is_no_request_does_no_harm(node: NodeClient, caplog: pytest.LogCaptureFixture) -> None:
    port, before, held = int(node.url.rpartition(":")[2]), standing(node), usage()
    progress, part, wanted = of_routes(SEED, "runtime", "chain"), "sockets", max(len(NONSENSE), REQUESTS)
    for number in progress.numbers(part, wanted):
        rng = random_of(part, number)
        data = NONSENSE[number] if number < len(NONSENSE) else rng.choice(NONSENSE)
        if number >= len(NONSENSE) and data:
            at = rng.randrange(len(data))
            data = data[:at] + rng.randbytes(rng.randrange(8)) + data[at + rng.randrange(8) :]
        answer = said(port, data, 5.0 if number < len(NONSENSE) else 0.5)
        assert b"Traceback" not in answer, data[:200]
        assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), (data[:200], answer[:500])
        if number == wanted // 4:
            held = usage()  # by now each of the server's threads has answered, and has its memory
    assert standing(node) == before
    check_growth(held, usage())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    print(f"{part}: {progress.said(part, wanted)}", flush=True)


def test_those_who_send_nothing_more_keep_nobody_waiting(node: NodeClient) -> None:
    """A hundred requests that never end, a byte at a time: the server's threads are for those that are whole."""
    port = int(node.url.rpartition(":")[2])
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(100)]
    try:
        for byte in POST[:20]:
            for each in slow:
                each.sendall(bytes((byte,)))
        begun = time.monotonic()
        assert requests.get(f"{node.url}/chain", timeout=30).status_code == 200
        assert time.monotonic() - begun < 10
    finally:
        for each in slow:
            each.close()
