"""Routes for the chain itself: where it stands, its blocks, its transactions, the node's health."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from chain.blocks import Block
from chain.node.http import (
    CBOR,
    MAX_PAGE,
    PAGE,
    Refused,
    answer,
    arguments,
    choice,
    integer,
    not_found,
    seconds,
    wants_cbor,
)
from chain.node.interface import Standing
from chain.node.service import Service
from chain.schema import to_object
from chain.work import work_of
from runtime.streams import streams

#: Seconds of the longest long poll.
MAX_WAIT = 60.0
#: Bytes of the blocks in one page of a list, after which it ends early: describing them takes several times as much.
PAGE_BYTES = 8 * 1024 * 1024
_HEIGHT = re.compile(r"[0-9]{1,15}")
_HASH = re.compile(r"[0-9a-f]{64}")


def blueprint(service: Service) -> Blueprint:
    """The routes."""
    routes = Blueprint("chain", __name__)
    _health(routes, service)
    _blocks(routes, service)
    node, chain = service.node, service.node.chain

    @routes.get("/chain")
    def show() -> Response:
        arguments()
        (head, final), justified = chain.ends, chain.justified
        return answer(
            {
                "network": node.genesis.network,
                "genesis": chain.genesis_id,
                "height": head.height,
                "head": head.id,
                "time": head.time,
                "justified": {"height": justified.height, "hash": justified.id},
                "final": {"height": final.height, "hash": final.id},
                "settled": head.state.finality.settled,
                "difficulty": work_of(head.block.header.target),
                "work": head.work,
                "pending": node.pool.transactions,
                "pending_votes": node.pool.checkpoint_votes,
                "peers": len(service.peers.peering.peers),
                "seq": node.seq,
                "run": service.run,
                "params": asdict(node.params),
            }
        )

    @routes.get("/genesis")
    def genesis() -> Response:
        arguments()
        if wants_cbor():
            return Response(node.genesis.to_bytes(), content_type=CBOR)
        return Response(node.genesis.to_json(), content_type="application/json")

    @routes.get("/transactions/<identifier>")
    def transaction(identifier: str) -> Response:
        given = arguments("wait", "until")
        wait = seconds(given, "wait", MAX_WAIT)
        until = choice(given, "until", ("included", "final"))
        standing = node.shown(identifier)
        if wait and not _settled(standing, until):
            with streams().acquire():
                standing = _wait(service, identifier, until, wait)
        if standing is None:
            raise not_found("a transaction that this node has seen", identifier)
        return answer(_describe(identifier, standing))

    return routes


def _settled(standing: Standing | None, until: str) -> bool:
    """Whether there is nothing more to wait for."""
    if standing is None:
        return False
    return standing.status in ("dropped", "final") or standing.status == until


def _wait(service: Service, identifier: str, until: str, wait: float) -> Standing | None:
    deadline = time.monotonic() + wait
    while True:
        seen = service.bell.count
        standing = service.node.shown(identifier)
        if _settled(standing, until):
            return standing
        if not service.bell.wait(seen, deadline):
            return service.node.shown(identifier)


def _describe(identifier: str, standing: Standing) -> dict[str, Any]:
    signed, error = standing.signed, standing.error
    found: dict[str, Any] = {
        "transaction": identifier,
        "status": standing.status,
        "height": standing.height,
        "block": standing.block,
        "code": None if error is None else error.code,
        "reason": None if error is None else str(error),
    }
    if signed is not None:
        found |= {
            "cid": signed.cid,
            "kind": signed.body.kind,
            "sender": signed.sender,
            "expires": signed.body.expires,
            "payload": to_object(signed.payload),
        }
    return found


def _blocks(routes: Blueprint, service: Service) -> None:
    node, chain = service.node, service.node.chain

    def describe(block: Block) -> dict[str, Any]:
        header, commitment = block.header, block.commitment
        final = chain.final  # first: what is at or below it, and then on the branch, stays there
        on_branch = node.on_branch(block.id, block.height)
        return {
            "height": block.height,
            "hash": block.id,
            "cid": block.cid,
            "parent": header.parent,
            "root": header.root,
            "version": header.version,
            "time": header.time,
            "target": header.target,
            "nonce": str(header.nonce),  # 64 bits without a sign
            "miner": commitment.miner,
            "state": commitment.state,
            "bytes": len(block.encode()),
            "on_branch": on_branch,
            "final": on_branch and block.height <= final.height,
            "transactions": [
                {"transaction": signed.id, "cid": signed.cid, "kind": signed.body.kind, "sender": signed.sender}
                for signed in block.transactions
            ],
        }

    @routes.get("/blocks")
    def blocks() -> Response:
        given = arguments("limit", "cursor")
        limit = integer(given, "limit", PAGE, 1, MAX_PAGE)
        highest = integer(given, "cursor", chain.head.height, 0, 2**53)
        found: list[dict[str, Any]] = []
        height = min(highest, chain.head.height)
        room = PAGE_BYTES
        while height >= 0 and len(found) < limit and room > 0:
            block = node.block(height)
            if block is not None:
                found.append(describe(block))
                room -= len(block.data)
            height -= 1
        return answer({"blocks": found, "next": height if height >= 0 else None})

    @routes.get("/blocks/<name>")
    def one(name: str) -> Response:
        arguments()
        if not (_HEIGHT.fullmatch(name) or _HASH.fullmatch(name)):
            raise Refused(400, "invalid_parameter", f"expected a height or a block's hash, came {name[:100]!r}")
        data = node.block_bytes(name if _HASH.fullmatch(name) else int(name))
        if data is None:
            raise not_found("a block that exists", name)
        if wants_cbor():
            return Response(data, content_type=CBOR)
        return answer(describe(Block.decode(data, node.params.max_block_bytes)))


def _health(routes: Blueprint, service: Service) -> None:
    node, chain = service.node, service.node.chain
    registry = CollectorRegistry()
    for name, text, value in (
        ("height", "Height of the head", lambda: chain.head.height),
        ("justified_height", "Height of the highest justified block", lambda: chain.justified.height),
        ("final_height", "Height of the last final block", lambda: chain.final.height),
        ("pending_transactions", "Waiting for a block, checkpoint votes apart", lambda: node.pool.transactions),
        ("pending_votes", "Checkpoint votes that wait for a block", lambda: node.pool.checkpoint_votes),
        ("pending_bytes", "Bytes of both", lambda: node.pool.size),
        ("events", "Events so far", lambda: node.seq),
        ("peers", "Nodes this one is connected with", lambda: len(service.peers.peering.peers)),
        ("open_jobs", "Jobs that are training or voting", lambda: len(chain.head.state.open_jobs)),
    ):
        Gauge(f"assay_node_{name}", text, registry=registry).set_function(value)

    @routes.get("/healthz")
    def health() -> Response:
        arguments()
        return answer({"status": "ok"})

    @routes.get("/readyz")
    def ready() -> Response:
        arguments()
        if not service.alive or service.stop.is_set():
            why = f"the node is stopping: {service.error or 'it was asked to'}"
            raise Refused(503, "not_ready", why, {"Retry-After": "5"})
        return answer({"status": "ready", "parts": {"chain": {"ready": True, "height": chain.head.height}}})

    @routes.get("/metrics")
    def metrics() -> Response:
        arguments()
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
