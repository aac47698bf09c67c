"""Predictions of an adopted version for rows as people write them: objects by feature name, or lists in order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.artifacts.codec import load
from learning.catalogue import CLASSIFICATION
from learning.errors import InvalidArtifact, InvalidData
from learning.features import encode_features, feature_names
from learning.manifest import Manifest
from learning.models import Floats
from learning.statistics import FeatureStatistics, Statistics


class Predictor:
    """A loaded model with the shared statistics that encode its rows. Safe to use from several threads.

    `features` are the names a row may have, in the order of a row that is a list: the manifest's columns
    without the target. Raises InvalidArtifact where model and statistics do not fit together.
    """

    def __init__(
        self, artifact: bytes, manifest: Manifest, statistics: Statistics, target: str, task: str
    ) -> None:
        self._model, _ = load(artifact)
        self._statistics = statistics
        self._target = target
        classes = len(statistics.target.classes or ()) if task == CLASSIFICATION else 0
        expected = (len(feature_names(statistics)), classes)
        if (self._model.features, self._model.classes) != expected:
            raise InvalidArtifact(
                f"the statistics give {expected[0]} columns and {expected[1]} classes, "
                f"the model has {self._model.features} and {self._model.classes}"
            )
        self.features = tuple(feature.name for feature in statistics.features)
        text = manifest.find(target).type == "text"
        # Classes of numbers and booleans are written as JSON in the statistics; give back the values
        # themselves.
        self.classes: tuple[Any, ...] = tuple(
            name if text else json.loads(name) for name in statistics.target.classes or ()
        )

    def predict(self, rows: Sequence[Mapping[str, Any] | Sequence[Any]]) -> dict[str, Any]:
        """`{"predictions": [...], "probabilities": [[...]] or None, "classes": [...]}`, one entry for each
        row.

        A null is a missing value and is imputed as in training. Features of free text, which no model sees,
        may be left out. Raises InvalidData naming the row and feature for one that lacks, is unknown or has
        a wrong type.
        """
        matrix = self._encode(rows)
        predicted = self._model.predict(matrix)
        probabilities = self._model.probabilities(matrix)
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            raise InvalidData("the prediction overflows; expected features like those of the training rows")
        if probabilities is not None and not np.isfinite(probabilities).all():
            raise InvalidData("the probabilities overflow; expected features like those of the training rows")
        answers = [self.classes[i] for i in predicted.tolist()] if self.classes else predicted.tolist()
        return {
            "predictions": answers,
            "probabilities": None if probabilities is None else probabilities.tolist(),
            "classes": list(self.classes),
        }

    def _encode(self, rows: Sequence[Mapping[str, Any] | Sequence[Any]]) -> Floats:
        if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Sequence):
            raise InvalidData("rows: expected a list of objects or of lists")
        named = [self._named(index, row) for index, row in enumerate(rows)]
        columns: dict[str, npt.NDArray[Any]] = {}
        for feature in self._statistics.features:
            values = [_value(index, feature, row.get(feature.name)) for index, row in enumerate(named)]
            column = np.empty(len(values), dtype=object if feature.type == "text" else np.float64)
            column[:] = values
            columns[feature.name] = column
        return encode_features(columns, self._statistics)

    def _named(self, index: int, row: Mapping[str, Any] | Sequence[Any]) -> Mapping[str, Any]:
        names = ", ".join(self.features)
        if isinstance(row, Mapping):
            for name in row:
                if name not in self.features:
                    what = "is the target, not a feature" if name == self._target else "is not a feature"
                    raise InvalidData(f"row {index}: {str(name)[:80]!r} {what}; expected {names}")
            for feature in self._statistics.features:
                if feature.name not in row and not _unused(feature):
                    raise InvalidData(f"row {index}: feature {feature.name!r} is missing; expected {names}")
            return row
        if isinstance(row, (str, bytes)) or not isinstance(row, Sequence):
            raise InvalidData(f"row {index}: expected an object or a list, came {str(row)[:80]!r}")
        if len(row) != len(self.features):
            raise InvalidData(
                f"row {index}: expected {len(self.features)} values ({names}), came {len(row)}"
            )
        return dict(zip(self.features, row, strict=True))


def _unused(feature: FeatureStatistics) -> bool:
    return feature.type == "text" and feature.categories is None


def _value(index: int, feature: FeatureStatistics, value: Any) -> Any:
    if feature.type == "text":
        if value is None or isinstance(value, str):
            return value
        expected = "a text"
    elif value is None:
        return math.nan
    elif feature.type == "boolean":
        if isinstance(value, bool):
            return float(value)
        expected = "true or false"
    else:
        expected = "a finite number"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
    raise InvalidData(
        f"row {index}: feature {feature.name!r} must be {expected} or null, came {repr(value)[:80]}"
    )
