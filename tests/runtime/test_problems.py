"""Errors are RFC 9457 problem documents."""

from __future__ import annotations

import flask
import pytest

from runtime import problems
from runtime.problems import Problem


@pytest.fixture
def client():
    app = flask.Flask(__name__)
    problems.install(app)

    @app.get("/field")
    def field():
        raise Problem(400, "Invalid job", "2 fields", errors=[{"field": "rounds", "message": "at least 1"}])

    @app.get("/later")
    def later():
        raise Problem(503, headers={"Retry-After": "7"})

    @app.get("/secret")
    def secret():
        raise RuntimeError("the key is 42")

    @app.get("/moved")
    def moved():
        flask.abort(flask.redirect("/field"))

    @app.get("/strict/")
    def strict():
        return "here"

    return app.test_client()


def test_a_problem_is_answered_with_its_members(client):
    response = client.get("/field")
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.get_json() == {
        "type": "about:blank",
        "title": "Invalid job",
        "status": 400,
        "detail": "2 fields",
        "errors": [{"field": "rounds", "message": "at least 1"}],
    }


def test_headers_and_the_default_title(client):
    response = client.get("/later")
    assert response.headers["Retry-After"] == "7"
    assert response.get_json() == {"type": "about:blank", "title": "Service Unavailable", "status": 503}


def test_an_unknown_route_and_a_wrong_method(client):
    missing = client.get("/nothing")
    assert (missing.status_code, missing.get_json()["title"]) == (404, "Not Found")
    assert missing.get_json()["detail"] == "there is no route /nothing; docs/http.md lists those there are"
    wrong = client.post("/field")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]
    assert wrong.get_json()["detail"] == "expected one of GET, HEAD, OPTIONS to /field, came POST"
    assert wrong.content_type == "application/problem+json"


def test_an_unforeseen_error_is_logged_and_not_shown(client, caplog):
    response = client.get("/secret")
    assert response.status_code == 500
    assert "42" not in response.get_data(as_text=True)
    assert response.get_json()["title"] == "Internal Server Error"
    assert caplog.records


def test_redirects_stay_redirects(client):
    assert client.get("/moved").status_code == 302
    assert client.get("/strict").status_code == 308


def test_a_problem_says_itself_as_text():
    assert str(Problem(409, "Taken", "the name is in use")) == "409 Taken: the name is in use"
    assert str(Problem(599)) == "599 Error"
