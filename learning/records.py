"""A recipe from what the chain says of a job: the one place where its fields become a training run.

This room imports nothing of the chain's; the records are known by their shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from learning.errors import InvalidData, InvalidSpec
from learning.recipe import Recipe


class JobRecord(Protocol):
    """What of a job's record a training run depends on."""

    @property
    def id(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def seed(self) -> str | None: ...
    @property
    def estimator(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    @property
    def partitioning(self) -> str: ...
    @property
    def aggregation(self) -> str: ...


class ModelRecord(Protocol):
    """What of a registered model's record a training run depends on."""

    @property
    def name(self) -> str: ...
    @property
    def datasets(self) -> tuple[str, ...]: ...
    @property
    def task(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def statistics(self) -> str: ...
    @property
    def holdout_fraction(self) -> int | None: ...
    @property
    def holdout_dataset(self) -> str | None: ...


class DatasetRecord(Protocol):
    """What of a dataset's record a training run depends on."""

    @property
    def data(self) -> str: ...
    @property
    def manifest(self) -> str: ...
    @property
    def target(self) -> str: ...


def recipe_of(job: JobRecord, model: ModelRecord, dataset: Callable[[str], DatasetRecord | None]) -> Recipe:
    """The recipe of `job`; `dataset` looks a registered dataset up by its name.

    Raises `InvalidSpec` while the chain has not given the job its seed, `InvalidData` for a dataset that is not found.
    """
    if job.seed is None:
        raise InvalidSpec(
            f"job {job.id} has no seed yet: the block after the one that holds it gives it; ask again then"
        )

    def find(name: str) -> DatasetRecord:
        found = dataset(name)
        if found is None:
            raise InvalidData(f"job {job.id} needs dataset {name!r}, which the node does not know: let it catch up")
        return found

    own, first = find(job.dataset), find(model.datasets[0])
    holdout = find(model.holdout_dataset) if model.holdout_dataset else None
    other = first.data != own.data
    return Recipe(
        model=model.name,
        data=own.data,
        manifest=own.manifest,
        target=own.target,
        task=model.task,
        metric=model.metric,
        statistics=model.statistics,
        holdout_fraction=model.holdout_fraction,
        holdout_data=holdout.data if holdout else None,
        holdout_manifest=holdout.manifest if holdout else None,
        estimator=job.estimator,
        partitioning=job.partitioning,
        partitions=job.partitions,
        rounds=job.rounds,
        aggregation=job.aggregation,
        job=job.id,
        seed=job.seed,
        statistics_data=first.data if other else None,
        statistics_manifest=first.manifest if other else None,
    )
