"""One job's training as everybody does it: the facade for workers, validators, audits and predictions.

A session is built from a recipe, which the chain's state fixes, and a way to open content by CID. It loads
what it needs when it first needs it, checks the registered manifest and statistics against the data, and
keeps encoded datasets for the other sessions of the process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learning import aggregation, evaluation
from learning.artifacts.codec import dump, load
from learning.catalogue import AVERAGE, CLASSIFICATION
from learning.encoded import Encoded, Source, encoded
from learning.errors import InvalidArtifact, InvalidData, InvalidSpec
from learning.estimators import AGGREGATIONS, Plan, check_rounds, parse_spec
from learning.models import Ensemble, Fitted, Model, Scale
from learning.partitions import partition_rows
from learning.recipe import Recipe, derived_random_state
from learning.scaling import scaling_of
from learning.solving import Units
from learning.sufficient import Merged, same_scaling
from learning.tables import Open
from learning.training import Setting, train


@dataclass(frozen=True)
class TrainedUpdate:
    """One partition's model: artifact bytes, rows trained on, holdout score in millionths, time it took."""

    artifact: bytes
    rows: int
    score: int
    milliseconds: int


@dataclass(frozen=True)
class Aggregated:
    """A combined model: artifact bytes and holdout score in millionths."""

    artifact: bytes
    score: int


class Session:
    """Training, aggregation and scoring of one job. Not for use by several threads at once.

    Raises InvalidSpec for a recipe that cannot be trained. Its methods raise InvalidData where data,
    manifest, statistics or rows are at fault, InvalidArtifact where bytes are no model of this job, and let
    pass what `open` raises.
    """

    def __init__(self, recipe: Recipe, open: Open, cache: Path) -> None:
        if recipe.aggregation not in AGGREGATIONS:
            raise InvalidSpec(
                f"aggregation: expected one of {', '.join(AGGREGATIONS)}, came {recipe.aggregation!r}"
            )
        self.recipe = recipe
        self._plan: Plan = parse_spec(recipe.estimator, recipe.task)
        check_rounds(self._plan, recipe.aggregation, recipe.rounds)
        evaluation.check_metric(recipe.metric, recipe.task)
        self._open = open
        self._cache = cache
        self._data: Encoded | None = None
        self._setting: Setting | None = None
        self._drawn: tuple[int, list[npt.NDArray[np.int64]]] | None = None

    def train(self, round: int, partition: int, base: bytes | None) -> TrainedUpdate:
        """Train one partition of one round; `base` is the artifact of the previous round's aggregate."""
        started = time.perf_counter()
        if (base is None) != (round == 0):
            raise InvalidArtifact(
                f"round {round} starts from {'nothing' if round == 0 else 'the aggregate of the round before'}, "
                f"came {'nothing' if base is None else 'a base'}"
            )
        rows = self.partition_rows(round, partition)
        continued = self._load(base) if base is not None and self.recipe.aggregation == AVERAGE else None
        artifact = self._fit(rows, derived_random_state(self.recipe, round, partition, "fit"), continued)
        score = self.score(artifact)
        return TrainedUpdate(artifact, len(rows), score, round_up_milliseconds(started))

    def aggregate(self, round: int, updates: Sequence[tuple[bytes, int]]) -> Aggregated:
        """Combine a round's updates, (artifact, rows) in partition order."""
        if not 0 <= round < self.recipe.rounds:
            raise InvalidSpec(f"round: expected 0 to {self.recipe.rounds - 1}, came {round}")
        loaded = [(self._load(artifact), rows) for artifact, rows in updates]
        artifact = dump(aggregation.combine(self.recipe.aggregation, loaded), self._plan)
        return Aggregated(artifact, self.score(artifact))

    def score(self, artifact: bytes) -> int:
        """The recipe's metric of a model on the holdout, in millionths.

        Any estimator's model will do that takes these columns and knows these classes: a version in service, with
        which the job's candidate is compared, may have been trained by another one.
        """
        model, _ = self._load_any(artifact)
        data = self._ready()[0]
        return evaluation.score(model, self.recipe.metric, data.holdout_matrix, data.holdout_targets)

    def partition_rows(self, round: int, partition: int) -> npt.NDArray[np.int64]:
        """Indices, in the dataset, of the rows of one partition of one round."""
        recipe = self.recipe
        if not 0 <= round < recipe.rounds or not 0 <= partition < recipe.partitions:
            raise InvalidSpec(
                f"expected rounds 0..{recipe.rounds - 1} and partitions 0..{recipe.partitions - 1}, "
                f"came round {round}, partition {partition}"
            )
        if self._drawn is None or self._drawn[0] != round:
            drawn = partition_rows(
                self._ready()[0].training_rows, recipe.seed, recipe.job, round, recipe.partitions, recipe.partitioning
            )
            self._drawn = (round, drawn)
        return self._drawn[1][partition]

    def report(self, artifact: bytes) -> dict[str, Any]:
        """All metrics on the holdout; see `learning.evaluation.report`."""
        data = self._ready()[0]
        return evaluation.report(
            self._load(artifact), data.holdout_matrix, data.holdout_targets, data.statistics.target.classes or ()
        )

    def train_whole(self) -> Aggregated:
        """The same estimator trained on all training rows at once, for comparison."""
        rows = self._ready()[0].training_rows
        artifact = self._fit(rows, derived_random_state(self.recipe, 0, None, "fit"), None)
        return Aggregated(artifact, self.score(artifact))

    def _fit(self, rows: npt.NDArray[np.int64], random_state: int, base: Model | None) -> bytes:
        data, setting = self._ready()
        model = train(setting, data.matrix[rows], data.targets[rows], random_state, base)
        try:
            return dump(model, self._plan)
        except InvalidArtifact as error:
            raise InvalidData(f"these rows give no usable model: {error}") from None

    def _load(self, artifact: bytes) -> Model:
        """A model of this job's estimator."""
        model, plan = self._load_any(artifact)
        if plan.text != self._plan.text:
            raise InvalidArtifact(f"expected a model of {self._plan.text}, came one of {plan.text}")
        return model

    def _load_any(self, artifact: bytes) -> tuple[Model, Plan]:
        """A model on this job's columns, classes and registered scales, whatever its estimator."""
        data, setting = self._ready()
        model, plan = load(artifact)
        expected = (data.matrix.shape[1], setting.classes)
        if (model.features, model.classes) != expected:
            raise InvalidArtifact(
                f"expected {expected[0]} columns and {expected[1]} classes, "
                f"came {model.features} and {model.classes}"
            )
        for part in [member for member, _ in model.members] if isinstance(model, Ensemble) else [model]:
            scaling = scaling_of(plan.scaling, data.columns)
            if isinstance(part, (Fitted, Merged)) and not same_scaling(part.scaling, scaling):
                raise InvalidArtifact("the model scales its columns otherwise than the registered statistics say")
        return model, plan

    def _ready(self) -> tuple[Encoded, Setting]:
        if self._data is None or self._setting is None:
            recipe = self.recipe
            source = Source(
                recipe.model, recipe.data, recipe.manifest, recipe.target, recipe.task, recipe.statistics,
                recipe.holdout_fraction, recipe.holdout_data, recipe.holdout_manifest,
                recipe.statistics_data, recipe.statistics_manifest,
            )  # fmt: skip
            self._data = encoded(source, self._open, self._cache)
            self._setting = _setting(self._plan, recipe, self._data)
        return self._data, self._setting


def _setting(plan: Plan, recipe: Recipe, data: Encoded) -> Setting:
    columns, target = data.columns, data.statistics.target
    scaling: tuple[Scale, ...] = scaling_of(plan.scaling, columns)
    offset, factor = columns.mean, columns.spread
    if scaling:
        offset, factor = np.zeros_like(offset), np.ones_like(factor)
    units = Units(offset, factor, target.mean or 0.0, target.spread or 1.0)
    classes = len(target.classes or ()) if recipe.task == CLASSIFICATION else 0
    priors = plan.estimator.params.get("priors")
    if priors is not None and len(priors) != classes:
        raise InvalidSpec(f"priors: expected {classes} probabilities, one for each class, came {len(priors)}")
    initial_state = derived_random_state(recipe, 0, None, "initial")
    return Setting(plan, recipe.aggregation, classes, columns, scaling, units, initial_state)


def round_up_milliseconds(started: float) -> int:
    """Whole milliseconds since `started` (time.perf_counter), at least 1."""
    return max(1, round((time.perf_counter() - started) * 1000))
