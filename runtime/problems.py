"""Errors over HTTP: problem documents as in RFC 9457, ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from runtime.logs import get_logger

CONTENT_TYPE = "application/problem+json"

_log = get_logger(__name__)


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """What went wrong, as the client is told: raise it anywhere in a request.

    ``errors`` names the fields at fault, each ``{"field": ..., "message": ...}``; ``headers`` go on the
    response (``Retry-After``).
    """

    def __init__(
        self,
        status: int,
        title: str | None = None,
        detail: str = "",
        *,
        type: str = "about:blank",
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.title = title if title is not None else _phrase(status)
        self.detail = detail
        self.type = type
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})
        super().__init__(f"{status} {self.title}: {detail}" if detail else f"{status} {self.title}")

    def to_dict(self) -> dict[str, Any]:
        """The members of the document; ``detail`` and ``errors`` only where there are any."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = self.errors
        return document

    def to_response(self) -> Response:
        """The document as Flask's response."""
        body = json.dumps(self.to_dict(), ensure_ascii=False) + "\n"
        return Response(body, status=self.status, headers=self.headers, content_type=CONTENT_TYPE)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def from_http(error: HTTPException) -> Problem:
    """The problem that says what werkzeug's or Flask's own exception says, with its headers (``Allow``)."""
    keep = {
        name: value for name, value in error.get_headers() if name.lower() not in {"content-type", "content-length"}
    }
    return Problem(error.code or 500, detail=_words(error), headers=keep)


def _words(error: HTTPException) -> str:
    """What is wrong: of a path or a method in words for programs, as werkzeug's are for who typed it in a browser."""
    if isinstance(error, NotFound):
        return f"there is no route {request.path[:200]}; docs/http.md lists those there are"
    if isinstance(error, MethodNotAllowed):
        takes = ", ".join(sorted(error.valid_methods or ()))
        return f"expected one of {takes} to {request.path[:200]}, came {request.method[:20]}"
    return error.description or ""


def install(app: Flask) -> None:
    """Make ``app`` answer every error with a problem document.

    An exception that nobody foresaw is logged with its traceback and answered as 500 without its message,
    which may hold paths or secrets.
    """

    def on_problem(error: Problem) -> Response:
        return error.to_response()

    def on_http(error: HTTPException) -> Response:
        if error.response is not None and isinstance(error.response, Response):
            return error.response
        if error.code is not None and error.code < 400:
            return Response(headers=error.get_headers(), status=error.code)
        return from_http(error).to_response()

    def on_exception(error: Exception) -> Response:
        _log.error("unexpected error while answering a request", exc_info=error)
        return Problem(500, detail="an unexpected error; the service's log has it").to_response()

    app.register_error_handler(Problem, on_problem)
    app.register_error_handler(HTTPException, on_http)
    app.register_error_handler(Exception, on_exception)
