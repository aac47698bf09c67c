"""A Kubo whose answers are no answers: the store says so, in words that can be shown."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ipfs.cid import RAW, cid_of
from ipfs.errors import ContentCorrupt, ContentError, StoreUnavailable
from ipfs.kubo import KuboStore

CID = str(cid_of(RAW, b"content"))


class Nonsense:
    """Says its version, so that it is taken for a Kubo, and then `body` to everything."""

    def __init__(self) -> None:
        self.body, self.version = b"", b'{"Version":"0.38.0"}'
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                while chunked and (size := int(self.rfile.readline() or b"0", 16)):
                    self.rfile.read(size + 2)
                body = told.version if self.path.startswith("/api/v0/version") else told.body
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def nonsense() -> Iterator[Nonsense]:
    found = Nonsense()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join(10)
    found.server.server_close()


ASKED: dict[str, Callable[[KuboStore], Any]] = {
    "pins": lambda store: list(store.pins()),
    "add": lambda store: store.add(b"content"),
    "put_block": lambda store: store.put_block("raw", b"content"),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"x"', b"7", b"null"])
def test_what_has_another_form_is_no_answer_of_kubos(nonsense: Nonsense, asked: str, body: bytes) -> None:
    nonsense.body = body
    store = KuboStore(nonsense.url, timeout=5)
    try:
        with pytest.raises(StoreUnavailable, match=r"not Kubo's|cannot be asked"):
            ASKED[asked](store)
    finally:
        store.close()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("body", [b'{"a":' * 100_000, b"[" * 100_000, b'{"Keys":' + b"[" * 40 + b"]" * 40 + b"}"])
def test_no_depth_ends_the_process(nonsense: Nonsense, asked: str, body: bytes) -> None:
    """Not even where a library has raised the recursion limit for the whole process, as py_ecc does."""
    nonsense.body = body
    limit, store = sys.getrecursionlimit(), KuboStore(nonsense.url, timeout=5)
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(StoreUnavailable, match="not Kubo's"):
            ASKED[asked](store)
    finally:
        sys.setrecursionlimit(limit)
        store.close()


def test_half_a_character_is_shown_escaped(nonsense: Nonsense) -> None:
    nonsense.body = b'{"Key":"\\ud800","Size":7}'
    store = KuboStore(nonsense.url, timeout=5)
    with pytest.raises(ContentCorrupt) as caught:
        store.put_block("raw", b"content")
    store.close()
    assert "\\ud800" in str(caught.value).encode().decode()


@pytest.mark.parametrize("version", [b"{}", b"[]", b'{"Version":null}', b'{"Version":{}}', b'{"Version":"x"}'])
def test_what_says_no_version_is_no_kubo(nonsense: Nonsense, version: bytes) -> None:
    nonsense.version = version
    with pytest.raises(ContentError):
        list(KuboStore(nonsense.url, timeout=5).pins())


def test_what_the_callers_own_stream_raises_is_not_kubos_fault(nonsense: Nonsense) -> None:
    class Broken:
        def read(self, _size: int = -1) -> bytes:
            raise ValueError("the caller's own")

    store = KuboStore(nonsense.url, timeout=5)
    stream: Any = Broken()
    with pytest.raises(ValueError, match="the caller's own"):
        store.add(stream)
    store.close()
