"""Errors of the other rooms as problem documents, and those of our own that recur."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response, request
from pydantic import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from chain.client import NodeRefused, NodeUnavailable, TransactionRefused, WaitTimeout
from ipfs.errors import (
    ContentCorrupt,
    ContentError,
    ContentLooping,
    ContentMissing,
    ContentTooLarge,
    InvalidCid,
    StoreUnavailable,
)
from runtime.problems import Problem

#: Prefix of our problem types; the rest is the code.
TYPE = "urn:assay:problem:"
_RETRY = {"Retry-After": "2"}

#: What pydantic says, in words that say what to do.
_WORDS = {
    "Field required": "expected a value, came none",
    "Extra inputs are not permitted": "there is no such field; GET /docs shows those there are",
}
#: What pydantic calls an object, with the class that it would have become, which no client knows.
_OBJECT = re.compile(r"Input should be a valid dictionary(?: or instance of \w+)?")
#: Status by the chain's codes; what is not here is the sender's mistake.
_STATUS = {
    "unknown": 404,
    "forbidden": 403,
    "conflict": 409,
    "duplicate": 409,
    "not_yet": 409,
    "insufficient_balance": 403,
    "insufficient_stake": 403,
    "transaction_too_large": 413,
    "too_large": 413,
    "mempool_full": 503,
}


def bad_field(field: str, message: str) -> Problem:
    """400 for one field."""
    return Problem(
        400,
        detail=f"{field}: {message}",
        type=TYPE + "invalid-field",
        errors=[{"field": field, "message": message}],
    )


def unknown(kind: str, name: str, advice: str) -> Problem:
    """404 that names what there is not."""
    return Problem(404, detail=f"there is no {kind} {name!r}; {advice}", type=f"{TYPE}unknown-{kind}")


def no_certificate(detail: str) -> Problem:
    """404 for a version that has no certificate yet."""
    return Problem(404, detail=detail, type=TYPE + "no-certificate-yet")


def conflict(detail: str) -> Problem:
    """409."""
    return Problem(409, detail=detail, type=TYPE + "conflict")


def from_node(error: NodeRefused) -> Problem:
    """What the node refused, with its own code and words."""
    status = error.status if error.status in (404, 409, 413, 429) else _STATUS.get(error.code, 400)
    return _of_the_chain(status, error.code, error.detail, error.problem.get("errors", ()))


def _of_the_chain(status: int, code: str, detail: str, errors: Sequence[Mapping[str, str]] = ()) -> Problem:
    headers = _RETRY if status == 503 else None
    # The chain's own words begin with the field, which `errors` has beside them.
    apart = [{**error, "message": error["message"].removeprefix(f"{error['field']}: ")} for error in errors]
    return Problem(status, detail=detail, type=TYPE + code.replace("_", "-"), errors=apart, headers=headers)


def from_content(error: ContentError) -> Problem:
    """Content that cannot be had or used."""
    kinds: list[tuple[type[ContentError], int, str]] = [
        (InvalidCid, 400, "invalid-cid"),
        (ContentMissing, 404, "content-missing"),
        (ContentTooLarge, 413, "content-too-large"),
        (ContentCorrupt, 422, "content-corrupt"),
        (ContentLooping, 422, "content-looping"),
        (StoreUnavailable, 503, "store-unavailable"),
    ]
    status, code = next(
        ((status, code) for kind, status, code in kinds if isinstance(error, kind)), (502, "content")
    )
    errors = [{"field": "cid", "message": str(error)}] if status == 400 else []
    headers = _RETRY if status == 503 else None
    return Problem(status, detail=str(error), type=TYPE + code, errors=errors, headers=headers)


def install(app: Flask) -> None:
    """Answer the errors of the node's client and of the content store, wherever they are raised."""

    def refused(error: NodeRefused) -> Response:
        return from_node(error).to_response()

    def dropped(error: TransactionRefused) -> Response:
        return _of_the_chain(_STATUS.get(error.code, 400), error.code, str(error)).to_response()

    def unavailable(error: NodeUnavailable) -> Response:
        return Problem(503, detail=str(error), type=TYPE + "node-unavailable", headers=_RETRY).to_response()

    def slow(error: WaitTimeout) -> Response:
        detail = f"{error}; the transaction stays pending: ask again, nothing is sent twice"
        return Problem(504, detail=detail, type=TYPE + "not-included-yet", headers=_RETRY).to_response()

    def content(error: ContentError) -> Response:
        return from_content(error).to_response()

    def large(_: RequestEntityTooLarge) -> Response:
        detail = (
            f"the request has more than {request.max_content_length} bytes, which is the most that is read here"
        )
        return Problem(413, detail=detail, type=TYPE + "too-large").to_response()

    app.register_error_handler(RequestEntityTooLarge, large)
    app.register_error_handler(NodeRefused, refused)
    app.register_error_handler(TransactionRefused, dropped)
    app.register_error_handler(NodeUnavailable, unavailable)
    app.register_error_handler(WaitTimeout, slow)
    app.register_error_handler(ContentError, content)


def from_validation(error: Any) -> Response:
    """APIFlask's one error processor: every wrong field with its message, status 400."""
    fields = {field: messages for place in error.detail.values() for field, messages in place.items()}
    return _bad_fields(fields).to_response()


def from_pydantic(error: ValidationError) -> Problem:
    """The same for a form that is checked by hand."""
    fields: dict[str, list[str]] = {}
    for found in error.errors():
        fields.setdefault(".".join(map(str, found["loc"])), []).append(found["msg"])
    return _bad_fields(fields)


def _in_words(message: str) -> str:
    known = _WORDS.get(message) or _OBJECT.sub("expected a JSON object", message)
    return re.sub("^Input should be ", "expected ", known)


def _bad_fields(fields: Mapping[str, Sequence[str]]) -> Problem:
    errors = []
    for name, messages in fields.items():
        # A rule over several fields has no place of its own: its message begins with the field's name.
        message = "; ".join(map(_in_words, messages)).removeprefix("Value error, ")
        field, colon, rest = message.partition(": ")
        whole = name in ("", "_schema")
        named = whole and colon and field.isidentifier()
        errors.append(
            {"field": field, "message": rest}
            if named
            else {"field": "body" if whole else name, "message": message}
        )
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    return Problem(400, detail=detail, type=TYPE + "invalid-field", errors=errors)
