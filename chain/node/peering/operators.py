"""What operators ask of a node about its peers: ``/peers``, to be changed by those who can read the node's folder."""

from __future__ import annotations

import hmac
import re
import secrets
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request

from chain.encoding import decode as read_cbor
from chain.encoding import from_json
from chain.errors import InvalidEncoding
from chain.node.http import CBOR, Refused, answer, arguments, not_found
from chain.node.peering.http import bounded, in_writer
from chain.node.peering.links import Links
from chain.node.peering.messages import url_of
from chain.node.service import Service
from runtime.files import atomic_write

MAX_ADDRESS_BYTES = 1024
BODY = 'expected a body {"url": "http://HOST:PORT"}'


def operator_token(path: Path) -> str:
    """The token in a file that only its owner can read; made where there is none."""
    try:
        path.chmod(0o600)
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        found = secrets.token_hex(32)
        atomic_write(path, f"{found}\n".encode(), mode=0o600)
    return found


def blueprint(service: Service, links: Links, token: str) -> Blueprint:
    """The routes. ``token``: what those who change something must know; empty: nobody may."""
    routes = Blueprint("operators", __name__)

    @routes.get("/peers")
    def peers() -> Response:
        arguments()
        return answer(in_writer(service, lambda: _overview(links)))

    @routes.post("/peers")
    def add() -> Response:
        arguments()
        _check(token)
        url = _url(_given(MAX_ADDRESS_BYTES))
        if url == links.peering.url:
            raise Refused(400, "invalid_request", f"expected the address of another node, {url} is this one's own")
        in_writer(service, lambda: service.peers.add(url))
        return answer({"url": url}, 202)

    @routes.delete("/peers")
    def remove() -> Response:
        given = arguments("url").get("url", "")
        _check(token)
        url = _url(given)
        if not in_writer(service, lambda: service.peers.remove(url)):
            raise not_found("the address of a node that this one knows", given)
        return answer({"url": url})

    @routes.delete("/peers/discouraged")
    def forgive() -> Response:
        who = arguments("who").get("who", "")
        _check(token)
        forgiven = in_writer(service, lambda: service.peers.peering.book.forgive(who))
        if not forgiven:
            raise not_found("a node, or a host, that this one does not listen to", who)
        return answer({"forgiven": forgiven})

    return routes


def _check(token: str) -> None:
    """Raises 403 for a request of somebody who cannot read the node's folder, wherever it comes from: a proxy on the
    node's own machine makes everybody's requests look like the operator's."""
    given = request.headers.get("Authorization", "")
    if not token or not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        where = "the content of operator.token, which is in the node's data folder beside its database"
        raise Refused(403, "forbidden", f"expected Authorization: Bearer TOKEN with {where}")


def _given(limit: int) -> str:
    """The address in a request's body, JSON or DAG-CBOR."""
    data = bounded(limit)
    try:
        if request.mimetype == CBOR:
            given = read_cbor(data, limit)
        elif request.mimetype == "application/json":
            given = from_json(data, limit)
        else:
            kind = request.mimetype or "no type"
            raise Refused(415, "unsupported_media_type", f"expected application/json or {CBOR}, came {kind}")
    except InvalidEncoding as error:  # its advice is for those who sign what they send
        raise Refused(400, "invalid_request", f"{BODY}: {error.said}") from error
    if not isinstance(given, dict) or given.keys() != {"url"} or not isinstance(given["url"], str):
        raise Refused(400, "invalid_request", BODY)
    return str(given["url"])


def _url(text: str) -> str:
    try:
        return url_of(text)
    except InvalidEncoding as error:
        expected = "expected the address of a node, http://HOST:PORT, in lowercase and without a path"
        raise Refused(400, "invalid_request", f"{expected}; came {text[:100]!r}") from error


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
