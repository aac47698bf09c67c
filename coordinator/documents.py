"""The JSON documents of the API, as the views write them, OpenAPI shows them and the client returns them.

CIDs are CIDv1 base32 text, addresses `0x` and 40 hex digits, times RFC 3339 UTC with milliseconds, scores
plain numbers (the chain's millionths divided by 1e6). The form of a job is fixed by the API: fields may be
added to it, none renamed.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

# pydantic needs this one, not typing's, below Python 3.12.
from typing_extensions import TypedDict

JobState = Literal["training", "voting", "adopted", "rejected", "expired", "failed", "cancelled"]

#: The states in which nothing more happens to a job.
CLOSED: frozenset[str] = frozenset({"adopted", "rejected", "expired", "failed", "cancelled"})


class ColumnDocument(TypedDict):
    """`type`: "integer", "number", "text" or "boolean"; `categories`: how many, null where the column has
    none."""

    name: str
    type: str
    missing: int
    categories: int | None


class DatasetDocument(TypedDict):
    """A registered dataset. `columns` is empty where its manifest cannot be read. `statistics` comes with
    one dataset alone, null where the content cannot be read; `unreadable` says why then."""

    name: str
    owner: str
    cid: str
    manifest_cid: str
    rows: int
    columns: list[ColumnDocument]
    target: str
    task: str
    transaction: str
    height: int
    final: bool
    statistics: NotRequired[dict[str, Any] | None]
    unreadable: NotRequired[str]


class DatasetList(TypedDict):
    datasets: list[DatasetDocument]
    next: str | None


class HoldoutDocument(TypedDict):
    """Exactly one of both is set: a fraction of the rows, or the name of a dataset."""

    fraction: float | None
    dataset: str | None


class VersionVote(TypedDict):
    validator: str
    decision: str
    score: float | None
    reason: str
    replayed: list[str]
    mode: str


class VersionDocument(TypedDict):
    """`adopted` is true for every version; `final` when the block that adopted it is. `votes` comes with one
    version alone. `replaces` is the number of the version that was in service before, null for the first."""

    model: str
    version: int
    cid: str
    job: str
    attempt: int
    dataset: str
    dataset_cid: str
    score: float
    baseline: float | None
    replaces: int | None
    rows: int
    verified_by: str
    approvals: list[str]
    adopted: bool
    adopted_at: str
    height: int
    final: bool
    in_service: bool
    votes: NotRequired[list[VersionVote]]


class VersionList(TypedDict):
    versions: list[VersionDocument]
    next: str | None


class StatementDocument(TypedDict):
    """What each attestation signs (EIP-712; the genesis hash is the domain's salt). `score`: millionths, as decimal
    text; `set`: the number of the validator set."""

    genesis: str
    set: int
    model: str
    version: int
    candidate: str
    dataset: str
    metric: str
    score: str


class MemberDocument(TypedDict):
    """`weight` as decimal text."""

    address: str
    weight: str


class SignatureDocument(TypedDict):
    """r, s and v as 130 hex digits."""

    validator: str
    signature: str


class CertificateDocument(TypedDict):
    """An adoption certificate, as `assay certificate verify` reads it."""

    format: str
    statement: StatementDocument
    members: list[MemberDocument]
    attestations: list[SignatureDocument]


class ModelDocument(TypedDict):
    """A registered model: its policy and the version in service (null before the first)."""

    name: str
    owner: str
    datasets: list[str]
    task: str
    metric: str
    direction: int
    minimum_improvement: float
    audit_fraction: float
    holdout: HoldoutDocument
    statistics_cid: str
    environments: list[str]
    openers: list[str]
    workers: list[str]
    versions: int
    version: VersionDocument | None
    transaction: str
    height: int
    final: bool


class ModelList(TypedDict):
    models: list[ModelDocument]
    next: str | None


class SeedDocument(TypedDict):
    """The seed and the block whose hash it was made with."""

    value: str
    block: str
    height: int


#: How `WaitingDocument.what` begins where a job's block is not final yet, and where that takes long.
FINALITY, LATE_FINALITY = "finality", "finality, which is late"


class WaitingDocument(TypedDict):
    what: str
    who: str | None
    since: str | None
    until: str | None


class RoundsDocument(TypedDict):
    done: int
    of: int


class PartitionDocument(TypedDict):
    """One partition in one round. `update` is the CID of the worker's model, `transaction` the update's own
    id on the chain, `seconds` the training time as the worker measured it."""

    index: int
    round: int
    state: Literal["waiting", "claimed", "done", "failed", "removed"]
    worker: str | None
    rows: int | None
    update: str | None
    transaction: str | None
    seconds: float | None
    score: float | None
    error: str | None


class CandidateDocument(TypedDict):
    cid: str
    score: float
    baseline: float | None


class VoteDocument(VersionVote):
    """`compared`: the number of the version the candidate was compared with, null for none; `disproved` and
    `missing`: the ids and CIDs that a rejection or an "unavailable" names."""

    attempt: int
    candidate: str
    compared: int | None
    disproved: list[str]
    missing: list[str]
    asked: str
    at: str


class QuorumDocument(TypedDict):
    """`weight` approvals are needed `of` the set's weight."""

    weight: int
    of: int


class PayoutDocument(TypedDict):
    """What an account got of a job's reward; at an end without adoption all of it goes back to the opener."""

    account: str
    amount: int


class JobDocument(TypedDict):
    """`reward` is held by the job while it is open; `payouts` say where it went, empty until then."""

    job: str
    model: str
    dataset: str
    opener: str
    estimator: dict[str, Any]
    partitioning: dict[str, Any]
    aggregation: str
    state: JobState
    seed: SeedDocument | None
    waiting_for: WaitingDocument | None
    rounds: RoundsDocument
    attempt: int
    attempts: int
    partitions: list[PartitionDocument]
    candidate: CandidateDocument | None
    votes: list[VoteDocument]
    quorum: QuorumDocument
    reward: int
    payouts: list[PayoutDocument]
    version: int | None
    adopted: bool
    final: bool
    reason: str | None
    opened: str | None
    closed: str | None
    height: int


class JobList(TypedDict):
    jobs: list[JobDocument]
    next: str | None


class JobAccepted(TypedDict):
    job: str


class TransactionAccepted(TypedDict):
    transaction: str
    status: str


class ModelAccepted(TypedDict):
    name: str
    transaction: str


class Prediction(TypedDict):
    """`predictions` one per row, in order; `probabilities` one list per row in the order of `classes`, null
    for regression and for classifiers without; `version` and `cid` of the model that answered."""

    predictions: list[Any]
    probabilities: list[list[float]] | None
    classes: list[Any] | None
    version: int
    cid: str


class Evaluation(TypedDict):
    """`metrics`: on the holdout, what the task has (per class and a confusion matrix, or r2 and errors)."""

    model: str
    version: int
    cid: str
    metrics: dict[str, Any]


class CheckpointDocument(TypedDict):
    height: int
    hash: str


class ChainDocument(TypedDict):
    network: str
    genesis: str
    height: int
    head: str
    justified: CheckpointDocument
    finalised_height: int
    final: CheckpointDocument
    time: str
    difficulty: float
    peers: int
    pending: int


class BlockList(TypedDict):
    """Newest first, as the node shows them; `next` is the height to go on with."""

    blocks: list[dict[str, Any]]
    next: int | None


class UnbondingDocument(TypedDict):
    """An amount given up with `unstake`, free at `release` at the earliest."""

    amount: int
    release: str


class AccountDocument(TypedDict):
    """`balance` can be spent; `stake` and `unbonding` are locked; `escrowed` is held by open jobs as their rewards."""

    address: str
    balance: int
    stake: int
    unbonding: list[UnbondingDocument]
    escrowed: int


class ValidatorDocument(TypedDict):
    address: str
    weight: int


class PendingSetDocument(TypedDict):
    """A set to come. `phase` "waiting": the old one decides until block `height` is final; "joint": both do, until
    block `height` is."""

    serial: int
    phase: Literal["waiting", "joint"]
    height: int
    validators: list[ValidatorDocument]
    quorum: QuorumDocument


class AdmittedDocument(TypedDict):
    """`power`: 1 or, where stake votes, the cap of the weight. `since`: height of its admission, 0 for the genesis."""

    address: str
    power: int
    stake: int
    since: int


class ValidatorsDocument(TypedDict):
    """The set in force, the one to come, and who is admitted. `power`: what a vote weighs, "member" (1) or "stake"."""

    serial: int
    validators: list[ValidatorDocument]
    quorum: QuorumDocument
    power: Literal["member", "stake"]
    pending: PendingSetDocument | None
    admitted: list[AdmittedDocument]
    signed_from: int


class PartReadiness(TypedDict):
    """One part; `reason` says what is missing and what to do, null when it is ready."""

    ready: bool
    reason: str | None


class Readiness(TypedDict):
    """`parts`: chain, ipfs, broker, workers, validators, predictor, wallet."""

    ready: bool
    parts: dict[str, PartReadiness]
