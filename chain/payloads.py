"""What a transaction can say: one frozen dataclass for each kind, with the rules that need no state.

Types and bounds in the annotations hold for every decoded or signed payload (chain/schema.py); `check` holds
rules between fields and those that depend on the network's Params. What depends on the state is in
chain/state/.

Scores are integer millionths of the metric as scikit-learn reports it, rounded half to even; times and
durations are milliseconds of block time; indices count from 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from chain.encoding import encode
from chain.errors import InvalidField
from chain.params import Params
from chain.payload_types import (
    IN_WORDS,
    MAX_ATTEMPTS,
    MAX_PARTITIONS,
    MAX_ROUNDS,
    MAX_VALIDATORS,
    MILLION,
    SHOWN,
    Amount,
    Asked,
    Attempt,
    Count,
    Members,
    Name,
    Partition,
    Payload,
    Reason,
    Round,
    Rows,
    Salt,
    SignatureText,
    Spec,
    Task,
    Word,
)
from chain.schema import Address, Cid, Hash, Items, Range, Text
from chain.vote_payloads import VoteCheckpoint, VoteModel

ADMISSION_TAG = "assay admit_validator"


@dataclass(frozen=True)
class Transfer(Payload):
    """Move an amount from the sender to the recipient. Of nothing, it changes no account: what becomes of it shows
    whether blocks are made and become final, on a network without coins too."""

    kind: ClassVar[str] = "transfer"

    recipient: Address
    amount: Annotated[int, Range(0)]


@dataclass(frozen=True)
class RegisterDataset(Payload):
    """Name a dataset: its file and its manifest on IPFS, and what is to be learned from it."""

    kind: ClassVar[str] = "register_dataset"

    name: Name
    data: Cid
    manifest: Cid
    rows: Rows
    target: Annotated[str, Text(1, 200, SHOWN, IN_WORDS)]
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
