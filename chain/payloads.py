"""What a transaction can say: one frozen dataclass for each kind, with the rules that need no state.

Types and bounds in the annotations hold for every decoded or signed payload (chain/schema.py); `check` holds
rules between fields and those that depend on the network's Params. What depends on the state is in
chain/state/.

Scores are integer millionths of the metric as scikit-learn reports it, rounded half to even; times and
durations are milliseconds of block time; indices count from 0.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import rfc8785

from chain.encoding import encode, guard_json_depth
from chain.errors import InvalidEncoding, InvalidField
from chain.params import Params
from chain.schema import Address, Cid, Hash, Items, Range, Text

MILLION = 1_000_000
MAX_PARTITIONS = 256
MAX_ROUNDS = 100
MAX_ATTEMPTS = 8


def is_canonical_json(text: str) -> bool:
    """Whether `text` is the RFC 8785 form of some JSON object."""
    try:
        guard_json_depth(text)
        value = json.loads(text)
        return isinstance(value, dict) and rfc8785.dumps(value) == text.encode()
    except (InvalidEncoding, ValueError, RecursionError, rfc8785.CanonicalizationError):
        return False


Name = Annotated[str, Text(1, 64, r"[a-z0-9][a-z0-9._-]*", "a name: a-z, 0-9, then also . _ -")]
Word = Annotated[str, Text(1, 64, r"[a-z0-9][a-z0-9_]*", "a word of a-z, 0-9 and _")]
Spec = Annotated[str, Text(2, 16_384, expected="a JSON object in canonical form (RFC 8785)", check=is_canonical_json)]
#: What a terminal would obey instead of showing: controls (C0, DEL, C1), separators of lines, marks that turn the
#: direction of writing. Spelled out, since what Python calls printable differs between its versions.
_SHOWN = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*"
_IN_WORDS = "one line of text without control characters"
Reason = Annotated[str, Text(0, 1000, _SHOWN, _IN_WORDS)]
Asked = Annotated[str, Text(0, 200, _SHOWN, _IN_WORDS)]
SignatureText = Annotated[str, Text(130, 130, r"[0-9a-f]{130}", "a signature: 130 lowercase hexadecimal digits")]
Task = Literal["classification", "regression"]
Amount = Annotated[int, Range(1)]
Count = Annotated[int, Range(0)]
#: The rows of all partitions together stay below 2^63.
Rows = Annotated[int, Range(1, 2**48)]
Attempt = Annotated[int, Range(0, MAX_ATTEMPTS)]
Round = Annotated[int, Range(0, MAX_ROUNDS - 1)]
Partition = Annotated[int, Range(0, MAX_PARTITIONS - 1)]
Members = Annotated[tuple[Address, ...], Items(0, 256, unique=True)]
Salt = Annotated[str, Text(32, 32, r"[0-9a-f]{32}", "a salt: 32 lowercase hexadecimal digits")]
MAX_VALIDATORS = 21
ADMISSION_TAG = "assay admit_validator"
Named = Annotated[tuple[Cid, ...], Items(0, MAX_PARTITIONS * MAX_ROUNDS + MAX_ROUNDS, unique=True)]


@dataclass(frozen=True)
class Payload:
    """A transaction's content. `kind` is its name in the envelope."""

    kind: ClassVar[str] = ""

    def check(self, params: Params) -> None:
        """Rules between fields. Raises InvalidField."""


@dataclass(frozen=True)
class Transfer(Payload):
    """Move an amount from the sender to the recipient."""

    kind: ClassVar[str] = "transfer"

    recipient: Address
    amount: Amount


@dataclass(frozen=True)
class RegisterDataset(Payload):
    """Name a dataset: its file and its manifest on IPFS, and what is to be learned from it."""

    kind: ClassVar[str] = "register_dataset"

    name: Name
    data: Cid
    manifest: Cid
    rows: Rows
    target: Annotated[str, Text(1, 200, _SHOWN, _IN_WORDS)]
    """The column to predict."""
    task: Task


@dataclass(frozen=True)
class RegisterModel(Payload):
    """Name a model and fix the rules for all its versions; its jobs cannot change them."""

    kind: ClassVar[str] = "register_model"

    name: Name
    datasets: Annotated[tuple[Name, ...], Items(1, 64, unique=True)]
    """Registered datasets that its jobs may train on."""
    task: Task
    metric: Word
    direction: Literal[1, -1]
    """1: a higher score is better."""
    minimum_improvement: int
    """Millionths by which a candidate must beat the version in service; may be negative."""
    audit_fraction: Annotated[int, Range(1, MILLION)]
    """Millionths of the updates that validators must replay."""
    holdout_fraction: Annotated[int, Range(1, MILLION - 1)] | None
    """Millionths of the rows that nobody trains on. Exactly one of this and holdout_dataset is set."""
    holdout_dataset: Name | None
    """A registered dataset that serves as holdout."""
    statistics: Cid
    """Statistics of the training rows, which make preprocessing equal for everybody."""
    environments: Annotated[tuple[Hash, ...], Items(1, 16, unique=True)]
    """The software environments in which validators judge."""
    openers: Members
    """Who may open jobs; empty: anyone."""
    workers: Members
    """Who may claim partitions; empty: anyone."""

    def check(self, params: Params) -> None:
        if (self.holdout_fraction is None) == (self.holdout_dataset is None):
            raise InvalidField(
                "exactly one of holdout_fraction and holdout_dataset",
                "neither" if self.holdout_fraction is None else "both",
                "holdout_fraction",
            )
        if self.holdout_dataset in self.datasets:
            raise InvalidField(
                "a holdout dataset that is not trained on", self.holdout_dataset or "", "holdout_dataset"
            )
        if self.audit_fraction != MILLION:
            raise InvalidField(f"{MILLION}: every update is replayed", str(self.audit_fraction), "audit_fraction")


@dataclass(frozen=True)
class OpenJob(Payload):
    """Start training a new version of a model. The transaction's id is the job's id."""

    kind: ClassVar[str] = "open_job"

    model: Name
    dataset: Name
    estimator: Spec
    partitions: Annotated[int, Range(1, MAX_PARTITIONS)]
    rounds: Annotated[int, Range(1, MAX_ROUNDS)]
    partitioning: Spec
    aggregation: Literal["average", "merge", "ensemble"]
    minimum_updates: Annotated[int, Range(1, MAX_PARTITIONS)]
    """Updates with which a round closes at its deadline."""
    attempts: Annotated[int, Range(1, MAX_ATTEMPTS)]
    round_ms: Amount
    vote_ms: Amount
    reward: Count = 0
    """Taken from the opener now; paid to workers and validators at adoption, given back at any other end."""

    def check(self, params: Params) -> None:
        if self.minimum_updates > self.partitions:
            raise InvalidField(
                f"at most as many as partitions ({self.partitions})",
                str(self.minimum_updates),
                "minimum_updates",
            )
        for name, value in (("round_ms", self.round_ms), ("vote_ms", self.vote_ms)):
            if not params.min_round_ms <= value <= params.max_round_ms:
                raise InvalidField(f"{params.min_round_ms} to {params.max_round_ms} ms", str(value), name)


@dataclass(frozen=True)
class CancelJob(Payload):
    """End a job that has not been put to the vote."""

    kind: ClassVar[str] = "cancel_job"

    job: Cid


@dataclass(frozen=True)
class ClaimPartition(Payload):
    """Take (or renew) the lease on a partition of a job's open round."""

    kind: ClassVar[str] = "claim_partition"

    job: Cid
    attempt: Attempt
    round: Round
    partition: Partition


@dataclass(frozen=True)
class ReportFailure(Payload):
    """Say why a leased partition, or an aggregation, could not be done. Code "unavailable" is retryable."""

    kind: ClassVar[str] = "report_failure"

    job: Cid
    attempt: Attempt
    round: Round
    partition: Partition | None
    """None: the aggregation of the round."""
    code: Word
    message: Reason
    cids: Annotated[tuple[Cid, ...], Items(0, 16, unique=True)]
    """Content that it is about."""
    asked: Asked
    """Who was asked for it."""


@dataclass(frozen=True)
class SubmitUpdate(Payload):
    """One worker's model for one partition and round. The transaction's id is the update's id."""

    kind: ClassVar[str] = "submit_update"

    job: Cid
    attempt: Attempt
    round: Round
    partition: Partition
    seed: Hash
    """The job's seed, as the chain drew it."""
    base: Cid | None
    """The artifact that training began from: None in round 0, else an aggregate of the round before."""
    artifact: Cid
    rows: Rows
    score: int
    milliseconds: Count
    environment: Hash

    def check(self, params: Params) -> None:
        if (self.base is None) != (self.round == 0):
            raise InvalidField(
                "no base in round 0 and one in every later round",
                f"{'none' if self.base is None else self.base} in round {self.round}",
                "base",
            )


@dataclass(frozen=True)
class SubmitAggregate(Payload):
    """A closed round's combined model. The transaction's id is the aggregate's id."""

    kind: ClassVar[str] = "submit_aggregate"

    job: Cid
    attempt: Attempt
    round: Round
    updates: Annotated[tuple[Cid, ...], Items(1, MAX_PARTITIONS, unique=True)]
    """Ids of the round's updates in partition order."""
    artifact: Cid
    score: int
    environment: Hash


@dataclass(frozen=True)
class VoteModel(Payload):
    """A validator's verdict on a candidate, bound to everything it judged but to no block."""

    kind: ClassVar[str] = "vote_model"

    job: Cid
    attempt: Attempt
    candidate: Cid
    compared: Count
    """Number of the version in service it was compared with; 0: there was none."""
    record: Hash
    """Digest of the attempt's record: seed, ids of all updates and aggregates, bases."""
    decision: Literal["approve", "reject", "unavailable"]
    score: int | None
    baseline: int | None
    """Score of the version compared with, on the same holdout."""
    replayed: Named
    """Ids of the updates whose replay gave the same bytes."""
    disproved: Named
    """Ids of updates and aggregates that did not hold."""
    missing: Named
    """Content that could not be had."""
    asked: Asked
    mode: Literal["bytes", "none"]
    """How replays were compared: byte for byte, or not at all."""
    environment: Hash
    reason: Reason

    def check(self, params: Params) -> None:
        if self.decision == "approve":
            self._check_approval()
        elif self.decision == "unavailable" and not self.missing:
            raise InvalidField("the CIDs that were unavailable", "none", "missing")

    def _check_approval(self) -> None:
        if self.mode != "bytes" or not self.replayed:
            raise InvalidField("an approval after replaying every update", f"mode {self.mode}", "mode")
        if self.disproved or self.missing:
            where = "disproved" if self.disproved else "missing"
            raise InvalidField(
                "nothing disproved or missing in an approval", f"{len(self.disproved or self.missing)}", where
            )
        if self.score is None:
            raise InvalidField("the candidate's score in an approval", "none", "score")
        if (self.baseline is None) != (self.compared == 0):
            raise InvalidField(
                "a baseline exactly where a version was compared with",
                f"baseline {self.baseline} for version {self.compared}",
                "baseline",
            )


@dataclass(frozen=True)
class VoteCheckpoint(Payload):
    """A validator's vote that `target` follows from the justified `source` (Casper FFG). Never expires."""

    kind: ClassVar[str] = "vote_checkpoint"

    source: Hash
    source_height: Count
    target: Hash
    target_height: Count

    def check(self, params: Params) -> None:
        if self.source_height >= self.target_height:
            raise InvalidField(
                f"a target above its source at height {self.source_height}",
                str(self.target_height),
                "target_height",
            )


@dataclass(frozen=True)
class Attest(Payload):
    """A validator's portable signature (EIP-712) under a version whose adoption is final; see chain/attestations.py."""

    kind: ClassVar[str] = "attest"

    model: Name
    version: Annotated[int, Range(1, 2**53 - 1)]
    set: Annotated[int, Range(0, 2**53 - 1)]
    """Serial number of the validator set in force, which the signature binds."""
    signature: SignatureText


@dataclass(frozen=True)
class Stake(Payload):
    """Lock an amount of the sender's balance; a validator's vote may weigh by it (Params.power)."""

    kind: ClassVar[str] = "stake"

    amount: Amount


@dataclass(frozen=True)
class Unstake(Payload):
    """Give up stake; it stays locked and slashable until no job and no evidence can need it (Params.unbonding_ms)."""

    kind: ClassVar[str] = "unstake"

    amount: Amount


@dataclass(frozen=True)
class AdmitValidator(Payload):
    """Change who votes, by the signatures of a quorum of those who do. Anybody may send it.

    The signatures are over :meth:`digest`: EIP-191 like a transaction's own (chain/keys.py).
    """

    kind: ClassVar[str] = "admit_validator"

    serial: Count
    """Number of the set in force that the signers saw; no admission may have come since."""
    add: Address | None
    """Who enters, or whose cap changes."""
    remove: Address | None
    """Who leaves."""
    power: Count
    """Of `add`: its weight 1 where members vote, the cap of its weight where stake does; 0 without `add`."""
    signatures: Annotated[tuple[tuple[Address, SignatureText], ...], Items(1, MAX_VALIDATORS)]
    """Sorted by address, none twice."""

    def check(self, params: Params) -> None:
        if self.add == self.remove:
            raise InvalidField("somebody to add, somebody else to remove, or both", str(self.add), "add")
        if (self.add is None) != (self.power == 0):
            raise InvalidField("a power of at least 1 for who is added, 0 without", str(self.power), "power")
        if params.power == "member" and self.power > 1:
            raise InvalidField("power 1, since each member has one vote", str(self.power), "power")
        signers = [signer for signer, _ in self.signatures]
        if signers != sorted(set(signers)):
            raise InvalidField("signatures sorted by address, none twice", "another order", "signatures")

    def digest(self, genesis: Hash) -> bytes:
        """What the set's members sign: SHA-256 of the DAG-CBOR of [tag, genesis, serial, add, remove, power]."""
        change = [ADMISSION_TAG, str(genesis), self.serial, self.add, self.remove, self.power]
        return hashlib.sha256(encode(change)).digest()


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint vote as it was signed, without what a report says once for both."""

    salt: Salt
    expires: Count
    vote: VoteCheckpoint
    signature: SignatureText


@dataclass(frozen=True)
class SignedVote:
    """A vote on a candidate as it was signed, without what a report says once for both."""

    salt: Salt
    expires: Count
    vote: VoteModel
    signature: SignatureText


@dataclass(frozen=True)
class ReportMisconduct(Payload):
    """Two votes that its signer may not both have cast: two of one kind, none of the other.

    chain/misconduct.py makes one of two signed transactions, and says whether it proves anything.
    """

    kind: ClassVar[str] = "report_misconduct"

    validator: Address
    """Who signed both."""
    checkpoints: Annotated[tuple[SignedCheckpoint, ...], Items(0, 2)]
    votes: Annotated[tuple[SignedVote, ...], Items(0, 2)]

    def check(self, params: Params) -> None:
        if sorted((len(self.checkpoints), len(self.votes))) != [0, 2]:
            found = f"{len(self.checkpoints)} and {len(self.votes)}"
            raise InvalidField("two checkpoint votes or two votes on a candidate", found, "checkpoints")


PAYLOADS: dict[str, type[Payload]] = {
    payload.kind: payload
    for payload in (
        Transfer, RegisterDataset, RegisterModel, OpenJob, CancelJob, ClaimPartition, ReportFailure,
        SubmitUpdate, SubmitAggregate, VoteModel, VoteCheckpoint, Attest, Stake, Unstake, AdmitValidator,
        ReportMisconduct,
    )
}  # fmt: skip
"""Every kind's class by its name."""
