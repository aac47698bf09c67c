"""The client against servers that misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from coordinator.client import Client, CoordinatorUnavailable, Problem

Answer = tuple[int, str, bytes]


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], Answer]], str]]:
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.body = body
                status, kind, text = answer(self)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET  # noqa: N815
            do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join(5)
        server.server_close()


def as_json(document: Any, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(document).encode()


def stream(*events: tuple[int, dict[str, Any]]) -> Answer:
    text = "".join(f"id: {seq}\ndata: {json.dumps(document)}\n\n" for seq, document in events)
    return 200, "text/event-stream", (": open\n\n" + text).encode()


def test_nobody_there_is_said_with_what_to_do() -> None:
    expected = r"^no coordinator answers at http://127.0.0.1:1 \(connection refused\). Start one with `assay up`"
    with Client("http://127.0.0.1:1") as client, pytest.raises(CoordinatorUnavailable, match=expected):
        client.chain()


def test_a_problem_keeps_its_fields(serve) -> None:
    document = {
        "type": "urn:assay:problem:invalid-field", "title": "Bad Request", "status": 400, "detail": "no",
        "errors": [{"field": "partitions", "message": "too many"}],
    }  # fmt: skip
    with Client(serve(lambda _: as_json(document, 400))) as client, pytest.raises(Problem) as caught:
        client.train("m", "d", "sklearn.linear_model.Ridge")
    assert caught.value.errors == (("partitions", "too many"),)
    assert "partitions: too many" in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "body.payload.job: "])
def test_a_field_is_named_once_whoever_names_it(prefix: str) -> None:
    errors = [("body.payload.job", f"{prefix}expected one that trains")]
    assert str(Problem(409, "Conflict", "a refusal", errors=errors)) == (
        "a refusal (409)\n  body.payload.job: expected one that trains"
    )


@pytest.mark.parametrize("status", [404, 405])
def test_another_service_at_the_address_is_called_that(serve, status: int) -> None:
    other = {"type": "about:blank", "title": "Not Found", "status": status, "detail": "x", "code": "not_found"}
    with Client(serve(lambda _: as_json(other, status))) as client, pytest.raises(Problem) as caught:
        client.predict("iris", [[1]])
    assert str(caught.value).startswith(f"expected a coordinator at {client.url}, found something else there")
    assert "/api/v1/models/iris/predict" in str(caught.value)


def test_a_coordinator_that_has_no_such_thing_is_one(serve) -> None:
    ours = {"type": "urn:assay:problem:unknown-model", "title": "Not Found", "status": 404, "detail": "no such model"}
    with Client(serve(lambda _: as_json(ours, 404))) as client, pytest.raises(Problem, match="no such model"):
        client.model("iris")


def test_what_the_detail_says_already_is_not_said_twice() -> None:
    assert str(Problem(400, "Bad Request", "name: too long", errors=[("name", "too long")])) == "name: too long (400)"


@pytest.mark.parametrize("text", [b"<html>", b"[]", b"", b"\xff", b"[" * 5000])
def test_an_answer_that_is_no_json_object_is_no_coordinator_s(serve, text: bytes) -> None:
    with Client(serve(lambda _: (200, "text/html", text))) as client, pytest.raises(CoordinatorUnavailable):
        client.chain()


def test_a_redirect_is_not_followed(serve) -> None:
    with Client(serve(lambda _: (302, "text/plain", b""))) as client, pytest.raises(CoordinatorUnavailable):
        client.chain()


def test_watching_resumes_after_the_last_event_when_the_stream_breaks(serve) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 1:
            return stream((5, {"state": "training", "final": False}), (7, {"state": "voting", "final": False}))
        if len(asked) == 2:
            return as_json({"type": "about:blank", "title": "Busy", "status": 503}, 503)
        return stream((9, {"state": "adopted", "final": False}), (11, {"state": "adopted", "final": True}))

    with Client(serve(answer)) as client:
        states = [(document["state"], document["final"]) for document in client.watch("bafyjob")]
    assert states == [("training", False), ("voting", False), ("adopted", False), ("adopted", True)]
    assert asked == [None, "7", "7"]


def test_watching_an_unknown_job_does_not_go_on(serve) -> None:
    document = {"type": "about:blank", "title": "Not Found", "status": 404}
    with Client(serve(lambda _: as_json(document, 404))) as client, pytest.raises(Problem):
        list(client.watch("bafynobody"))


def test_lists_are_read_to_their_end(serve) -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer:
        if "cursor=a" in request.path:
            return as_json({"models": [{"name": "b"}], "next": None})
        return as_json({"models": [{"name": "a"}], "next": "a"})

    with Client(serve(answer)) as client:
        assert [model["name"] for model in client.models()] == ["a", "b"]


@pytest.mark.parametrize("page", [{}, {"models": 1, "next": None}, {"models": [1], "next": None}])
def test_a_page_without_its_list_is_no_coordinator_s(serve, page: dict[str, Any]) -> None:
    with Client(serve(lambda _: as_json(page))) as client, pytest.raises(CoordinatorUnavailable):
        client.models()


def test_a_list_that_never_ends_is_not_read_for_ever(serve) -> None:
    page = {"models": [{"name": "a"}], "next": "a"}
    with Client(serve(lambda _: as_json(page))) as client, pytest.raises(CoordinatorUnavailable, match="nowhere"):
        client.models()


def test_readiness_is_an_answer_also_while_something_is_missing(serve) -> None:
    missing = {"ready": False, "parts": {"broker": {"ready": False, "reason": "none"}}}
    with Client(serve(lambda _: as_json(missing, 503))) as client:
        assert client.ready()["ready"] is False
        assert client.wait_ready(0.2)["parts"]["broker"]["reason"] == "none"


def test_training_sends_what_was_said_and_leaves_defaults_to_the_coordinator(serve) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: Any) -> Answer:
        bodies.append(json.loads(request.body))
        return as_json({"job": "bafyjob"}, 202)

    with Client(serve(answer)) as client:
        assert client.train("m", "d", "sklearn.linear_model.Ridge", partitioning="bootstrap") == "bafyjob"
        client.train("m", "d", {"pipeline": []}, deadline=5, minimum_updates=2)
    assert bodies[0]["estimator"] == {"class": "sklearn.linear_model.Ridge", "params": {}}
    assert bodies[0]["partitioning"] == {"scheme": "bootstrap"}
    assert "deadline" not in bodies[0]
    assert (bodies[1]["estimator"], bodies[1]["deadline"], bodies[1]["minimum_updates"]) == (
        {"pipeline": []},
        5,
        2,
    )


def test_a_dataset_is_a_cid_or_a_file_and_not_both() -> None:
    with Client() as client, pytest.raises(ValueError, match="exactly one"):
        client.add_dataset("iris", "species")
