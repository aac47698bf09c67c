"""Connections over HTTP, seen from the side that is asked: ``/p2p/`` for peers, ``/peers`` for operators."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any

from flask import Blueprint, Response, request

from chain import schema
from chain.encoding import decode as read_cbor
from chain.encoding import from_json
from chain.errors import ChainError
from chain.node.http import CBOR, Refused, answer, arguments
from chain.node.peering.codec import decode, encode, limit_of
from chain.node.peering.links import GREETING_BYTES, TOKEN, Greeting, Link, Links, Newcomer, message_class
from chain.node.peering.messages import ANSWERS, TOLD, Message, Request, url_of
from chain.node.peering.peer import PeerRefused
from chain.node.peering.places import Places, host_of
from chain.node.service import Service, Unacknowledged

MAX_ADDRESS_BYTES = 1024

_STATUS = {"full": 503, "discouraged": 403}
"""HTTP status of a refused handshake; 409 for all others."""


def blueprint(service: Service, links: Links) -> Blueprint:
    """The routes."""
    routes = Blueprint("peers", __name__)
    places = Places()
    _for_operators(routes, service, links)

    @routes.post("/p2p/hello")
    def hello() -> Response:
        arguments()
        greeting = schema.from_bytes(Greeting, _body(GREETING_BYTES), GREETING_BYTES)
        if greeting.answers:
            # A node that we are greeting asks whether it is us.
            if not links.was_meant_for(greeting.answers, greeting.hello.url):
                raise Refused(403, "unknown_greeting", "expected the token of a greeting of ours to that address")
            return _cbor(schema.to_bytes(Greeting(links.peering.hello(), greeting.answers, greeting.token)))
        host = host_of(request.remote_addr)
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
                given = _in_writer(service, lambda: links.answer(link, wanted))
                if given is None:
                    raise Refused(403, "discouraged", "this node no longer listens to you")
                return _cbor(encode(given))
            _in_writer(service, lambda: links.told(link, found))
            return Response(status=204)

    return routes


def _greeted(service: Service, links: Links, greeting: Greeting, host: str) -> Greeting:
    given = secrets.token_hex(16)
    hello = greeting.hello
    # Whoever names an address answers for itself there, but while it is not reached others may name the same.
    who = f"{hello.url} from {host}" if hello.url else f"from {host}"
    _in_writer(service, lambda: links.peering.check(hello, hello.url or who))
    if greeting.token and links.call_back(hello, greeting.token, given):
        newcomer = Newcomer(hello.url, hello, host)
        _in_writer(service, lambda: links.register(hello.url, newcomer, greeting.token, given))
    else:
        _in_writer(service, lambda: links.expect(Newcomer(who, hello, host), given))
    return Greeting(links.peering.hello(), given, greeting.token)


def _read(service: Service, links: Links, link: Link, kind: type[Message]) -> Message:
    params = service.node.params
    try:
        return decode(kind, _body(limit_of(kind, params)), params)
    except (ChainError, Refused) as error:
        if isinstance(error, ChainError) or error.status == 413:
            said = f"what should be {kind.__name__}: {error.detail if isinstance(error, Refused) else error}"
            _in_writer(service, lambda: links.misbehaved(link, said))
        raise


def _body(limit: int) -> bytes:
    """The request's DAG-CBOR."""
    data = _bounded(limit)
    if request.mimetype != CBOR:
        raise Refused(415, "unsupported_media_type", f"expected {CBOR}, came {request.mimetype or 'no type'}")
    return data


def _bounded(limit: int) -> bytes:
    length = request.content_length
    if length is None:
        raise Refused(411, "length_required", "expected a Content-Length")
    if length > limit:
        raise Refused(413, "request_too_large", f"expected at most {limit} bytes, came {length}")
    return request.get_data(cache=False)


def _cbor(data: bytes) -> Response:
    return Response(data, content_type=CBOR)


def _in_writer(service: Service, do: Any) -> Any:
    try:
        return service.call(do)
    except PeerRefused as refused:
        raise Refused(_STATUS.get(refused.code, 409), refused.code, str(refused)) from refused
    except Unacknowledged as error:
        raise Refused(503, "busy", str(error), {"Retry-After": "1"}) from error


def _for_operators(routes: Blueprint, service: Service, links: Links) -> None:
    @routes.get("/peers")
    def peers() -> Response:
        arguments()
        return answer(_in_writer(service, lambda: _overview(links)))

    @routes.post("/peers")
    def add() -> Response:
        arguments()
        if not ipaddress.ip_address(request.remote_addr or "0.0.0.0").is_loopback:
            raise Refused(403, "forbidden", "peers are added from the node's own machine only")
        url = _address(MAX_ADDRESS_BYTES)
        _in_writer(service, lambda: service.peers.add(url))
        return answer({"url": url}, 202)


def _address(limit: int) -> str:
    """The address in a request's body, JSON or DAG-CBOR."""
    data = _bounded(limit)
    try:
        if request.mimetype == CBOR:
            given = read_cbor(data, limit)
        elif request.mimetype == "application/json":
            given = from_json(data, limit)
        else:
            kind = request.mimetype or "no type"
            raise Refused(415, "unsupported_media_type", f"expected application/json or {CBOR}, came {kind}")
    except UnicodeDecodeError as error:
        raise Refused(400, "invalid_request", "expected UTF-8") from error
    if not isinstance(given, dict) or given.keys() != {"url"} or not isinstance(given["url"], str):
        raise Refused(400, "invalid_request", 'expected {"url": "http://HOST:PORT"}')
    return url_of(given["url"])


def _overview(links: Links) -> dict[str, Any]:
    peering = links.peering
    return {
        "url": peering.url,
        "peers": [
            {
                "peer": peer.id,
                "url": peer.url,
                "reachable": peer.reachable,
                "since": peer.since,
                "height": peer.height,
                "head": peer.head,
                "final_height": peer.final_height,
            }
            for peer in peering.overview()
        ],
        "addresses": [
            {"url": each.url, "trusted": each.trusted, "failures": each.failures, "reason": each.reason}
            for each in peering.addresses
        ],
        "discouraged": [
            {"who": who, "until": each.until, "reason": each.reason} for who, each in peering.book.discouraged.items()
        ],
    }
