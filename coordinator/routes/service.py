"""Liveness, readiness, metrics, and the page that shows the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, render_template

from coordinator import metrics, schemas
from coordinator.context import services
from coordinator.documents import Readiness

blueprint = APIBlueprint("service", __name__, tag={"name": "Service", "description": "The coordinator itself"})


@blueprint.get("/healthz")
@blueprint.doc(summary="The process answers")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@blueprint.get("/readyz")
@blueprint.output(schemas.Ready)
@blueprint.doc(
    summary="Whether jobs can run, by part",
    responses={503: "Something is missing; the same document says what"},
)
def readyz() -> tuple[Readiness, int, dict[str, str]]:
    document = services().readiness.document()
    return (document, 200, {}) if document["ready"] else (document, 503, {"Retry-After": "2"})


@blueprint.get("/metrics")
@blueprint.doc(hide=True)
def prometheus() -> Response:
    return metrics.exposition(services().follower)


@blueprint.get("/docs")
@blueprint.doc(hide=True)
def page() -> str:
    spec: Any = current_app.spec  # type: ignore[attr-defined]
    return render_template("docs.html", spec=spec, methods=("get", "post", "delete"))
