"""Models: registering, looking, versions, predictions, evaluation."""

from __future__ import annotations

from datetime import UTC, datetime

from apiflask import APIBlueprint
from flask import Response

from chain.client import View
from chain.state.objects import Model, Version
from coordinator import schemas, views
from coordinator.certifying import certificate_for
from coordinator.context import Services, services
from coordinator.documents import (
    Evaluation,
    ModelAccepted,
    ModelDocument,
    ModelList,
    Prediction,
    VersionDocument,
    VersionList,
)
from coordinator.problems import bad_field, unknown
from coordinator.registering import Policy, register_model
from coordinator.serving import at_time
from runtime.problems import Problem

blueprint = APIBlueprint(
    "models",
    __name__,
    url_prefix="/api/v1/models",
    tag={"name": "Models", "description": "Registered models, their versions and predictions"},
)


@blueprint.post("")
@blueprint.input(schemas.ModelIn)
@blueprint.output(schemas.ModelRegistered, status_code=201)
@blueprint.doc(
    summary="Register a model with its policy",
    description="The policy is fixed for all versions. Task and metric follow from the datasets where left out; a "
    "fifth of the rows is held out unless `holdout` says otherwise. The same again is answered with 200.",
    responses={200: "It was registered already", 409: "The name stands for another policy"},
)
def add(json_data: schemas.ModelIn) -> tuple[ModelAccepted, int]:
    policy = Policy(
        name=json_data.name,
        datasets=tuple(json_data.datasets),
        task=json_data.task,
        metric=json_data.metric,
        minimum_improvement=json_data.minimum_improvement,
        holdout_fraction=json_data.holdout.fraction,
        holdout_dataset=json_data.holdout.dataset,
        openers=tuple(json_data.openers),
        workers=tuple(json_data.workers),
    )
    model, new = register_model(services(), policy)
    return {"name": model.name, "transaction": model.transaction}, 201 if new else 200


@blueprint.get("")
@blueprint.input(schemas.Paging, location="query")
@blueprint.output(schemas.Models)
@blueprint.doc(summary="All registered models")
def every(query_data: schemas.Paging) -> ModelList:
    found = services()
    page = found.node.model_page(query_data.limit, query_data.cursor)
    return {"models": [_document(found, view) for view in page.views], "next": page.next}


@blueprint.get("/<name>")
@blueprint.input(schemas.ModelQuery, location="query")
@blueprint.output(schemas.Model)
@blueprint.doc(summary="One model, its policy and the version in service, now or at a time")
def one(name: str, query_data: schemas.ModelQuery) -> ModelDocument:
    found = services()
    view = _model(found, name)
    if query_data.at is None:
        return _document(found, view)
    version = at_time(
        lambda number: found.node.version_view(name, number), view.value.versions, _milliseconds(query_data.at)
    )
    shown = views.version_document(version, view.value.in_service) if version is not None else None
    return views.model_document(view, shown)


def _milliseconds(text: str) -> int:
    # A "+" of a URL that was not encoded arrives as a space.
    try:
        time = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise bad_field("at", "expected a time as in RFC 3339, like 2026-01-31T12:00:00Z") from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


@blueprint.get("/<name>/versions")
@blueprint.input(schemas.Paging, location="query")
@blueprint.output(schemas.Versions)
@blueprint.doc(summary="A model's versions, oldest first")
def versions(name: str, query_data: schemas.Paging) -> VersionList:
    found = services()
    model = _model(found, name).value
    page = found.node.version_page(name, query_data.limit, query_data.cursor)
    return {"versions": [views.version_document(v, model.in_service) for v in page.views], "next": page.next}


@blueprint.get("/<name>/versions/<int:number>")
@blueprint.output(schemas.Version)
@blueprint.doc(summary="One version, with the votes that adopted it")
def version(name: str, number: int) -> VersionDocument:
    found = services()
    model = _model(found, name).value
    view = found.node.version_view(name, number)
    if view is None:
        raise unknown("version", f"{name}@{number}", f"{name!r} has versions 1 to {model.versions}")
    document = views.version_document(view, model.in_service)
    job = found.node.job(view.value.job)
    if job is not None:
        document["votes"] = list(views.version_votes(job, view.value))
    return document


@blueprint.get("/<name>/versions/<int:number>/certificate")
@blueprint.output(schemas.Certificate)
@blueprint.doc(
    summary="A version's adoption certificate, verifiable offline",
    description="Validators attest a version once its adoption is final; a quorum of one set is a certificate. The "
    "body is canonical JSON (RFC 8785).",
    responses={404: "There is no such version, or no quorum has attested it yet: `detail` says who is missing"},
)
def certificate(name: str, number: int) -> Response:
    found = certificate_for(services().node, name, number)
    return Response(found.to_json(), content_type="application/json")


@blueprint.post("/<name>/predict")
@blueprint.input(schemas.PredictIn)
@blueprint.output(schemas.Prediction)
@blueprint.doc(
    summary="Predict with the version in service",
    description="Each row is an object by feature name or an array in the order of the dataset's columns, without "
    "the target. Only versions whose adoption is final answer.",
    responses={409: "There is no final version yet"},
)
def predict(name: str, json_data: schemas.PredictIn) -> Prediction:
    found = services()
    limit = found.settings.max_rows
    if len(json_data.rows) > limit:
        raise Problem(413, detail=f"{len(json_data.rows)} rows came, at most {limit} are predicted at once")
    return found.predictors.predict(name, json_data.rows)


@blueprint.get("/<name>/evaluation")
@blueprint.output(schemas.Evaluation)
@blueprint.doc(
    summary="The version in service on the holdout", responses={409: "There is no final version yet"}
)
def evaluation(name: str) -> Evaluation:
    return services().predictors.evaluation(name)


def _model(found: Services, name: str) -> View[Model]:
    view = found.node.model_view(name)
    if view is None:
        raise unknown("model", name, "GET /api/v1/models lists them")
    return view


def _document(found: Services, view: View[Model]) -> ModelDocument:
    model = view.value
    current: View[Version] | None = None
    if model.in_service:
        current = found.node.version_view(model.name, model.in_service)
    shown = views.version_document(current, model.in_service) if current is not None else None
    return views.model_document(view, shown)
