"""The score of the version in service on the rows that the candidate is judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chain.state import Job
from ipfs.store import ContentStore

if TYPE_CHECKING:
    from learning.recipe import Recipe
    from learning.session import Session

SessionFactory = Callable[["Recipe", ContentStore, Path], "Session"]


def open_session(recipe: Recipe, store: ContentStore, cache: Path) -> Session:
    """A session that reads from ``store`` and keeps its tables in ``cache``, which nobody else writes."""
    from learning.session import Session

    return Session(recipe, store.open, cache)


def score_of_version(
    recipe: Recipe, made_by: Job, candidate: str, store: ContentStore, cache: Path, new_session: SessionFactory
) -> int:
    """Millionths of the metric that an earlier version has on the holdout of the job of `recipe`.

    Its estimator may be another than the job's: the model is read as what `made_by`, the job behind it, says it is,
    on the present job's dataset and holdout. Raises `ipfs.errors.ContentError`, and `learning.errors.LearningError`
    for a model that does not fit these data.
    """
    as_then = replace(recipe, estimator=made_by.estimator, aggregation=made_by.aggregation, rounds=made_by.rounds)
    return new_session(as_then, store, cache).score(store.read(candidate))
