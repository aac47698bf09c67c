"""Posting to an address where no node is says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import flask
import pytest

from chain.node.peering.posting import Poster, Unanswered
from runtime import problems
from runtime.serving import listen, serve


@pytest.fixture
def post() -> Iterator[Callable[[str, float], str]]:
    """Why a post to an address fails."""
    poster = Poster()

    def reason(url: str, seconds: float = 10.0) -> str:
        with pytest.raises(Unanswered) as refused:
            poster.post(url, b"", 10, seconds, {})
        return str(refused.value)

    yield reason
    poster.close()


@pytest.mark.parametrize("documents", [True, False])
def test_another_service_is_told_from_a_node(post: Callable[[str], str], documents: bool) -> None:
    """A coordinator answers with problem documents too, and what werkzeug says in them is for people with browsers."""
    app = flask.Flask("elsewhere")
    if documents:
        problems.install(app)
    stop, listener = threading.Event(), listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=lambda: serve(app, "", 0, stop=stop, listener=listener))
    thread.start()
    try:
        said = post(f"http://127.0.0.1:{port}/p2p/hello")
    finally:
        stop.set()
        thread.join(10)
    assert said == "expected a node, found something else there (status 404)"


def test_a_node_that_is_spoken_to_in_tls_is_named(post: Callable[[str, float], str]) -> None:
    """It waits for the end of a request that never comes."""
    with listen("127.0.0.1", 0) as node:
        said = post(f"https://127.0.0.1:{node.getsockname()[1]}/p2p/hello", 0.2)
    assert said.endswith("timed out; a node itself speaks http, not https")


def test_the_system_says_why_nobody_answers(post: Callable[[str], str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert post(f"http://127.0.0.1:{held.getsockname()[1]}/p2p/hello") == "connection refused"
