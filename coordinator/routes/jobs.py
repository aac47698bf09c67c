"""Jobs: opening, looking, following, cancelling."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from chain.client import NodeClient, NodeError, NodeRefused
from chain.schema import Cid
from chain.transactions import CancelJob
from coordinator import schemas, views
from coordinator.context import Services, services
from coordinator.documents import CLOSED, FINALITY, JobAccepted, JobDocument, JobList, TransactionAccepted
from coordinator.follower import Follower
from coordinator.opening import open_job
from coordinator.paying import payouts
from coordinator.problems import unknown
from coordinator.routes.streams import STREAM, last_seen
from coordinator.waiting import late_votes
from runtime.serving import ServerEvent, sse

#: Events that are looked through for a job before it is shown anew.
EVENTS = 500

blueprint = APIBlueprint(
    "jobs", __name__, url_prefix="/api/v1/jobs", tag={"name": "Jobs", "description": "From opening to adoption"}
)


@blueprint.post("")
@blueprint.input(schemas.JobIn)
@blueprint.output(schemas.JobOpened, status_code=202)
@blueprint.doc(
    summary="Open a job",
    description="A model that does not exist is registered first, with the default policy for the dataset. With the "
    "header `Idempotency-Key` the same request opens one job, however often it is sent.",
    responses={404: "There is no such dataset"},
)
def add(json_data: schemas.JobIn) -> tuple[JobAccepted, int, dict[str, str]]:
    job = open_job(services(), json_data, request.headers.get("Idempotency-Key"))
    return {"job": job}, 202, {"Location": f"/api/v1/jobs/{job}"}


@blueprint.get("")
@blueprint.input(schemas.JobQuery, location="query")
@blueprint.output(schemas.Jobs)
@blueprint.doc(summary="Jobs, newest first")
def every(query_data: schemas.JobQuery) -> JobList:
    found = services()
    page = found.node.job_page(
        query_data.state or "all", newest=True, limit=query_data.limit, cursor=query_data.cursor
    )
    validators, now = found.node.validators(), int(time.time() * 1000)
    voted = late_votes(found.node, page.views, now)
    documents = [
        views.job_document(view, validators, now, payouts(found.node, view.value), voted) for view in page.views
    ]
    return {"jobs": documents, "next": page.next}


@blueprint.get("/<job>")
@blueprint.output(schemas.Job)
@blueprint.doc(summary="One job: rounds, partitions, candidate, votes, and what it waits for")
def one(job: str) -> JobDocument:
    document = job_now(services().node, job)
    if document is None:
        raise _unknown(job)
    return document


def _unknown(job: str) -> Exception:
    return unknown("job", job, "GET /api/v1/jobs lists them")


def job_now(node: NodeClient, job: str) -> JobDocument | None:
    """The job as it is, also while its own transaction waits for a block; None for one never seen."""
    view = node.job_view(job)
    if view is not None:
        now = int(time.time() * 1000)
        voted = late_votes(node, [view], now)
        return views.job_document(view, node.validators(), now, payouts(node, view.value), voted)
    transaction = node.transaction(job)
    if transaction is None or transaction["status"] == "dropped" or transaction["kind"] != "open_job":
        return None
    return views.pending_job(transaction, node.validators())


@blueprint.get("/<job>/events")
@blueprint.doc(
    summary="A job's progress, as Server-Sent Events",
    description="Each event is the job as it then is; `id` is the number of the node's event, with which "
    "`Last-Event-ID` resumes. The stream ends when the job is closed and that is final.",
    responses=STREAM,
)
def events(job: str) -> Response:
    found = services()
    if job_now(found.node, job) is None:
        raise _unknown(job)
    return sse(follow_job(found.node, found.follower, job, last_seen(), found.stop))


def follow_job(
    node: NodeClient, follower: Follower, job: str, last: int | None, stop: threading.Event
) -> Iterator[ServerEvent | None]:
    """The job whenever it has changed, beginning with now (unless the client has seen it as it is, by
    `last`), until it is closed and final; None now and then while nothing happens."""
    shown: JobDocument | None = None
    if last is not None and not _happened(node, job, last):
        shown = job_now(node, job)
        if shown is not None and _over(shown):
            yield _event(last, shown)
            return
    while not stop.is_set():
        position = follower.position
        try:
            document = job_now(node, job)
        except NodeError:
            document = shown
        if document is not None and _lasting(document) != _lasting(shown):
            shown = document
            yield _event(position.seq, document)
            if _over(document):
                return
        else:
            yield None
        if follower.position.ticks == position.ticks:
            follower.wait(position.ticks, 2.0, stop)


def _event(seq: int, document: JobDocument) -> ServerEvent:
    return ServerEvent(json.dumps(document, ensure_ascii=False), id=str(seq))


def _over(document: JobDocument) -> bool:
    return document["state"] in CLOSED and document["final"]


def _lasting(document: JobDocument | None) -> dict[str, Any] | None:
    """What makes a difference: `waiting_for` follows from the rest and the clock, but for finality."""
    if document is None:
        return None
    waiting = document["waiting_for"]
    if waiting is not None and waiting["what"].startswith(FINALITY):
        return {**document}
    return {name: value for name, value in document.items() if name != "waiting_for"}


def _happened(node: NodeClient, job: str, last: int) -> bool:
    """Whether anything after event `last` may have changed what the client was shown of the job."""
    try:
        page_ = node.events(after=last, limit=EVENTS)
    except NodeRefused:
        return True  # the node never had that many events: the number is of another run
    more = len(page_.events) == EVENTS  # what is on the next page may be about it
    return more or any(event.kind == "final" or job in event.fields.values() for event in page_.events)


@blueprint.delete("/<job>")
@blueprint.output(schemas.TransactionTaken, status_code=202)
@blueprint.doc(
    summary="Cancel a job that has no candidate yet", responses={409: "A candidate is up, or it is over"}
)
def cancel(job: str) -> tuple[TransactionAccepted, int, dict[str, str]]:
    found = services()
    transaction = _cancel(found, job)
    return {"transaction": transaction, "status": "pending"}, 202, {"Location": f"/api/v1/jobs/{job}"}


def _cancel(found: Services, job: str) -> str:
    if found.node.job(job) is None:
        raise _unknown(job)
    return found.ledger.send(CancelJob(job=Cid(job)))
