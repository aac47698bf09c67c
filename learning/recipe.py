"""Everything that fixes a training run. All parties build it from the chain's state and so train the
same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """One job's training, by content identifiers and seed.

    `model` is the registered model's name (the holdout's hash is salted with it). `data`, `manifest`,
    `statistics`, `holdout_data` and `holdout_manifest` are CIDs. Exactly one of `holdout_fraction`
    (millionths of the rows) and the pair `holdout_data`, `holdout_manifest` is set. `estimator` and
    `partitioning` are canonical JSON (RFC 8785). `aggregation` is already resolved: "average", "merge"
    or "ensemble". `seed` is 64 hex digits from the chain. `statistics_data` and `statistics_manifest` are those
    of the model's first dataset, whose training rows the statistics are of; None where that is `data` itself.
    """

    model: str
    data: str
    manifest: str
    target: str
    task: str
    metric: str
    statistics: str
    holdout_fraction: int | None
    holdout_data: str | None
    holdout_manifest: str | None
    estimator: str
    partitioning: str
    partitions: int
    rounds: int
    aggregation: str
    job: str
    seed: str
    statistics_data: str | None = None
    statistics_manifest: str | None = None


def derived_random_state(recipe: Recipe, round_: int, partition: int | None, purpose: str) -> int:
    """The 32-bit `random_state` of one fit: the first four bytes, big endian, of SHA-256 over the fields
    by line.

    The hashed text is `assay-random-state`, seed, job, round, partition ("whole" for all rows) and
    purpose, joined by newlines, in UTF-8. scikit-learn takes seeds of 32 bits.
    """
    place = "whole" if partition is None else str(partition)
    text = "\n".join(("assay-random-state", recipe.seed, recipe.job, str(round_), place, purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
