"""Opening a job: every field checked by those who will use it, the model registered where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

from chain.client import NodeRefused, NodeUnavailable, TransactionRefused, WaitTimeout
from chain.state.objects import Dataset, Model
from chain.transactions import OpenJob, Signed
from coordinator.context import Services
from coordinator.outbox import request_digest
from coordinator.problems import bad_field
from coordinator.registering import Policy, known_dataset, register_model
from coordinator.schemas import JobIn
from runtime.problems import Problem

Aggregation = Literal["average", "merge", "ensemble"]
#: Longest Idempotency-Key.
MAX_KEY = 255
#: Seconds that the answer to a new job waits for the job's block.
BEGIN_SECONDS = 3.0


def open_job(found: Services, wanted: JobIn, key: str | None) -> str:
    """Open a job; its id. With an Idempotency-Key the same request always means the same job."""
    if key is None:
        return _opened(found, wanted)
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise bad_field("Idempotency-Key", f"expected 1 to {MAX_KEY} printable characters")
    digest = request_digest(json.dumps(wanted.model_dump(mode="json"), sort_keys=True).encode())
    with found.opening:
        known = found.ledger.outbox.remembered(key)
        if known is None:
            return _opened(found, wanted, idempotency_key=key, digest=digest)
        if known.digest != digest:
            raise Problem(
                422,
                detail=f"the Idempotency-Key {key!r} stands for another request; use a new key for a new job",
                type="urn:assay:problem:idempotency-key-reused",
            )
        return _repeated(found, known.job)


def _opened(found: Services, wanted: JobIn, **remembered: str) -> str:
    """Send the job and wait for it to begin. A reward that cannot be paid is that field's fault."""
    _check_reward(found, wanted.reward)
    try:
        return _begun(found, found.ledger.send(_payload(found, wanted), **remembered))
    except (NodeRefused, TransactionRefused) as error:
        if error.code == "insufficient_balance":
            _check_reward(found, wanted.reward)  # spent meanwhile
        raise


def _check_reward(found: Services, reward: int) -> None:
    owned = found.node.account(found.ledger.address).balance if reward else 0
    if reward > owned:
        raise bad_field(
            "reward",
            f"expected at most {owned}, what the coordinator's wallet {found.ledger.address} has, came {reward}; "
            "send it more, or offer less",
        )


def _begun(found: Services, job: str) -> str:
    """Wait a little for the job to be in a block, so that who asks next finds it. Raises `TransactionRefused`."""
    try:
        found.node.wait_transaction(job, "included", BEGIN_SECONDS)
    except TransactionRefused:
        found.ledger.refused(job)
        raise
    except (WaitTimeout, NodeUnavailable):
        pass  # it is on the node's disk and in the outbox: it will be
    return job


def _repeated(found: Services, job: str) -> str:
    """The job of an earlier request, handed in again where the node does not have it."""
    if found.node.transaction(job) is None:
        pending = next((item for item in found.ledger.outbox.pending() if item.id == job), None)
        if pending is None:
            raise NodeUnavailable(
                f"the node at {found.node.url} does not know job {job} yet; it may be catching up"
            )
        found.node.submit(Signed.decode(pending.data))
    return job


def _payload(found: Services, wanted: JobIn) -> object:
    dataset = known_dataset(found, wanted.dataset)
    model = found.node.model(wanted.model)
    task = model.task if model is not None else dataset.task
    with _naming("estimator"):
        from learning.estimators import check_spec

        estimator = check_spec(wanted.estimator, task)
    with _naming("partitioning"):
        from learning.partitions import parse_partitioning

        partitioning = parse_partitioning(wanted.partitioning)
    with _naming("aggregation"):
        from learning.estimators import resolve_aggregation

        aggregation = resolve_aggregation(estimator, wanted.aggregation)
    with _naming("rounds"):
        from learning.estimators import check_rounds

        check_rounds(estimator, aggregation, wanted.rounds)
    if wanted.partitions > dataset.rows:
        raise bad_field(
            "partitions", f"expected at most the dataset's {dataset.rows} rows, came {wanted.partitions}"
        )
    if model is None:
        model, _ = register_model(found, Policy(wanted.model, (wanted.dataset,)))
    _check_policy(found, model, dataset)
    return OpenJob(
        model=wanted.model,
        dataset=wanted.dataset,
        estimator=estimator,
        partitions=wanted.partitions,
        rounds=wanted.rounds,
        partitioning=partitioning,
        aggregation=cast(Aggregation, aggregation),
        minimum_updates=wanted.minimum_updates or wanted.partitions,
        attempts=wanted.attempts,
        round_ms=round(wanted.deadline * 1000),
        vote_ms=round(wanted.vote_deadline * 1000),
        reward=wanted.reward,
    )


def _check_policy(found: Services, model: Model, dataset: Dataset) -> None:
    if dataset.name not in model.datasets:
        raise bad_field(
            "dataset",
            f"model {model.name!r} trains on {', '.join(model.datasets)}; {dataset.name!r} is not among them",
        )
    if model.openers and found.ledger.address not in model.openers:
        raise Problem(
            403,
            detail=f"the coordinator's wallet {found.ledger.address} is not among the openers of {model.name!r}; sign "
            "the job with one that is and send it to POST /api/v1/chain/transactions",
            type="urn:assay:problem:forbidden",
        )


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """What learning refuses inside is that field's fault."""
    from learning.errors import InvalidSpec

    try:
        yield
    except InvalidSpec as error:
        raise bad_field(field, str(error)) from None
