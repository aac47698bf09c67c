"""What the chain refuses, as the coordinator's own clients are told it."""

from __future__ import annotations

import flask
import pytest

from chain.client import NodeError, NodeRefused, TransactionRefused
from chain.errors import MempoolFull
from coordinator import problems


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


@pytest.mark.parametrize(("code", "status"), [("conflict", 409), ("forbidden", 403), ("invalid_field", 400)])
def test_what_asking_again_does_not_change_says_no_time(code: str, status: int) -> None:
    found = answer(TransactionRefused("bafytx", code, "why"))
    assert found.status_code == status
    assert "Retry-After" not in found.headers
