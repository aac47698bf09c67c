"""What the chain refuses, as the coordinator's own clients are told it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest

from chain.client import NodeError, NodeRefused, TransactionRefused
from chain.errors import MempoolFull
from coordinator import problems
from coordinator.app import create_app
from coordinator.settings import Settings


def answer(error: NodeError) -> flask.Response:
    app = flask.Flask(__name__)
    problems.install(app)

    @app.get("/")
    def fail() -> str:
        raise error

    return app.test_client().get("/")  # type: ignore[return-value]


@pytest.mark.parametrize(
    "error",
    [
        NodeRefused(422, {"code": MempoolFull.code, "detail": "no room"}),
        TransactionRefused("bafytx", MempoolFull.code, "no room"),
    ],
)
def test_a_node_without_room_is_to_be_asked_again(error: NodeError) -> None:
    found = answer(error)
    assert (found.status_code, found.headers["Retry-After"]) == (503, "2")
    assert found.json is not None
    assert found.json["type"] == "urn:assay:problem:mempool-full"
    assert "no room" in found.json["detail"]


def test_the_field_of_a_refusal_is_named_once() -> None:
    said = "body.payload.job: expected a job that is training, found one that is adopted"
    errors = [{"field": "body.payload.job", "message": said}]
    found = answer(NodeRefused(409, {"code": "conflict", "detail": said, "errors": errors}))
    assert found.json is not None
    assert found.json["detail"] == said
    assert found.json["errors"] == [
        {"field": "body.payload.job", "message": "expected a job that is training, found one that is adopted"}
    ]


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/datasets"])
@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{bad", "application/json", "expected a JSON object as the body, came '{bad' (Expecting property name"),
        (b"", "application/json", "expected a JSON object as the body, came none; GET /docs shows what"),
        (b"name=a", "application/x-www-form-urlencoded", "(Expecting value: line 1 column 1 (char 0)), sent as"),
        (b"[]", "application/json", "body: expected a JSON object"),
        (b'{"a": NaN}', "application/json", "(NaN is not JSON)"),
    ],
)
def test_a_body_that_is_no_json_object_is_told_so(path: str, body: bytes, kind: str, said: str, tmp_path: Path) -> None:
    services: Any = SimpleNamespace(settings=Settings(data=tmp_path))
    found = create_app(services).test_client().post(path, data=body, content_type=kind)
    assert (found.status_code, found.content_type) == (400, "application/problem+json")
    assert found.json is not None
    assert said in found.json["detail"]


@pytest.mark.parametrize(("code", "status"), [("conflict", 409), ("forbidden", 403), ("invalid_field", 400)])
def test_what_asking_again_does_not_change_says_no_time(code: str, status: int) -> None:
    found = answer(TransactionRefused("bafytx", code, "why"))
    assert found.status_code == status
    assert "Retry-After" not in found.headers
