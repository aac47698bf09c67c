"""The Flask application: blueprints, strict JSON, OpenAPI 3.1, problem documents."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from flask import Flask

from coordinator import guard, metrics, problems, schemas
from coordinator.context import Services, attach
from coordinator.routes import chain, datasets, jobs, models, service
from coordinator.strict_json import StrictJSON, StrictRequest
from runtime import problems as runtime_problems

TITLE = "Assay"
VERSION = "1"
DESCRIPTION = (
    "Train machine-learning models together with people you do not have to trust. JSON in and out; errors are problem "
    "documents (RFC 9457); unknown fields are errors; lists take limit and cursor; long operations answer 202 with "
    "Location; streams are Server-Sent Events that Last-Event-ID resumes."
)


def create_app(found: Services) -> Flask:
    """An application over `found`. Nothing is loaded, asked or started here."""
    app = APIFlask(
        __name__,
        title=TITLE,
        version=VERSION,
        spec_path="/openapi.json",
        docs_path=None,
        json_errors=False,
        template_folder="templates",
    )
    app.json = StrictJSON(app)
    app.request_class = StrictRequest
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        AUTO_OPERATION_ID=True,
        DESCRIPTION=DESCRIPTION,
        VALIDATION_ERROR_STATUS_CODE=400,
        VALIDATION_ERROR_DESCRIPTION="A field is wrong; the answer names it",
        # Stand-ins: every error's form is put in by _finish_spec.
        VALIDATION_ERROR_SCHEMA={},
        HTTP_ERROR_SCHEMA={},
        MAX_CONTENT_LENGTH=found.settings.max_body,
    )
    attach(app.extensions, found)
    metrics.install(app)
    guard.install(app)
    runtime_problems.install(app)
    problems.install(app)
    # Not error_processor(), which would take over werkzeug's errors as well.
    app.error_callback = problems.from_validation
    app.spec_processor(_finish_spec)
    for group in (datasets, models, jobs, chain, service):
        app.register_blueprint(group.blueprint)
    return app


#: What may be said instead of an answer, and when.
_REFUSALS = {
    "400": "Something of the request is wrong; the answer names it",
    "403": "The sender may not do that, or cannot pay for it",
    "404": "There is no such thing",
    "409": "It contradicts what there is",
    "413": "It is larger than what is read here",
    "422": "Content that was found cannot be used",
    "502": "The store gave something else than was asked for",
    "503": "The node, the broker or the store does not answer, or is busy; try again",
    "504": "The transaction is not in a block yet; ask again",
}


def _refusals(path: str, operation: dict[str, Any]) -> tuple[str, ...]:
    """The statuses of refusals that an operation may answer with."""
    if not path.startswith("/api/"):
        return ()
    return tuple(_REFUSALS) if "{" in path or "requestBody" in operation else ("400", "503")


def _finish_spec(spec: Any) -> Any:
    """What APIFlask cannot say: bodies of more than one kind, and the media type of problems."""
    components = spec["components"]["schemas"]
    for stand_in in ("HTTPError", "ValidationError"):
        components.pop(stand_in, None)
    upload = schemas.DatasetFields.model_json_schema()
    upload["properties"]["file"] = {"type": "string", "format": "binary", "description": "CSV"}
    upload["required"] = [*upload["required"], "file"]
    components["DatasetUpload"] = upload
    components["DatasetIn"] = schemas.DatasetIn.model_json_schema()
    spec["paths"]["/api/v1/datasets"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/DatasetIn"}},
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/DatasetUpload"}},
        },
    }
    spec["paths"]["/api/v1/chain/transactions"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            chain.CBOR: {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "object", "description": "DAG-JSON"}},
        },
    }
    components["Problem"] = schemas.Problem.model_json_schema()
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            for status in _refusals(path, operation):
                answers.setdefault(status, {"description": _REFUSALS[status]})
            for status, answer in answers.items():
                if status[0] in "45":
                    answer["content"] = answers["200"]["content"] if path == "/readyz" else problem
                elif status == "200" and "201" in answers:
                    answer["content"] = answers["201"]["content"]
    return spec
