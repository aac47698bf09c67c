"""A recipe from the chain's records."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from learning.errors import InvalidData, InvalidSpec
from learning.records import recipe_of


@dataclass(frozen=True)
class Job:
    id: str = "job"
    dataset: str = "b"
    seed: str | None = "ab" * 32
    estimator: str = "{}"
    partitions: int = 4
    rounds: int = 2
    partitioning: str = "{}"
    aggregation: str = "average"


@dataclass(frozen=True)
class Model:
    name: str = "model"
    datasets: tuple[str, ...] = ("a", "b")
    task: str = "regression"
    metric: str = "r2"
    statistics: str = "statistics of a"
    holdout_fraction: int | None = 200_000
    holdout_dataset: str | None = None


@dataclass(frozen=True)
class Dataset:
    data: str
    manifest: str
    target: str = "y"


DATASETS = {name: Dataset(f"data {name}", f"manifest {name}") for name in "abh"}


def test_statistics_are_those_of_the_models_first_dataset() -> None:
    recipe = recipe_of(Job(dataset="b"), Model(), DATASETS.get)
    assert (recipe.data, recipe.statistics_data, recipe.statistics_manifest) == ("data b", "data a", "manifest a")


def test_a_job_on_the_first_dataset_names_no_other() -> None:
    recipe = recipe_of(Job(dataset="a"), Model(), DATASETS.get)
    assert (recipe.data, recipe.statistics_data, recipe.statistics_manifest) == ("data a", None, None)


def test_the_holdout_dataset_is_looked_up_by_name() -> None:
    recipe = recipe_of(Job(), Model(holdout_fraction=None, holdout_dataset="h"), DATASETS.get)
    assert (recipe.holdout_fraction, recipe.holdout_data, recipe.holdout_manifest) == (None, "data h", "manifest h")


def test_a_job_without_a_seed_has_no_recipe() -> None:
    with pytest.raises(InvalidSpec, match="no seed yet"):
        recipe_of(Job(seed=None), Model(), DATASETS.get)


def test_a_dataset_that_is_not_known_is_named() -> None:
    with pytest.raises(InvalidData, match="'c'"):
        recipe_of(Job(dataset="c"), Model(), DATASETS.get)
