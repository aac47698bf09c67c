"""The client's own behaviour; what it asks of a node is tested in node/test_api.py."""

from __future__ import annotations

import threading

import flask
import pytest
import requests

from chain.client import EventPage, NodeClient, NodeEvent, NodeRefused, NodeUnavailable
from chain.encoding import encode
from chain.finality import VoteCheckpoint
from chain.keys import Key
from chain.schema import Hash
from chain.transactions import Transfer
from runtime import problems
from runtime.serving import listen, serve

KEY = Key(b"\x07" * 32)


def page(next_: int, run: str = "one", *kinds: str) -> EventPage:
    events = tuple(NodeEvent(next_ - i, 1, "b", kind, False, 5, {}) for i, kind in enumerate(reversed(kinds)))
    return EventPage(events[::-1], next_, run, "b", 1, 0)


class Scripted(NodeClient):
    """Answers ``events`` from a list; remembers what it was asked."""

    def __init__(self, *script: EventPage | Exception) -> None:
        super().__init__("http://127.0.0.1:1")
        self.script, self.asked, self.stop = list(script), [], threading.Event()

    def events(self, after=None, wait=0, limit=500):
        self.asked.append((after, wait > 0))
        if not self.script:
            self.stop.set()
            return page(after or 0)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("chain.following.RETRY_SECONDS", 0)


def follow(*script: EventPage | Exception, after: int | None = None) -> tuple[list[EventPage], Scripted]:
    client = Scripted(*script)
    return list(client.follow(client.stop, after)), client


class TestFollow:
    def test_looks_first_and_then_waits_for_events(self):
        pages, client = follow(page(3), page(4, "one", "vote"))
        assert [p.next for p in pages] == [3, 4]
        assert client.asked == [(None, False), (3, True), (4, True)]

    def test_empty_polls_are_passed_over(self):
        pages, _ = follow(page(3), page(3), page(3), page(4, "one", "vote"))
        assert [p.next for p in pages] == [3, 4]

    def test_a_node_that_was_away_is_looked_at_again(self):
        pages, client = follow(page(3), NodeUnavailable("gone"), NodeUnavailable("gone"), page(3))
        assert [p.next for p in pages] == [3, 3]
        assert client.asked[1:4] == [(3, True), (3, False), (3, False)]

    def test_another_run_starts_over(self):
        pages, client = follow(page(30), page(2, "two", "vote"), page(2, "two"))
        assert [(p.run, p.next, len(p.events)) for p in pages] == [("one", 30, 0), ("two", 2, 0)]
        assert client.asked[2] == (None, False)

    def test_a_run_with_fewer_events_starts_over(self):
        refused = NodeRefused(400, {"code": "unknown_event"})
        pages, _ = follow(page(30), refused, page(2, "two"))
        assert [(p.run, p.next) for p in pages] == [("one", 30), ("two", 2)]

    def test_other_refusals_are_raised(self):
        with pytest.raises(NodeRefused, match="no_reason"):
            follow(page(1), NodeRefused(400, {"code": "no_reason"}))

    def test_a_number_given_is_where_it_begins(self):
        _, client = follow(page(9, "one", "vote"), after=8)
        assert client.asked[0] == (8, False)


class TestPreparing:
    def client(self) -> NodeClient:
        client = NodeClient("http://127.0.0.1:1/")
        client._genesis_hash = "9" * 64
        return client

    def test_salt_differs_and_expiry_lies_ahead(self):
        client = self.client()
        one = client.prepare(Transfer(KEY.address, 1), KEY, clock=lambda: 1000.0, expires_in_ms=5)
        two = client.prepare(Transfer(KEY.address, 1), KEY, clock=lambda: 1000.0)
        assert one.id != two.id
        assert (one.body.expires, two.body.expires) == (1_000_005, 1_600_000)
        assert (one.body.kind, one.sender, one.body.genesis) == ("transfer", KEY.address, "9" * 64)
        one.verify()

    def test_checkpoint_votes_do_not_expire(self):
        vote = VoteCheckpoint(Hash("1" * 64), 0, Hash("2" * 64), 1)
        assert self.client().prepare(vote, KEY).body.expires == 0

    def test_nobody_there(self):
        client = self.client()
        assert client.url == "http://127.0.0.1:1"
        with pytest.raises(NodeUnavailable) as caught:
            client.chain()
        said = "no node answers at http://127.0.0.1:1 (connection refused); start it, or name another one"
        assert str(caught.value) == said


class Hostile(NodeClient):
    """Answers everything with the same bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__("http://127.0.0.1:1")
        self.body = body

    def _request(self, *_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content = 200, self.body
        return response


PLACE = {"height": 1, "head": "h", "final_height": 1}


class TestStrangeAnswers:
    """Something else listens at the node's address: the client says so, whatever comes."""

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"[" * 5000, b'"\\ud800"', b'{"genesis": 1}'])
    def test_of_json(self, body: bytes):
        for ask in ("genesis_hash", "events", "params"):
            with pytest.raises(NodeUnavailable):
                getattr(Hostile(body), ask)()

    @pytest.mark.parametrize(
        "answer",
        [[], {}, {"items": 1}, {"items": [1]}, {"value": 1}, {"voted": [1]}, {"voted": {"0x": "1"}},
         {**PLACE, "value": {}, "final": 1}, PLACE],
    )  # fmt: skip
    def test_of_dag_cbor(self, answer: object):
        client = Hostile(encode(answer))
        for ask in (client.finality, client.voted, client.validators, client.membership, client.evidence,
                    client.datasets, client.genesis, lambda: client.job_view("x"),
                    lambda: client.escrowed("0x")):  # fmt: skip
            with pytest.raises(NodeUnavailable):
                ask()

    def test_a_list_that_never_ends_is_not_read_for_ever(self):
        with pytest.raises(NodeUnavailable, match="nowhere"):
            Hostile(encode({**PLACE, "items": [], "next": "a"})).datasets()


@pytest.mark.parametrize("documents", [True, False])
def test_another_service_is_told_from_a_node(documents):
    """Also where nothing is found: a block that a coordinator does not have might exist."""
    app = flask.Flask("elsewhere")
    if documents:
        problems.install(app)
    stop, listener = threading.Event(), listen("127.0.0.1", 0)
    client = NodeClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=lambda: serve(app, "", 0, stop=stop, listener=listener))
    thread.start()
    try:
        for ask in (client.chain, lambda: client.block(1)):
            with pytest.raises(NodeUnavailable, match=r"expected a node at http://.*, found something else .*404 to /"):
                ask()
    finally:
        client.close()
        stop.set()
        thread.join(10)


@pytest.mark.parametrize("url", ["127.0.0.1:7001", "ftp://a:1", "http://", "http://["])
def test_what_is_no_address_is_named(url):
    with pytest.raises(NodeUnavailable, match="expected a node's address, http://HOST:PORT, came"):
        NodeClient(url).chain()
