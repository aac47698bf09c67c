"""Datasets: registering what a store has, uploading, looking."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from apiflask import APIBlueprint
from flask import request
from pydantic import ValidationError

from chain.state.objects import Dataset
from coordinator import schemas, views
from coordinator.context import Services, services
from coordinator.documents import ColumnDocument, DatasetDocument, DatasetList
from coordinator.problems import bad_field, from_pydantic, unknown
from coordinator.registering import as_v1, register_dataset
from coordinator.settings import FORM_BYTES
from ipfs.errors import ContentError
from runtime.problems import Problem

blueprint = APIBlueprint(
    "datasets",
    __name__,
    url_prefix="/api/v1/datasets",
    tag={"name": "Datasets", "description": "What is learned from"},
)


@blueprint.post("")
@blueprint.output(schemas.Dataset, status_code=201)
@blueprint.doc(
    summary="Register a dataset: a CID that a store has, or an upload (CSV)",
    description="As JSON with the CID, or as multipart/form-data with the fields and the part `file`. The task is "
    "guessed from the target where it is left out. The same again is answered with 200.",
    responses={200: "It was registered already", 409: "The name stands for something else"},
)
def add() -> Any:
    if request.mimetype == "multipart/form-data":
        return _upload(services())
    return _by_cid()  # type: ignore[call-arg]  # the decorator brings it


@blueprint.input(schemas.DatasetIn)
def _by_cid(json_data: schemas.DatasetIn) -> tuple[DatasetDocument, int]:
    found = services()
    return _register(found, json_data, json_data.cid, "cid")


def _upload(found: Services) -> tuple[DatasetDocument, int]:
    limit = found.settings.max_upload
    request.max_content_length = limit + FORM_BYTES
    try:
        fields = schemas.DatasetFields.model_validate(request.form.to_dict())
    except ValidationError as error:
        raise from_pydantic(error) from None
    if set(request.files) != {"file"}:
        raise bad_field(
            "file", f"expected one uploaded file in the part 'file', came parts {sorted(request.files)}"
        )
    stream = request.files["file"].stream
    size = stream.seek(0, 2)
    stream.seek(0)
    if size > limit:
        raise Problem(413, detail=f"the file has {size} bytes, at most {limit} can be uploaded; use `ipfs add`")
    cid = as_v1(found.store.add(cast(BinaryIO, stream)))
    return _register(found, fields, cid, "file")


def _register(
    found: Services, fields: schemas.DatasetFields, cid: str, source: str
) -> tuple[DatasetDocument, int]:
    _, new = register_dataset(found, fields.name, cid, fields.target, fields.task, source)
    view = found.node.dataset_view(fields.name)
    if view is None:
        raise unknown("dataset", fields.name, "a reorganisation took it away; it is being sent again")
    return views.dataset_document(view, _columns(found, view.value)[0]), 201 if new else 200


@blueprint.get("")
@blueprint.input(schemas.Paging, location="query")
@blueprint.output(schemas.Datasets)
@blueprint.doc(summary="All datasets")
def every(query_data: schemas.Paging) -> DatasetList:
    found = services()
    page = found.node.dataset_page(query_data.limit, query_data.cursor)
    documents = [views.dataset_document(view, _columns(found, view.value)[0]) for view in page.views]
    return {"datasets": documents, "next": page.next}


@blueprint.get("/<name>")
@blueprint.output(schemas.Dataset)
@blueprint.doc(summary="One dataset, with the statistics of its rows")
def one(name: str) -> DatasetDocument:
    found = services()
    view = found.node.dataset_view(name)
    if view is None:
        raise unknown("dataset", name, "GET /api/v1/datasets lists them")
    columns, unreadable = _columns(found, view.value)
    document = views.dataset_document(view, columns)
    try:
        document["statistics"] = found.predictors.statistics(view.value)
    except ContentError as error:
        document["statistics"], unreadable = None, str(error)
    if unreadable:
        document["unreadable"] = unreadable
    return document


def _columns(found: Services, dataset: Dataset) -> tuple[list[ColumnDocument], str]:
    """The columns, and why they cannot be read: a registered dataset is shown also when its content is gone."""
    try:
        return found.predictors.columns(dataset), ""
    except ContentError as error:
        return [], str(error)
