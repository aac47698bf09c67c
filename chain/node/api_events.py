"""Routes for those who follow the chain: events by long poll, ``blockchain.log`` as a stream."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from flask import Blueprint, Response, request

from chain.database import StoreClosed
from chain.happened import StoredEvent
from chain.node.api_chain import MAX_WAIT
from chain.node.blocklog import line_of
from chain.node.events import to_json
from chain.node.http import Refused, answer, arguments, integer, seconds
from chain.node.service import Service
from runtime.streams import ServerEvent, sse, streams

MAX_EVENTS = 1000
MAX_TAIL = 1000
#: Seconds after which a silent log stream looks whether its client is still there.
LOOK_SECONDS = 5.0


def blueprint(service: Service) -> Blueprint:
    """The routes."""
    routes = Blueprint("events", __name__)
    node, bell = service.node, service.bell

    def wait_for(after: int, limit: int, wait: float) -> list[StoredEvent]:
        deadline = time.monotonic() + wait
        while True:
            seen = bell.count
            found = node.events(after, limit)
            if found or not bell.wait(seen, deadline):
                return found

    @routes.get("/events")
    def events() -> Response:
        given = arguments("after", "wait", "limit")
        limit = integer(given, "limit", 500, 1, MAX_EVENTS)
        wait = seconds(given, "wait", MAX_WAIT)
        newest = node.seq
        after = integer(given, "after", newest, 0, 2**53)
        if after > newest:
            raise Refused(
                400, "unknown_event", f"after: expected at most {newest}, came {after}; start over without it"
            )
        found = node.events(after, limit) if "after" in given else []
        if not found and wait and "after" in given:
            with streams().acquire():
                found = wait_for(after, limit, wait)
        head, final = node.chain.ends
        return answer(
            {
                "events": [to_json(event) for event in found],
                "next": found[-1].seq if found else after,
                "run": service.run,
                "head": head.id,
                "height": head.height,
                "final_height": final.height,
            }
        )

    @routes.get("/log")
    def log() -> Response:
        given = arguments("tail")
        tail = integer(given, "tail", 10, 0, MAX_TAIL)
        resume = request.headers.get("Last-Event-ID", "")
        known = resume.isascii() and resume.isdigit() and len(resume) <= 16 and int(resume) <= node.seq
        after = int(resume) if known else max(0, node.seq - tail)

        def lines() -> Iterator[ServerEvent | None]:
            last = after
            with contextlib.suppress(StoreClosed):
                while not bell.closed:
                    found = wait_for(last, MAX_TAIL, LOOK_SECONDS)
                    for event in found:
                        yield ServerEvent(line_of(event), id=str(event.seq))
                        last = event.seq
                    if not found:
                        yield None

        return sse(lines())

    return routes
