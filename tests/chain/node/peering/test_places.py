"""What peers, and those who want to be peers, take of a node's server is bounded, each by itself."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chain.node.http import Refused
from chain.node.peering.links import Link
from chain.node.peering.places import GREETINGS, MESSAGES, OF_ONE_HOST, OF_ONE_PEER, RATE, Places, group_of
from chain.node.peering.posting import TO_ONE_ADDRESS, Poster

NOW = 1_700_000_000_000


def link(name: str) -> Link:
    return Link(name, name, "", "", [])


def test_greetings_that_wait_cost_peers_nothing():
    places = Places()
    with ExitStack() as stack:
        for number in range(GREETINGS):
            stack.enter_context(places.greeting(f"h{number}", NOW))
        with pytest.raises(Refused, match="too many greetings at a time"):
            stack.enter_context(places.greeting("another", NOW))
        for number in range(MESSAGES):
            stack.enter_context(places.message(link(f"p{number}")))
        with pytest.raises(Refused, match="too many requests of peers at a time"):
            stack.enter_context(places.message(link("another")))
    with places.greeting("h0", NOW), places.message(link("p")):
        pass


def test_one_host_and_one_peer_have_a_part_of_the_places():
    places, peer = Places(), link("p")
    with ExitStack() as stack:
        for _ in range(OF_ONE_HOST):
            stack.enter_context(places.greeting("h", NOW))
        with pytest.raises(Refused, match="too many greetings from this host at a time"):
            stack.enter_context(places.greeting("h", NOW))
        stack.enter_context(places.greeting("g", NOW))
        for _ in range(OF_ONE_PEER):
            stack.enter_context(places.message(peer))
        with pytest.raises(Refused, match="too many requests of this peer at a time"):
            stack.enter_context(places.message(peer))
        stack.enter_context(places.message(link("q")))


def test_a_host_greets_so_often_and_not_more():
    places = Places()
    for _ in range(int(RATE[1])):
        with places.greeting("h", NOW):
            pass
    with pytest.raises(Refused) as refused, places.greeting("h", NOW):
        pass
    assert (refused.value.status, refused.value.code) == (429, "too_many_greetings")
    with places.greeting("h", NOW + 1000), places.greeting("g", NOW):
        pass


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        (None, "unknown"),
    ],
)
def test_one_machine_is_one_host_however_many_addresses_it_has(address, host):
    assert group_of(address) == host


def test_as_many_posts_to_one_address_as_there_can_be_are_no_reason_for_a_warning(caplog):
    """urllib3 warns where it throws a connection away because more came back than it keeps."""
    all_there = threading.Barrier(TO_ONE_ADDRESS, timeout=10)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            all_there.wait()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    poster, answers = Poster(), list[bytes]()
    url = f"http://127.0.0.1:{server.server_port}/"
    threads = [
        threading.Thread(target=lambda: answers.append(poster.post(url, b"", 10, 10, {})))
        for _ in range(TO_ONE_ADDRESS)
    ]
    with caplog.at_level(logging.WARNING, logger="urllib3"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
    poster.close()
    server.shutdown()
    serving.join(5)
    server.server_close()
    assert answers == [b"ok"] * TO_ONE_ADDRESS
    assert [record.getMessage() for record in caplog.records if record.name.startswith("urllib3")] == []
