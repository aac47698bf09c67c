"""How the updates of a round become one model: averaged, merged or combined as an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from learning.aggregation.average import average
from learning.aggregation.ensemble import ensemble
from learning.aggregation.merge import merge
from learning.errors import InvalidArtifact, InvalidSpec
from learning.models import Model

_Way = Callable[[Sequence[tuple[Model, int]]], Model]
_WAYS: Mapping[str, _Way] = {"average": average, "merge": merge, "ensemble": ensemble}


def combine(aggregation: str, updates: Sequence[tuple[Model, int]]) -> Model:
    """The aggregate of updates with their row counts, in partition order.

    Raises InvalidSpec for an unknown aggregation, InvalidArtifact for none or for updates that do not fit
    together.
    """
    if aggregation not in _WAYS:
        raise InvalidSpec(f"aggregation: expected one of {', '.join(_WAYS)}, came {aggregation!r}")
    if not updates or any(rows < 1 for _, rows in updates):
        raise InvalidArtifact("an aggregate needs at least one update, each of at least one row")
    return _WAYS[aggregation](updates)
