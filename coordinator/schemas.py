"""What requests may hold: strict pydantic models that forbid what they do not know; and, for OpenAPI, models
of the documents that answers are. Bounds repeat the chain's, so that a mistake is answered with the field's name."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from coordinator import documents


def _like(pattern: str, expected: str, advice: str) -> tuple[AfterValidator, Any]:
    """A text's form as a check that says what was expected, what came and what to do, and for OpenAPI."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"expected {expected}, came {text[:80]!r}; {advice}")
        return text

    return AfterValidator(check), Field(description=expected, json_schema_extra={"pattern": f"^{pattern}$"})


_NAME = _like("[a-z0-9][a-z0-9._-]{0,63}", "1 to 64 of a-z 0-9 . _ -, a letter or digit first", "choose such a name")
_CID = _like("[A-Za-z0-9]{40,128}", "a CID (version 1 in base32, or Qm...)", "`assay dataset add FILE` prints a file's")
_ADDRESS = _like("0x[0-9a-f]{40}", "an address (0x and 40 lowercase hex digits)", "`assay wallet list` has yours")
Name = Annotated[str, _NAME[0], _NAME[1]]
CidText = Annotated[str, _CID[0], _CID[1]]
Address = Annotated[str, _ADDRESS[0], _ADDRESS[1]]
Task = Literal["classification", "regression"]
Seconds = Annotated[float, Field(ge=1, le=7 * 24 * 3600)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None


class Body(BaseModel):
    """A JSON body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """Parameters of a URL, which are all text: numbers are read from it."""

    model_config = ConfigDict(extra="forbid")


class Paging(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class BlockPaging(Query):
    """`cursor` is the height to begin with, downwards."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[int, Field(ge=0)] | None = None


class JobQuery(Paging):
    state: (
        Literal["open", "all", "training", "voting", "adopted", "rejected", "expired", "failed", "cancelled"]
        | None
    ) = None


class ModelQuery(Query):
    """`at`: the version that was in service then (RFC 3339)."""

    at: Annotated[str, Field(max_length=40)] | None = None


class LogQuery(Query):
    tail: Annotated[int, Field(ge=0, le=1000)] = 10


class DatasetFields(Body):
    """The fields beside an uploaded file."""

    name: Name
    target: Annotated[str, Field(min_length=1, max_length=200)]
    task: Task | None = None


class DatasetIn(DatasetFields):
    """A dataset that a store has already."""

    cid: CidText


class Holdout(Body):
    """Exactly one: the fraction of the rows that nobody trains on, or a dataset of its own."""

    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    dataset: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Holdout:
        if (self.fraction is None) == (self.dataset is None):
            raise ValueError("give exactly one of fraction and dataset")
        return self


class ModelIn(Body):
    name: Name
    datasets: Annotated[list[Name], Field(min_length=1, max_length=64)]
    task: Task | None = None
    metric: Annotated[str, Field(max_length=64)] | None = None
    minimum_improvement: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    holdout: Holdout = Field(default_factory=lambda: Holdout(fraction=0.2))
    audit_fraction: Literal[1] | Annotated[float, Field(ge=1, le=1)] = Field(
        default=1, description="the part of the updates that validators must replay; all of them"
    )
    openers: Annotated[list[Address], Field(max_length=256)] = Field(default_factory=list)
    workers: Annotated[list[Address], Field(max_length=256)] = Field(default_factory=list)


class JobIn(Body):
    """`deadline` and `vote_deadline` in seconds, for each round and for the vote."""

    model: Name
    dataset: Name
    estimator: dict[str, Any] = Field(description='{"class": ..., "params": {...}} or {"pipeline": [...]}')
    partitions: Annotated[int, Field(ge=1, le=256)] = 4
    rounds: Annotated[int, Field(ge=1, le=100)] = 1
    partitioning: dict[str, Any] = Field(default_factory=lambda: {"scheme": "disjoint"})
    aggregation: Literal["auto", "average", "merge", "ensemble"] = "auto"
    reward: Annotated[
        int, Field(ge=0, lt=2**63, description="from the coordinator's wallet; paid at adoption, else returned")
    ] = 0
    deadline: Seconds = 300
    vote_deadline: Seconds = 300
    attempts: Annotated[int, Field(ge=1, le=8)] = 2
    minimum_updates: Annotated[int, Field(ge=1, le=256)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> JobIn:
        if self.minimum_updates is not None and self.minimum_updates > self.partitions:
            raise ValueError(
                f"minimum_updates: expected at most the {self.partitions} partitions, came {self.minimum_updates}"
            )
        return self


class PredictIn(Body):
    rows: Annotated[list[dict[str, Scalar] | list[Scalar]], Field(min_length=1)]


class Problem(BaseModel):
    """RFC 9457, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[dict[str, str]] | None = None


# The answers' forms are the documents themselves; these give them to OpenAPI.


class Dataset(RootModel[documents.DatasetDocument]):
    pass


class Datasets(RootModel[documents.DatasetList]):
    pass


class Model(RootModel[documents.ModelDocument]):
    pass


class Models(RootModel[documents.ModelList]):
    pass


class ModelRegistered(RootModel[documents.ModelAccepted]):
    pass


class Version(RootModel[documents.VersionDocument]):
    pass


class Versions(RootModel[documents.VersionList]):
    pass


class Certificate(RootModel[documents.CertificateDocument]):
    pass


class Prediction(RootModel[documents.Prediction]):
    pass


class Evaluation(RootModel[documents.Evaluation]):
    pass


class Job(RootModel[documents.JobDocument]):
    pass


class Jobs(RootModel[documents.JobList]):
    pass


class JobOpened(RootModel[documents.JobAccepted]):
    pass


class TransactionTaken(RootModel[documents.TransactionAccepted]):
    pass


class Chain(RootModel[documents.ChainDocument]):
    pass


class Account(RootModel[documents.AccountDocument]):
    pass


class Validators(RootModel[documents.ValidatorsDocument]):
    pass


class Ready(RootModel[documents.Readiness]):
    pass


class Blocks(RootModel[documents.BlockList]):
    pass


class AnyObject(RootModel[dict[str, Any]]):
    """A block or a transaction, as the node shows it."""
