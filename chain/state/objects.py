"""What the chain knows: one frozen dataclass per kind of object in the state.

All of them travel as DAG-CBOR by :mod:`chain.schema`, so every field has an exact type: times are
milliseconds since 1970 UTC in block time, scores integer millionths, amounts integers below 2**63, ids the
CIDs of unsigned transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chain.schema import Address, Cid, Hash

Task = Literal["classification", "regression"]
JobState = Literal["training", "voting", "adopted", "rejected", "expired", "failed", "cancelled"]
Decision = Literal["approve", "reject", "unavailable"]


@dataclass(frozen=True)
class Account:
    """What an address owns."""

    balance: int
    #: Locked; what a validator's vote weighs where stake does.
    stake: int = 0
    #: Amounts on their way from stake to balance, still slashable, and the block time of their release at the
    #: earliest; they move with the owner's next transaction after it.
    unbonding: tuple[tuple[int, int], ...] = ()

    @property
    def owned(self) -> int:
        """All of it."""
        return self.balance + self.locked

    @property
    def locked(self) -> int:
        """What misconduct would cost."""
        return self.stake + sum(amount for amount, _ in self.unbonding)


@dataclass(frozen=True)
class Dataset:
    """A registered dataset: content on IPFS under a name."""

    name: str
    owner: Address
    data: Cid
    manifest: Cid
    rows: int
    target: str
    task: Task
    transaction: Cid
    height: int


@dataclass(frozen=True)
class Model:
    """A registered model: the policy that every version of it must meet."""

    name: str
    owner: Address
    datasets: tuple[str, ...]
    task: Task
    metric: str
    direction: Literal[1, -1]
    minimum_improvement: int
    audit_fraction: int
    holdout_fraction: int | None
    holdout_dataset: str | None
    statistics: Cid
    environments: tuple[Hash, ...]
    openers: tuple[Address, ...]
    workers: tuple[Address, ...]
    transaction: Cid
    height: int
    #: Number of the version that is served, 0 for none.
    in_service: int
    #: How many versions were adopted so far; they are numbered from 1.
    versions: int


@dataclass(frozen=True)
class Version:
    """An adopted model."""

    number: int
    model: str
    job: Cid
    attempt: int
    candidate: Cid
    dataset: str
    data: Cid
    score: int
    #: Score of the version it replaced, as the approving validators measured it; None without one.
    baseline: int | None
    #: Number of the version in service before, 0 for none.
    replaces: int
    #: Rows that the last round's updates were trained on.
    rows: int
    verified_by: Literal["replay"]
    approvals: tuple[Address, ...]
    height: int
    time: int


@dataclass(frozen=True)
class Failure:
    """A worker's report that it could not do its part, the content it is about and who was asked for it."""

    worker: Address
    attempt: int
    code: str
    message: str
    cids: tuple[Cid, ...]
    asked: str
    time: int


@dataclass(frozen=True)
class Lease:
    """A worker's claim on a partition; ``since`` is its first claim, ``until`` moves with every renewal."""

    worker: Address
    since: int
    until: int


@dataclass(frozen=True)
class Update:
    """A worker's model for one partition and round."""

    id: Cid
    worker: Address
    seed: Hash
    base: Cid | None
    artifact: Cid
    rows: int
    score: int
    milliseconds: int
    environment: Hash
    height: int


@dataclass(frozen=True)
class Partition:
    """One partition in one round.

    ``removed`` names the updates that were taken out, disproved or built on what was; one that is still
    shown in ``update`` belongs to a job that ended with its removal.
    """

    index: int
    lease: Lease | None = None
    update: Update | None = None
    failures: tuple[Failure, ...] = ()
    removed: tuple[Cid, ...] = ()


@dataclass(frozen=True)
class Aggregate:
    """A round's combined model, by one holder of an update of that round."""

    id: Cid
    sender: Address
    updates: tuple[Cid, ...]
    artifact: Cid
    score: int
    environment: Hash
    height: int


@dataclass(frozen=True)
class Round:
    """One round: open until ``closed``, then waiting for its first aggregate.

    ``deadline`` is for updates while the round is open and for the first aggregate once it is closed.
    """

    index: int
    opened: int
    deadline: int
    closed: int | None
    partitions: tuple[Partition, ...]
    aggregates: tuple[Aggregate, ...] = ()
    #: Failures to aggregate.
    failures: tuple[Failure, ...] = ()
    #: Aggregates that were disproved or included something that was.
    removed: tuple[Cid, ...] = ()

    @property
    def updates(self) -> tuple[Update, ...]:
        """The accepted updates, in partition order."""
        return tuple(p.update for p in self.partitions if p.update is not None)


@dataclass(frozen=True)
class Vote:
    """A validator's vote on a candidate."""

    validator: Address
    attempt: int
    candidate: Cid
    compared: int
    decision: Decision
    score: int | None
    baseline: int | None
    replayed: tuple[Cid, ...]
    disproved: tuple[Cid, ...]
    missing: tuple[Cid, ...]
    asked: str
    mode: Literal["bytes", "none"]
    environment: Hash
    reason: str
    height: int
    time: int


@dataclass(frozen=True)
class Job:
    """A job, from opening to its end, with everything that was accepted for it."""

    id: Cid
    opener: Address
    model: str
    dataset: str
    estimator: str
    partitions: int
    rounds: int
    partitioning: str
    aggregation: Literal["average", "merge", "ensemble"]
    minimum_updates: int
    attempts: int
    round_ms: int
    vote_ms: int
    height: int
    opened: int
    #: Drawn from the block that holds the job, in the block after it.
    seed: Hash | None = None
    seed_block: Hash | None = None
    state: JobState = "training"
    attempt: int = 0
    round_list: tuple[Round, ...] = ()
    candidate: Aggregate | None = None
    vote_deadline: int | None = None
    votes: tuple[Vote, ...] = ()
    barred: tuple[Address, ...] = ()
    version: int | None = None
    reason: str | None = None
    closed: int | None = None
    closed_height: int | None = None
    #: Held by the job until its end.
    reward: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the job still waits for something."""
        return self.state in ("training", "voting")

    @property
    def update_ids(self) -> tuple[Cid, ...]:
        """All standing updates, by round and partition; what an approval has to have replayed."""
        return tuple(update.id for round_ in self.round_list for update in round_.updates)


@dataclass(frozen=True)
class ValidatorSet:
    """Who votes, with which weights; ``serial`` counts the changes of the set."""

    serial: int
    members: tuple[Address, ...]
    weights: tuple[int, ...]

    @property
    def total(self) -> int:
        """The weight of all members together."""
        return sum(self.weights)

    def weight(self, address: str) -> int:
        """The weight of ``address``, 0 for one that is no member."""
        return self.weights[self.members.index(Address(address))] if address in self.members else 0

    def weight_of(self, addresses: tuple[Address, ...] | list[Address] | set[Address]) -> int:
        """The weight of some members together, each counted once."""
        weights = dict(zip(self.members, self.weights, strict=True))
        return sum(weights.get(address, 0) for address in set(addresses))

    def quorum(self) -> int:
        """The weight that decides: more than two thirds, ``floor(2W/3) + 1``."""
        return 2 * self.total // 3 + 1


@dataclass(frozen=True)
class Voter:
    """A validator's newest checkpoint vote in the chain."""

    source_height: int
    target_height: int


@dataclass(frozen=True)
class Link:
    """Who voted for one link between two checkpoints of this branch."""

    voters: tuple[Address, ...]


@dataclass(frozen=True)
class Finality:
    """Where finality stands, as this branch tells it."""

    justified_height: int
    justified_hash: Hash
    final_height: int
    final_hash: Hash
    #: Height of the newest block with anything but checkpoint votes; once that is final nothing needs voting
    #: on.
    work_height: int

    @property
    def settled(self) -> bool:
        """Whether all but checkpoint votes is final, so that miners and validators may rest."""
        return self.final_height >= self.work_height
