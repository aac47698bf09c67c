"""Ensembles: all updates side by side, weighted by their rows. See `learning.models.Ensemble`."""

from __future__ import annotations

from collections.abc import Sequence

from learning.errors import InvalidArtifact
from learning.models import Constant, Ensemble, Fitted, Model


def ensemble(updates: Sequence[tuple[Model, int]]) -> Ensemble:
    """One model of members in partition order. Raises InvalidArtifact where they do not fit together."""
    first = updates[0][0]
    for model, _ in updates:
        if not isinstance(model, (Fitted, Constant)):
            raise InvalidArtifact("an ensemble's members must be fitted estimators")
        if (model.features, model.classes) != (first.features, first.classes):
            raise InvalidArtifact("the members differ in columns or classes; expected the same for all")
    return Ensemble(first.features, first.classes, tuple(updates))
