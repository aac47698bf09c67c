"""Prometheus metrics: requests by route, tasks sent, and where the chain stands as the coordinator sees it."""

from __future__ import annotations

import time
from typing import Final

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from coordinator.follower import Follower

REGISTRY: Final = CollectorRegistry()
REQUESTS: Final = Counter(
    "assay_http_requests_total", "Requests answered", ["method", "route", "status"], registry=REGISTRY
)
SECONDS: Final = Histogram(
    "assay_http_request_seconds", "Until the answer began", ["method", "route"], registry=REGISTRY
)
TASKS: Final = Counter("assay_tasks_sent_total", "Celery tasks sent", ["task", "send"], registry=REGISTRY)
HEIGHT: Final = Gauge("assay_chain_height", "Height of the head", registry=REGISTRY)
FINAL_HEIGHT: Final = Gauge("assay_chain_final_height", "Height of the last final block", registry=REGISTRY)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})


def install(app: Flask) -> None:
    """Count and time every request, by its rule and not by its path, which anybody can make up."""

    def begin() -> None:
        g.assay_begun = time.perf_counter()

    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "none"
        begun = g.get("assay_begun")
        # Nor by whatever method: every new label is kept in memory for good.
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        if begun is not None:
            SECONDS.labels(method, route).observe(time.perf_counter() - begun)
        return response

    app.before_request(begin)
    app.after_request(end)


def exposition(follower: Follower) -> Response:
    """The text that Prometheus scrapes."""
    position = follower.position
    HEIGHT.set(position.height)
    FINAL_HEIGHT.set(max(position.final_height, 0))
    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
