"""Registering datasets and models: the checks, the content that goes with them, the transaction.

The learning libraries are imported where they are used: the service answers before they are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from chain.schema import Address, Cid, Hash
from chain.state.objects import Dataset, Model, Task
from chain.transactions import RegisterDataset, RegisterModel
from coordinator.context import Services
from coordinator.problems import bad_field, conflict, unknown
from ipfs import cid as ipfs_cid
from runtime.problems import Problem

MILLION = 1_000_000
#: The policy of a model that is registered along with its first job.
DEFAULT_FRACTION = 0.2
DEFAULT_METRIC = {"classification": "accuracy", "regression": "r2"}


def as_v1(cid: str) -> Cid:
    """The CIDv1 base32 text of a CID as given. Raises `InvalidCid`."""
    parsed = ipfs_cid.parse_cid(cid)
    return Cid(str(ipfs_cid.Cid(1, parsed.codec, parsed.digest)))


def known_dataset(found: Services, name: str) -> Dataset:
    """A registered dataset, or 404 that names it."""
    dataset = found.node.dataset(name)
    if dataset is None:
        raise unknown("dataset", name, "register it with POST /api/v1/datasets (`assay dataset register`)")
    return dataset


def known_model(found: Services, name: str) -> Model:
    """A registered model, or 404 that names it."""
    model = found.node.model(name)
    if model is None:
        raise unknown("model", name, "register it with POST /api/v1/models, or open a job, which does it")
    return model


def register_dataset(
    found: Services, name: str, cid: str, target: str, task: str | None, source: str = "cid"
) -> tuple[Dataset, bool]:
    """Register content under a name; the dataset, and whether it is new.

    The same content, target and task again are fine, anything else under the name is 409. `source` is the
    field at fault when the file itself is no table. Raises what the store and the node raise, 400 for data
    that cannot be used.
    """
    data = as_v1(cid)
    taken = found.node.dataset(name)
    if taken is not None:
        return _same_dataset(taken, data, target, task), False
    found.store.pin(data)
    manifest_bytes, rows, found_task = _describe(found, data, target, task, source)
    manifest = as_v1(found.store.add(manifest_bytes))
    payload = RegisterDataset(
        name=name, data=data, manifest=manifest, rows=rows, target=target, task=found_task
    )
    found.ledger.send_and_wait(payload)
    return _same_dataset(known_dataset(found, name), data, target, found_task), True


def _same_dataset(taken: Dataset, data: str, target: str, task: str | None) -> Dataset:
    differing = [
        f"its {what} is {has!r}, not {wanted!r}"
        for what, has, wanted in (
            ("CID", taken.data, data),
            ("target", taken.target, target),
            ("task", taken.task, task),
        )
        if wanted is not None and has != wanted
    ]
    if differing:
        raise conflict(
            f"dataset {taken.name!r} is registered already and {'; '.join(differing)}; choose another name"
        )
    return taken


def _describe(
    found: Services, data: str, target: str, task: str | None, source: str
) -> tuple[bytes, int, Task]:
    from learning.errors import InvalidData, InvalidSpec
    from learning.manifest import build_manifest
    from learning.registration import describe_dataset

    try:
        with found.store.open(data) as stream:
            described = describe_dataset(stream, target, task)
    except InvalidSpec as error:
        raise bad_field("task", str(error)) from None
    except InvalidData as error:
        try:
            with found.store.open(data) as stream:
                build_manifest(stream)
        except InvalidData:
            raise bad_field(source, str(error)) from None
        raise bad_field("target", str(error)) from None
    return described.manifest_bytes, described.rows, cast(Task, described.task)


@dataclass(frozen=True)
class Policy:
    """A registered model's policy, as asked for; None is chosen by the task."""

    name: str
    datasets: tuple[str, ...]
    task: str | None = None
    metric: str | None = None
    minimum_improvement: float = 0.0
    holdout_fraction: float | None = DEFAULT_FRACTION
    holdout_dataset: str | None = None
    openers: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


def register_model(found: Services, policy: Policy) -> tuple[Model, bool]:
    """Register a model; the model, and whether it is new. The same policy again is fine, another one is 409."""
    from learning.environment import environment_id

    datasets = [known_dataset(found, name) for name in policy.datasets]
    first = datasets[0]
    task = policy.task or first.task
    _check_datasets(datasets, task)
    metric = policy.metric or DEFAULT_METRIC[task]
    _check_metric(metric, task)
    fraction = None if policy.holdout_fraction is None else round(policy.holdout_fraction * MILLION)
    wanted = RegisterModel(
        name=policy.name,
        datasets=policy.datasets,
        task=cast(Task, task),
        metric=metric,
        direction=1,  # scores keep scikit-learn's sign: more is better
        minimum_improvement=round(policy.minimum_improvement * MILLION),
        audit_fraction=MILLION,
        holdout_fraction=fraction,
        holdout_dataset=policy.holdout_dataset,
        statistics=Cid(""),
        environments=(),
        openers=tuple(map(Address, policy.openers)),
        workers=tuple(map(Address, policy.workers)),
    )
    holdout = known_dataset(found, policy.holdout_dataset) if policy.holdout_dataset else None
    taken = found.node.model(policy.name)
    if taken is not None:
        return _same_model(taken, wanted), False
    statistics = _statistics(found, first, task, policy.name, fraction, holdout)
    environments = (Hash(environment_id()),)
    found.ledger.send_and_wait(replace(wanted, statistics=statistics, environments=environments))
    return _same_model(known_model(found, policy.name), wanted), True


#: What makes a policy; statistics and environments follow from it and from who registers.
_POLICY = (
    "datasets",
    "task",
    "metric",
    "direction",
    "minimum_improvement",
    "audit_fraction",
    "holdout_fraction",
    "holdout_dataset",
    "openers",
    "workers",
)


def _same_model(taken: Model, wanted: RegisterModel) -> Model:
    differing = [
        f"{field} is {getattr(taken, field)!r}, not {getattr(wanted, field)!r}"
        for field in _POLICY
        if getattr(taken, field) != getattr(wanted, field)
    ]
    if differing:
        raise conflict(
            f"model {taken.name!r} is registered already with another policy: {'; '.join(differing)}; a policy is "
            "fixed for all versions, so choose another name"
        )
    return taken


def _check_datasets(datasets: Sequence[Dataset], task: str) -> None:
    for dataset in datasets:
        if dataset.task != task:
            raise bad_field("datasets", f"dataset {dataset.name!r} is for {dataset.task}, the model for {task}")
        if dataset.target != datasets[0].target:
            raise bad_field(
                "datasets",
                f"dataset {dataset.name!r} has target {dataset.target!r}, "
                f"{datasets[0].name!r} has {datasets[0].target!r}",
            )


def _check_metric(metric: str, task: str) -> None:
    from learning.errors import InvalidSpec
    from learning.evaluation import check_metric

    try:
        check_metric(metric, task)
    except InvalidSpec as error:
        raise bad_field("metric", str(error)) from None


def _statistics(
    found: Services, dataset: Dataset, task: str, model: str, fraction: int | None, holdout: Dataset | None
) -> Cid:
    from learning.errors import InvalidData, InvalidSpec
    from learning.registration import compute_statistics

    try:
        statistics = compute_statistics(
            found.store.open,
            dataset.data,
            found.store.read(dataset.manifest),
            dataset.target,
            task,
            model,
            fraction,
            holdout.data if holdout is not None else None,
            found.store.read(holdout.manifest) if holdout is not None else None,
        )
    except InvalidSpec as error:
        raise bad_field("holdout", str(error)) from None
    except InvalidData as error:
        raise Problem(422, detail=str(error), type="urn:assay:problem:unusable-data") from None
    return as_v1(found.store.add(statistics))
