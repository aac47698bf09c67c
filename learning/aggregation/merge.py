"""Merging: the model of all rows together, from exact sums. See `learning.sufficient`."""

from __future__ import annotations

from collections.abc import Sequence

from learning.errors import InvalidArtifact
from learning.models import Model
from learning.sufficient import Merged, combine


def merge(updates: Sequence[tuple[Model, int]]) -> Merged:
    """One model from the updates' statistics. Raises InvalidArtifact where they do not fit together."""
    parts = []
    for model, _ in updates:
        if not isinstance(model, Merged):
            raise InvalidArtifact("only sufficient statistics can be merged")
        parts.append(model)
    return combine(parts)
