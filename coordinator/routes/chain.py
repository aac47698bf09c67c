"""The chain: summary, blocks, transactions, the log, accounts and validators."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from chain.client import NodeClient
from chain.encoding import encode, from_json
from chain.errors import InvalidEncoding, InvalidSignature, InvalidTransaction
from chain.transactions import Signed
from coordinator import schemas, views
from coordinator.context import services
from coordinator.documents import (
    AccountDocument,
    BlockList,
    ChainDocument,
    TransactionAccepted,
    ValidatorsDocument,
)
from coordinator.problems import TYPE, bad_field, unknown
from coordinator.routes.streams import STREAM, last_seen
from runtime.problems import Problem
from runtime.serving import ServerEvent, sse

CBOR = "application/vnd.ipld.dag-cbor"
#: Largest signed transaction that is handed on (the node has limits per kind), in bytes.
MAX_TRANSACTION = 4 << 20
#: Lines that wait for a slow reader of the log; then it is cut off, and may resume where it was.
MAX_WAITING = 1000

blueprint = APIBlueprint(
    "chain", __name__, url_prefix="/api/v1", tag={"name": "Chain", "description": "What everybody agreed on"}
)


@blueprint.get("/chain")
@blueprint.output(schemas.Chain)
@blueprint.doc(summary="Height, head, last final block, difficulty, peers, pending transactions")
def summary() -> ChainDocument:
    return views.chain_document(services().node.chain())


@blueprint.get("/chain/blocks")
@blueprint.input(schemas.BlockPaging, location="query")
@blueprint.output(schemas.Blocks)
@blueprint.doc(summary="Blocks, newest first")
def blocks(query_data: schemas.BlockPaging) -> BlockList:
    page = services().node.blocks(query_data.limit, query_data.cursor)
    return {"blocks": page["blocks"], "next": page["next"]}


@blueprint.get("/chain/blocks/<which>")
@blueprint.output(schemas.AnyObject)
@blueprint.doc(summary="One block, by height or hash")
def block(which: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,15}|[0-9a-f]{64}", which):
        raise bad_field("block", "expected a height or a hash of 64 lowercase hex digits")
    found = services().node.block(which)
    if found is None:
        raise unknown("block", which, "GET /api/v1/chain shows the height of the head")
    return found


@blueprint.get("/chain/transactions/<transaction>")
@blueprint.output(schemas.AnyObject)
@blueprint.doc(summary="One transaction, by its id: pending, included, final or dropped")
def transaction(transaction: str) -> dict[str, Any]:
    found = services().node.transaction(transaction)
    if found is None:
        raise unknown("transaction", transaction, "send it again if it is yours")
    return found


@blueprint.post("/chain/transactions")
@blueprint.output(schemas.TransactionTaken, status_code=202)
@blueprint.doc(
    summary="Hand in a signed transaction, as DAG-CBOR or DAG-JSON",
    description="The signature is the authority: no account is needed. `202` means that the node has it on its disk; "
    "send the identical bytes again until it is final.",
)
def submit() -> tuple[TransactionAccepted, int, dict[str, str]]:
    request.max_content_length = MAX_TRANSACTION
    data = request.get_data()
    try:
        signed = Signed.decode(data if request.mimetype == CBOR else encode(from_json(data.decode())))
    except (InvalidEncoding, InvalidSignature, InvalidTransaction) as error:
        raise Problem(400, detail=str(error), type=TYPE + error.code.replace("_", "-")) from None
    except UnicodeDecodeError:
        raise Problem(
            400, detail=f"expected DAG-JSON in UTF-8, or DAG-CBOR with the content type {CBOR}"
        ) from None
    found = services()
    found.node.submit(signed)
    known = found.node.transaction(signed.id)
    status = str(known["status"]) if known is not None else "pending"
    location = f"/api/v1/chain/transactions/{signed.id}"
    return {"transaction": signed.id, "status": status}, 202, {"Location": location}


@blueprint.get("/chain/log")
@blueprint.input(schemas.LogQuery, location="query")
@blueprint.doc(
    summary="blockchain.log, live, as Server-Sent Events: one line each",
    description="`id` is the line's `seq`, with which `Last-Event-ID` resumes; without one it begins with the last "
    "`tail` lines.",
    responses=STREAM,
)
def log(query_data: schemas.LogQuery) -> Response:
    found, last = services(), last_seen()
    found.node.chain()  # 503 now rather than an open stream of nothing
    return sse(_lines(found.node, query_data.tail, last, found.stop))


def _lines(node: NodeClient, tail: int, last: int | None, stop: threading.Event) -> Iterator[ServerEvent | None]:
    """The node's log; a thread reads it, so that heartbeats go on while the node is silent."""
    waiting: Queue[ServerEvent] = Queue(MAX_WAITING)
    over = threading.Event()

    def read() -> None:
        for number, line in node.numbered_log(over, tail, "" if last is None else str(last)):
            if over.is_set() or waiting.full():
                return
            waiting.put_nowait(ServerEvent(line, id=number))

    reader = threading.Thread(target=read, name="log", daemon=True)
    reader.start()
    try:
        while not stop.is_set():
            try:
                yield waiting.get(timeout=1.0)
            except Empty:
                if not reader.is_alive():
                    return
                yield None
    finally:
        over.set()


@blueprint.get("/accounts/<address>")
@blueprint.output(schemas.Account)
@blueprint.doc(summary="An account: its balance, what it has staked, what its open jobs hold")
def account(address: str) -> AccountDocument:
    lower = address.lower()
    if not re.fullmatch(r"0x[0-9a-f]{40}", lower):
        raise bad_field("address", "expected 0x and 40 hex digits")
    node = services().node
    return views.account_document(lower, node.account(lower), node.escrowed(lower))


@blueprint.get("/validators")
@blueprint.output(schemas.Validators)
@blueprint.doc(summary="The validators, their weights and the quorum; the change under way; who is admitted")
def validators() -> ValidatorsDocument:
    return views.validators_document(services().node.membership())
