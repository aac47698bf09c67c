"""The chain's objects as the API's documents: CIDs as text, times RFC 3339 UTC, scores as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from chain.client import View
from chain.schema import Address, Cid
from chain.state.membership import Membership
from chain.state.objects import Account, Dataset, Failure, Job, Model, Partition, Round, ValidatorSet, Version, Vote
from coordinator.documents import (
    AccountDocument,
    CandidateDocument,
    ChainDocument,
    ColumnDocument,
    DatasetDocument,
    JobDocument,
    ModelDocument,
    PartitionDocument,
    QuorumDocument,
    SeedDocument,
    ValidatorDocument,
    ValidatorsDocument,
    VersionDocument,
    VoteDocument,
    WaitingDocument,
)
from coordinator.waiting import awaited

MILLION = 1_000_000


def rfc3339(milliseconds: int) -> str:
    """Milliseconds since 1970 as "2026-01-31T12:00:00.000Z"."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:03d}Z"


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def number(micro: int) -> float:
    """Integer millionths as a number."""
    return micro / MILLION


def _number(micro: int | None) -> float | None:
    return None if micro is None else number(micro)


# Jobs


def job_document(
    view: View[Job],
    validators: ValidatorSet,
    now: int,
    payouts: Mapping[Address, int] | None = None,
    voted: Mapping[str, int] | None = None,
) -> JobDocument:
    """The API's form of a job; `now` in milliseconds, and `voted` as `waiting.late_votes` says, are for what it waits
    for; `payouts` as `paying.payouts` says."""
    job = view.value
    waiting = awaited(view, validators, now, voted)
    return {
        "job": job.id,
        "model": job.model,
        "dataset": job.dataset,
        "opener": job.opener,
        "estimator": _spec(job.estimator),
        "partitioning": _spec(job.partitioning),
        "aggregation": job.aggregation,
        "state": job.state,
        "seed": _seed(job),
        "waiting_for": None if waiting is None else _waiting(waiting),
        "rounds": {"done": sum(1 for round_ in job.round_list if round_.aggregates), "of": job.rounds},
        "attempt": job.attempt,
        "attempts": job.attempts,
        "partitions": [
            _partition(job, round_, partition) for round_ in job.round_list for partition in round_.partitions
        ],
        "candidate": _candidate(job),
        "votes": [_vote(vote) for vote in job.votes],
        "quorum": quorum_document(validators),
        "reward": job.reward,
        "payouts": [] if payouts is None else [{"account": who, "amount": amount} for who, amount in payouts.items()],
        "version": job.version,
        "adopted": job.state == "adopted",
        "final": job.closed is not None and view.final,
        "reason": job.reason,
        "opened": rfc3339(job.opened),
        "closed": _time(job.closed),
        "height": job.height,
    }


def pending_job(transaction: Mapping[str, Any], validators: ValidatorSet) -> JobDocument:
    """A job whose transaction the node has, but no block yet; `transaction` as the node shows it."""
    payload = transaction["payload"]
    job = Job(
        id=Cid(transaction["transaction"]),
        opener=Address(transaction["sender"]),
        height=0,
        opened=0,
        **{field: value for field, value in payload.items() if field in Job.__dataclass_fields__},
    )
    view = View(value=job, height=0, head="", final_height=0, final=False)
    waiting: WaitingDocument = {"what": "the block with the job", "who": None, "since": None, "until": None}
    document = job_document(view, validators, 0)
    document["waiting_for"], document["opened"] = waiting, None
    return document


def _spec(text: str) -> dict[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {"spec": found}


def _seed(job: Job) -> SeedDocument | None:
    if job.seed is None or job.seed_block is None:
        return None
    return {"value": job.seed, "block": job.seed_block, "height": job.height}


def _waiting(found: Mapping[str, Any]) -> WaitingDocument:
    return {
        "what": str(found["what"]),
        "who": found["who"],
        "since": _time(found["since"]),
        "until": _time(found["until"]),
    }


def _partition(job: Job, round_: Round, partition: Partition) -> PartitionDocument:
    update = partition.update
    failure = _current(job, partition.failures)
    worker = update.worker if update is not None else None
    if update is None and partition.lease is not None:
        worker = partition.lease.worker
    elif update is None and failure is not None:
        worker = failure.worker
    return {
        "index": partition.index,
        "round": round_.index,
        "state": _partition_state(partition, failure),
        "worker": worker,
        "rows": update.rows if update is not None else None,
        "update": update.artifact if update is not None else None,
        "transaction": update.id if update is not None else None,
        "seconds": update.milliseconds / 1000 if update is not None else None,
        "score": number(update.score) if update is not None else None,
        "error": None if update is not None or failure is None else f"{failure.code}: {failure.message}",
    }


def _partition_state(
    partition: Partition, failure: Failure | None
) -> Literal["waiting", "claimed", "done", "failed", "removed"]:
    if partition.update is not None:
        return "removed" if partition.update.id in partition.removed else "done"
    if partition.lease is not None:
        return "claimed"
    if failure is not None:
        return "failed"
    return "removed" if partition.removed else "waiting"


def _current(job: Job, failures: Sequence[Failure]) -> Failure | None:
    """The newest failure, if it belongs to the current attempt."""
    own = [failure for failure in failures if failure.attempt == job.attempt]
    return own[-1] if own else None


def _candidate(job: Job) -> CandidateDocument | None:
    if job.candidate is None:
        return None
    baselines = [
        vote.baseline
        for vote in job.votes
        if vote.candidate == job.candidate.artifact and vote.baseline is not None
    ]
    return {
        "cid": job.candidate.artifact,
        "score": number(job.candidate.score),
        "baseline": _number(baselines[-1] if baselines else None),
    }


def _vote(vote: Vote) -> VoteDocument:
    return {
        "validator": vote.validator,
        "decision": vote.decision,
        "score": _number(vote.score),
        "reason": vote.reason,
        "replayed": list(vote.replayed),
        "mode": vote.mode,
        "attempt": vote.attempt,
        "candidate": vote.candidate,
        "compared": vote.compared or None,
        "disproved": list(vote.disproved),
        "missing": list(vote.missing),
        "asked": vote.asked,
        "at": rfc3339(vote.time),
    }


def quorum_document(validators: ValidatorSet) -> QuorumDocument:
    """How much weight decides."""
    return {"weight": validators.quorum(), "of": validators.total}


# Datasets, models, versions


def dataset_document(view: View[Dataset], columns: Sequence[ColumnDocument]) -> DatasetDocument:
    dataset = view.value
    return {
        "name": dataset.name,
        "owner": dataset.owner,
        "cid": dataset.data,
        "manifest_cid": dataset.manifest,
        "rows": dataset.rows,
        "columns": list(columns),
        "target": dataset.target,
        "task": dataset.task,
        "transaction": dataset.transaction,
        "height": dataset.height,
        "final": view.final,
    }


def version_document(view: View[Version], in_service: int) -> VersionDocument:
    version = view.value
    return {
        "model": version.model,
        "version": version.number,
        "cid": version.candidate,
        "job": version.job,
        "attempt": version.attempt,
        "dataset": version.dataset,
        "dataset_cid": version.data,
        "score": number(version.score),
        "baseline": _number(version.baseline),
        "replaces": version.replaces or None,
        "rows": version.rows,
        "verified_by": version.verified_by,
        "approvals": list(version.approvals),
        "adopted": True,
        "adopted_at": rfc3339(version.time),
        "height": version.height,
        "final": view.final,
        "in_service": version.number == in_service,
    }


def version_votes(job: Job, version: Version) -> list[VoteDocument]:
    """The votes on a version's candidate."""
    return [
        _vote(vote)
        for vote in job.votes
        if vote.candidate == version.candidate and vote.attempt == version.attempt
    ]


def model_document(view: View[Model], version: VersionDocument | None) -> ModelDocument:
    """`version` is the one to show: that in service, or that of a time asked for."""
    model = view.value
    return {
        "name": model.name,
        "owner": model.owner,
        "datasets": list(model.datasets),
        "task": model.task,
        "metric": model.metric,
        "direction": model.direction,
        "minimum_improvement": number(model.minimum_improvement),
        "audit_fraction": number(model.audit_fraction),
        "holdout": {"fraction": _number(model.holdout_fraction), "dataset": model.holdout_dataset},
        "statistics_cid": model.statistics,
        "environments": list(model.environments),
        "openers": list(model.openers),
        "workers": list(model.workers),
        "versions": model.versions,
        "version": version,
        "transaction": model.transaction,
        "height": model.height,
        "final": view.final,
    }


# The chain


def chain_document(chain: Mapping[str, Any]) -> ChainDocument:
    """From the node's own summary."""
    return {
        "network": chain["network"],
        "genesis": chain["genesis"],
        "height": chain["height"],
        "head": chain["head"],
        "justified": {"height": chain["justified"]["height"], "hash": chain["justified"]["hash"]},
        "finalised_height": chain["final"]["height"],
        "final": {"height": chain["final"]["height"], "hash": chain["final"]["hash"]},
        "time": rfc3339(chain["time"]),
        "difficulty": chain["difficulty"],
        "peers": chain["peers"] if isinstance(chain["peers"], int) else len(chain["peers"]),
        "pending": chain["pending"],
    }


def account_document(address: str, account: Account, escrowed: int) -> AccountDocument:
    return {
        "address": address,
        "balance": account.balance,
        "stake": account.stake,
        "unbonding": [{"amount": amount, "release": rfc3339(until)} for amount, until in account.unbonding],
        "escrowed": escrowed,
    }


def validators_document(found: Membership) -> ValidatorsDocument:
    pending = found.pending
    return {
        "serial": found.validators.serial,
        "validators": _members(found.validators),
        "quorum": quorum_document(found.validators),
        "power": found.power,
        "pending": None
        if pending is None
        else {
            "serial": pending.set.serial,
            "phase": pending.phase,
            "height": pending.height,
            "validators": _members(pending.set),
            "quorum": quorum_document(pending.set),
        },
        "admitted": [
            {"address": each.address, "power": each.power, "stake": each.stake, "since": each.height}
            for each in found.admitted
        ],
        "signed_from": found.signed_from,
    }


def _members(validators: ValidatorSet) -> list[ValidatorDocument]:
    members = zip(validators.members, validators.weights, strict=True)
    return [{"address": address, "weight": weight} for address, weight in members]
