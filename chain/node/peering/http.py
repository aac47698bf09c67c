"""Connections over HTTP, seen from the side that is asked: ``/p2p/``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, Response, request

from chain import schema
from chain.errors import ChainError
from chain.node.http import CBOR, Refused, arguments
from chain.node.peering.codec import decode, encode, limit_of
from chain.node.peering.links import GREETING_BYTES, TOKEN, Greeting, Link, Links, Newcomer, message_class
from chain.node.peering.messages import ANSWERS, TOLD, Message, Request
from chain.node.peering.peer import PeerRefused
from chain.node.peering.places import Places, group_of
from chain.node.service import Service, Unacknowledged

T = TypeVar("T")
_STATUS = {"full": 503, "discouraged": 403}
"""HTTP status of a refused handshake; 409 for all others."""


def blueprint(service: Service, links: Links) -> Blueprint:
    """The routes."""
    routes = Blueprint("peers", __name__)
    places = Places()

    @routes.post("/p2p/hello")
    def hello() -> Response:
        arguments()
        greeting = schema.from_bytes(Greeting, _body(GREETING_BYTES), GREETING_BYTES)
        if greeting.answers:
            # A node that we are greeting asks whether it is us.
            if not links.was_meant_for(greeting.answers, greeting.hello.url):
                raise Refused(403, "unknown_greeting", "expected the token of a greeting of ours to that address")
            return _cbor(schema.to_bytes(Greeting(links.peering.hello(), greeting.answers, greeting.token)))
        host = group_of(request.remote_addr)
        with places.greeting(host, service.now()):
            return _cbor(schema.to_bytes(_greeted(service, links, greeting, host)))

    @routes.post("/p2p/<name>")
    def message(name: str) -> Response:
        arguments()
        kind = message_class(name)
        if kind is None or not (kind in ANSWERS or kind in TOLD):
            raise Refused(404, "not_found", f"expected a message that exists, came {name[:100]!r}")
        link = links.by_token(request.headers.get(TOKEN, ""))
        if link is None:
            raise Refused(401, "unknown_peer", f"expected a token from a greeting in {TOKEN}; greet first")
        with places.message(link):
            found = _read(service, links, link, kind)
            if isinstance(found, Request):
                wanted = found
                given = in_writer(service, lambda: links.answer(link, wanted))
                if given is None and link.peer in links.peering.peers:
                    raise Refused(503, "busy", "too many requests of this peer in a while", {"Retry-After": "5"})
                if given is None:
                    raise Refused(403, "discouraged", "this node no longer listens to you")
                return _cbor(encode(given))
            in_writer(service, lambda: links.told(link, found))
            return Response(status=204)

    return routes


def _greeted(service: Service, links: Links, greeting: Greeting, host: str) -> Greeting:
    given = secrets.token_hex(16)
    hello = greeting.hello
    # Whoever names an address answers for itself there, but while it is not reached others may name the same.
    who = f"{hello.url} from {host}" if hello.url else f"from {host}"
    in_writer(service, lambda: links.peering.check(hello, hello.url or who))
    if greeting.token and links.call_back(hello, greeting.token, given):
        newcomer = Newcomer(hello.url, hello, host)
        in_writer(service, lambda: links.register(hello.url, newcomer, greeting.token, given))
    else:
        in_writer(service, lambda: links.expect(Newcomer(who, hello, host), given))
    return Greeting(links.peering.hello(), given, greeting.token)


def _read(service: Service, links: Links, link: Link, kind: type[Message]) -> Message:
    params = service.node.params
    try:
        return decode(kind, _body(limit_of(kind, params)), params)
    except (ChainError, Refused) as error:
        if isinstance(error, ChainError) or error.status == 413:
            said = f"what should be {kind.__name__}: {error.detail if isinstance(error, Refused) else error}"
            in_writer(service, lambda: links.misbehaved(link, said))
        raise


def _body(limit: int) -> bytes:
    """The request's DAG-CBOR."""
    data = bounded(limit)
    if request.mimetype != CBOR:
        raise Refused(415, "unsupported_media_type", f"expected {CBOR}, came {request.mimetype or 'no type'}")
    return data


def bounded(limit: int) -> bytes:
    """The request's body."""
    length = request.content_length
    if length is None:
        raise Refused(411, "length_required", "expected a Content-Length")
    if length > limit:
        raise Refused(413, "request_too_large", f"expected at most {limit} bytes, came {length}")
    return request.get_data(cache=False)


def _cbor(data: bytes) -> Response:
    return Response(data, content_type=CBOR)


def in_writer(service: Service, do: Callable[[], T]) -> T:
    """Have the writer do it, and wait."""
    try:
        return service.call(do)
    except PeerRefused as refused:
        status = _STATUS.get(refused.code, 409)
        later = {"Retry-After": "60"} if status == 503 else {}  # who is silent for a minute makes room
        raise Refused(status, refused.code, str(refused), later) from refused
    except Unacknowledged as error:
        raise Refused(503, "busy", str(error), {"Retry-After": "1"}) from error
