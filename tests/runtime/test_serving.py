"""Serving on real sockets: streams bounded, stops at once, ports named."""

from __future__ import annotations

import errno
import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import flask
import pytest
from waitress.task import ThreadedTaskDispatcher

from runtime import problems
from runtime.serving import CannotListen, PortTaken, ServerEvent, listen, serve, sse, stopping, streams


class Served:
    """An application on a port of its own, in a thread."""

    def __init__(self, app: flask.Flask, **options) -> None:
        self.stop = threading.Event()
        ready: queue.Queue[int] = queue.Queue()
        self.returned: list[int] = []
        self.thread = threading.Thread(
            target=lambda: self.returned.append(
                serve(app, "127.0.0.1", 0, on_ready=ready.put, stop=self.stop, **options)
            )
        )
        self.thread.start()
        self.port = ready.get(timeout=10)
        self.connections: list[http.client.HTTPConnection] = []

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.connections.append(connection)
        connection.request("GET", path)
        return connection.getresponse()

    def end(self) -> float:
        before = time.monotonic()
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return time.monotonic() - before


def answer_to(port: int, request: bytes) -> tuple[int, dict]:
    """Status and problem document."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            assert response.getheader("Content-Type") == "application/problem+json"
            assert response.getheader("Connection") == "close"
            return response.status, json.loads(response.read())


@pytest.fixture
def app():
    app = flask.Flask(__name__)
    problems.install(app)
    app.extensions["begun"] = threading.Event()
    app.extensions["go"] = threading.Event()

    @app.get("/ping")
    def ping():
        return "pong"

    @app.get("/taken")
    def taken():
        return str(streams().taken)

    @app.get("/events")
    def events():
        go = app.extensions["go"]

        def source():
            yield ServerEvent("first", id="1")
            while True:
                go.wait(0.05)
                yield None

        return sse(source(), heartbeat=0.1)

    @app.get("/poll")
    def poll():
        with streams().acquire():
            app.extensions["begun"].set()
            stopping().wait(10)
            return "stopped"

    @app.get("/slow")
    def slow():
        app.extensions["begun"].set()
        app.extensions["go"].wait(10)
        return "x" * 3_000_000

    return app


@pytest.fixture
def served(app):
    made = Served(app)
    yield made
    made.end()
    for connection in made.connections:
        connection.close()


def _first_event(response: http.client.HTTPResponse) -> bytes:
    lines = b""
    while b"data: first\n" not in lines:
        lines += response.readline()
    return lines


def test_it_returns_the_port_it_served_on(served):
    assert served.get("/ping").read() == b"pong"
    served.end()
    assert served.returned == [served.port]
    with pytest.raises(ConnectionRefusedError):
        served.get("/ping")


def test_48_streams_leave_room_for_requests_and_the_49th_is_told_to_come_back(served):
    opened = [served.get("/events") for _ in range(48)]
    for response in opened:
        assert b"id: 1\n" in _first_event(response)
    refused = served.get("/events")
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert json.loads(refused.read())["status"] == 503
    for _ in range(20):
        assert served.get("/ping").read() == b"pong"
    assert served.get("/taken").read() == b"48"


def test_it_stops_at_once_with_streams_open(served):
    for response in [served.get("/events") for _ in range(48)]:
        _first_event(response)
    assert served.end() < 1.0


def test_silent_streams_beat(served):
    response = served.get("/events")
    _first_event(response)
    assert response.readline() == b"\n"
    assert response.readline() == b": heartbeat\n"


def test_the_end_of_a_client_gives_its_place_back(served, eventually):
    response = served.get("/events")
    _first_event(response)
    response.close()
    served.connections[-1].close()
    eventually(lambda: served.get("/taken").read() == b"0")


def test_long_polls_end_with_the_service(app, served):
    got: list[bytes] = []
    poller = threading.Thread(target=lambda: got.append(served.get("/poll").read()))
    poller.start()
    assert app.extensions["begun"].wait(10)
    assert served.end() < 1.5
    poller.join(10)
    assert got == [b"stopped"]


def test_a_request_in_progress_is_answered_whole(app, served):
    got: list[bytes] = []
    client = threading.Thread(target=lambda: got.append(served.get("/slow").read()))
    client.start()
    assert app.extensions["begun"].wait(10)
    served.stop.set()
    app.extensions["go"].set()
    client.join(10)
    assert [len(body) for body in got] == [3_000_000]


def test_a_taken_port_is_named_with_what_to_do(app):
    with listen("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} on 127.0.0.1 is taken.*--port"):
            serve(app, "127.0.0.1", port, stop=threading.Event())


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 0, r"expected an address of this machine to listen on, came '192.0.2.1', port 0 .*--host"),
        ("no such host", 0, r"expected an address of this machine .* came 'no such host'.*--host"),
        ("." * 300, 0, r"expected an address of this machine .*--host"),
        ("127.0.0.1", 80_000, r"expected a port from 0 to 65535, came 80000.*--port"),
        ("127.0.0.1", -1, r"expected a port from 0 to 65535, came -1.*--port"),
    ],
)
def test_where_nothing_can_listen_is_said_with_what_to_do(host: str, port: int, message: str) -> None:
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(CannotListen, match=message):
        listen(host, port)


def test_a_port_of_the_systems_is_told_from_a_strange_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: socket.socket, __: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("runtime.serving.socket.socket.bind", refuse)
    with pytest.raises(CannotListen, match=r"this user may listen on, came '127.0.0.1', port 80 .*above 1023"):
        listen("127.0.0.1", 80)


def test_its_threads_are_ready_before_the_first_request(
    app: flask.Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has not begun to wait for work counts as busy, and waitress warns of a queue for it."""

    def start_late(_: ThreadedTaskDispatcher, target: Callable[[int], None], number: int) -> None:
        late = threading.Timer(0.1, target, (number,))
        late.daemon = True
        late.start()

    monkeypatch.setattr(ThreadedTaskDispatcher, "start_new_thread", start_late)
    with caplog.at_level("WARNING", logger="waitress.queue"):
        served = Served(app, threads=4)
        assert served.get("/ping").read() == b"pong"
        served.connections[0].close()
        served.end()
    assert not caplog.messages


def test_a_port_can_be_taken_before_the_application_is_loaded(app):
    holder = listen("127.0.0.1", 0)
    port = holder.getsockname()[1]
    stop = threading.Event()
    stop.set()
    assert serve(app, "127.0.0.1", port, stop=stop, listener=holder) == port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


HEAD = b"POST /length HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def bounded(app):
    """Bodies of 1000 bytes are read, and no longer ones."""

    @app.post("/length")
    def length():
        return str(len(flask.request.get_data()))

    made = Served(app, max_body=1000)
    yield made
    for connection in made.connections:
        connection.close()
    made.end()


def test_a_body_that_is_announced_too_long_is_refused_before_it_is_sent(bounded):
    status, document = answer_to(bounded.port, HEAD + b"Content-Length: 1001\r\n\r\n")
    assert (status, document["status"]) == (413, 413)
    assert "more than 1000 bytes" in document["detail"]


def test_a_body_of_no_announced_length_is_refused_where_it_becomes_too_long(bounded):
    chunk = b"%x\r\n%s\r\n" % (600, b"x" * 600)
    status, document = answer_to(bounded.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk)
    assert (status, document["status"]) == (413, 413)


def test_a_body_of_the_most_bytes_is_read(bounded):
    connection = http.client.HTTPConnection("127.0.0.1", bounded.port, timeout=10)
    bounded.connections.append(connection)
    connection.request("POST", "/length", b"x" * 1000)
    assert connection.getresponse().read() == b"1000"


def test_what_is_no_http_is_refused_with_a_problem_document(bounded):
    status, document = answer_to(bounded.port, HEAD + b"Content-Length: many\r\n\r\n")
    assert (status, document["title"]) == (400, "Bad Request")
    assert document["detail"]


def test_a_client_that_leaves_while_it_is_refused_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """waitress names the path of the request that it could not answer, and one that was not understood has none."""
    from waitress.adjustments import Adjustments
    from waitress.channel import ClientDisconnected
    from waitress.parser import HTTPRequestParser

    from runtime.serving import _Channel

    settings = Adjustments()
    request = HTTPRequestParser(settings)
    request.received(b"nonsense\r\n\r\n")
    assert request.error
    channel = _Channel.__new__(_Channel)
    channel.requests, channel.requests_lock, channel.adj = [request], threading.Lock(), settings
    channel.connected, channel.server = True, SimpleNamespace(adj=settings)

    def gone(data: bytes) -> int:
        channel.connected = False
        raise ClientDisconnected

    channel.write_soon = gone
    channel.service()
    assert channel.requests == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_address_that_cannot_be_read_is_a_bad_request(served, caplog: pytest.LogCaptureFixture) -> None:
    status, problem = answer_to(served.port, b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == problem["status"] == 400
    assert "cannot be read" in problem["detail"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
