"""The allow-list: which scikit-learn classes a job may name, what each can be combined by, which
parameters it takes.

Everything not written here is refused. Parameters are checked a second time by scikit-learn's own
constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

CLASSIFICATION: Final = "classification"
REGRESSION: Final = "regression"
MERGE: Final = "merge"
AVERAGE: Final = "average"
ENSEMBLE: Final = "ensemble"


@dataclass(frozen=True)
class Entry:
    """One allowed class. `aggregations` are those it can do, the preferred one first; a scaler has no
    task."""

    path: str
    type: type[Any]
    task: str | None
    aggregations: tuple[str, ...]
    scaler: bool = False

    @property
    def name(self) -> str:
        return self.type.__name__


def _entry(package: str, kind: type[Any], task: str, *aggregations: str) -> Entry:
    return Entry(f"sklearn.{package}.{kind.__name__}", kind, task, (*aggregations, ENSEMBLE))


_ENTRIES = (
    _entry("linear_model", LinearRegression, REGRESSION, MERGE, AVERAGE),
    _entry("linear_model", Ridge, REGRESSION, MERGE, AVERAGE),
    _entry("linear_model", Lasso, REGRESSION, AVERAGE),
    _entry("linear_model", LogisticRegression, CLASSIFICATION, AVERAGE),
    _entry("linear_model", SGDClassifier, CLASSIFICATION, AVERAGE),
    _entry("linear_model", SGDRegressor, REGRESSION, AVERAGE),
    _entry("naive_bayes", GaussianNB, CLASSIFICATION, MERGE),
    _entry("neighbors", KNeighborsClassifier, CLASSIFICATION, MERGE),
    _entry("neighbors", KNeighborsRegressor, REGRESSION, MERGE),
    _entry("tree", DecisionTreeClassifier, CLASSIFICATION),
    _entry("tree", DecisionTreeRegressor, REGRESSION),
    _entry("ensemble", RandomForestClassifier, CLASSIFICATION),
    _entry("ensemble", RandomForestRegressor, REGRESSION),
    _entry("ensemble", GradientBoostingClassifier, CLASSIFICATION),
    _entry("ensemble", GradientBoostingRegressor, REGRESSION),
    _entry("ensemble", HistGradientBoostingClassifier, CLASSIFICATION),
    _entry("ensemble", HistGradientBoostingRegressor, REGRESSION),
    _entry("neural_network", MLPClassifier, CLASSIFICATION, AVERAGE),
    _entry("neural_network", MLPRegressor, REGRESSION, AVERAGE),
    Entry("sklearn.preprocessing.StandardScaler", StandardScaler, None, (), scaler=True),
    Entry("sklearn.preprocessing.MinMaxScaler", MinMaxScaler, None, (), scaler=True),
)
CATALOGUE: Final[Mapping[str, Entry]] = {entry.path: entry for entry in _ENTRIES}
ESTIMATORS: Final = tuple(entry.path for entry in _ENTRIES if not entry.scaler)

# Parameters whose value is not the job's to choose, and what they are fixed to.
FIXED: Final[Mapping[str, str]] = {
    "random_state": "it is derived from the job's seed",
    "n_jobs": "one thread trains, so that all parties get the same bits",
    "verbose": "training prints nothing",
    "warm_start": "rounds continue from the round's base model",
    "copy_X": "it does not change the model",
    "copy": "it does not change the model",
    "precompute": "it does not change the model",
    "oob_score": "the holdout scores the model",
    "scoring": "early stopping looks at the loss",
    "categorical_features": "categories are one-hot columns already",
    "metric_params": "only distances without parameters are supported",
    "monotonic_cst": "it depends on the encoded columns",
    "interaction_cst": "it depends on the encoded columns",
}

# Parameters that take a list of numbers; every other one takes null, true/false, a number or a text.
LISTS: Final = frozenset({"hidden_layer_sizes", "feature_range", "priors"})

# Parameters that scikit-learn's own constraints let be null, and its training does not (scikit-learn 1.9: p and
# n_neighbors are compared with numbers, Lasso's solver takes max_iter as a C integer).
NOT_NULL: Final[Mapping[type[Any], frozenset[str]]] = {
    KNeighborsClassifier: frozenset({"n_neighbors", "p"}),
    KNeighborsRegressor: frozenset({"n_neighbors", "p"}),
    Lasso: frozenset({"max_iter"}),
}

# Upper bounds, so that one job cannot ask a worker for an unbounded training. Values are inclusive.
BOUNDS: Final[Mapping[str, int]] = {
    "n_estimators": 2_000,
    "max_iter": 100_000,
    "max_fun": 1_000_000,
    "max_depth": 10_000,
    "n_neighbors": 100_000,
    "hidden_layer_sizes": 4_096,
    "n_iter_no_change": 100_000,
}
MAX_LAYERS: Final = 16

# Distances that need no further parameter and no code of the caller.
DISTANCES: Final = frozenset({
    "minkowski", "euclidean", "l2", "sqeuclidean", "manhattan", "cityblock", "l1", "chebyshev", "infinity",
    "cosine", "canberra", "braycurtis", "correlation", "hamming",
})
