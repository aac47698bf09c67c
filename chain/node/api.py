"""The node's HTTP API: the chain's objects out, signed transactions in.

JSON by default; ``Accept: application/vnd.ipld.dag-cbor`` gives the same as strict DAG-CBOR, with links.
Errors are problem documents (RFC 9457) with a ``code``.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from flask import Flask, Response, request

from chain.database import StoreClosed
from chain.encoding import from_json
from chain.errors import (
    ChainError,
    Conflict,
    Duplicate,
    Forbidden,
    InsufficientBalance,
    InvalidEncoding,
    MempoolFull,
    TransactionTooLarge,
    Unknown,
)
from chain.node import api_chain, api_events, api_state, api_validators
from chain.node.http import CBOR, Refused, answer, arguments
from chain.node.peering import http as peers
from chain.node.peering import operators
from chain.node.service import Service, Unacknowledged
from chain.transactions import Signed
from runtime import problems

DAG_JSON = "application/vnd.ipld.dag-json"
#: HTTP status of a refused transaction; 400 for all others.
_STATUS: tuple[tuple[type[ChainError], int], ...] = (
    (TransactionTooLarge, 413),
    (MempoolFull, 503),
    (Forbidden, 403),
    (Conflict, 409),
    (Duplicate, 409),
    (Unknown, 422),
    (InsufficientBalance, 422),
)


def create_app(service: Service, operator_token: str = "") -> Flask:
    """The WSGI application of one node; ``operator_token``: what operators show to change something, if they may."""
    app = Flask("chain.node")
    problems.install(app)
    app.register_error_handler(ChainError, _refuse)
    app.register_error_handler(StoreClosed, _stopping)
    app.after_request(_with_code)
    app.register_blueprint(api_chain.blueprint(service))
    app.register_blueprint(api_state.blueprint(service))
    app.register_blueprint(api_validators.blueprint(service))
    app.register_blueprint(api_events.blueprint(service))
    app.register_blueprint(peers.blueprint(service, service.peers.links))
    app.register_blueprint(operators.blueprint(service, service.peers.links, operator_token))

    @app.post("/transactions")
    def submit() -> Response:
        arguments()
        signed = _body(service.node.params.largest_transaction)
        try:
            receipt = service.submit(signed)
        except Unacknowledged as error:
            raise Refused(503, "unacknowledged", f"{error}; send it again", {"Retry-After": "1"}) from error
        return answer({"transaction": receipt.transaction, "status": receipt.status}, 202)

    return app


def _with_code(response: Response) -> Response:
    """Give problem documents that are not the chain's own (404, 405, 503 ...) a code too: the status in words."""
    if response.mimetype == problems.CONTENT_TYPE:
        document = response.get_json()
        if "code" not in document:
            phrase = HTTPStatus(response.status_code).phrase
            document["code"] = phrase.lower().replace(" ", "_").replace("-", "_")
            response.set_data(json.dumps(document, ensure_ascii=False) + "\n")
    return response


def _stopping(_error: StoreClosed) -> Response:
    """To a request that has taken longer than the node's stop."""
    return Refused(503, "stopping", "the node stops: ask again when it runs", {"Retry-After": "5"}).to_response()


def _body(limit: int) -> Signed:
    """The signed transaction of a request in either form, read in the request's own thread: the writer has others."""
    # JSON takes more room than DAG-CBOR: a hash or a number at most about twice.
    roof = 2 * limit
    length = request.content_length
    if length is None:
        raise Refused(411, "length_required", "expected a Content-Length")
    if length > roof:
        raise Refused(413, "request_too_large", f"expected at most {roof} bytes, came {length}")
    data = request.get_data(cache=False)
    kind = request.mimetype
    if kind == CBOR:
        return Signed.decode(data, limit)
    if kind in (DAG_JSON, "application/json"):
        try:
            return Signed.decode(Signed.from_object(from_json(data, roof)).data, limit)
        except UnicodeDecodeError as error:
            raise InvalidEncoding("JSON in UTF-8", str(error)) from error
    raise Refused(415, "unsupported_media_type", f"expected {CBOR} or {DAG_JSON}, came {kind or 'no type'}")


def _refuse(error: ChainError) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    headers = {"Retry-After": "5"} if status == 503 else {}
    errors = [{"field": error.where, "message": str(error)}] if error.where else []
    return Refused(status, error.code, str(error), headers, errors).to_response()
