"""Training one partition: the same rows, base and random state give the same model, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state

from learning.artifacts.states import neighbours
from learning.catalogue import AVERAGE, ENSEMBLE, MERGE
from learning.errors import InvalidArtifact, InvalidData
from learning.estimators import Plan
from learning.models import Constant, Fitted, Floats, Labels, Model, Scale, apply_scaling
from learning.scaling import Columns
from learning.solving import Units
from learning.sufficient import collect


@dataclass(frozen=True)
class Setting:
    """What all partitions of a job share. `classes` is K, or 0 for regression; `columns` come from the statistics.

    `initial_state` seeds the first weights of averaged networks, which all partitions share.
    """

    plan: Plan
    aggregation: str
    classes: int
    columns: Columns
    scaling: tuple[Scale, ...]
    units: Units
    initial_state: int


def train(
    setting: Setting, matrix: Floats, targets: Labels, random_state: int, base: Model | None
) -> Model:
    """The model of some rows: matrix (rows, features) in raw units, targets (rows,) class indices or values.

    `base` is the previous round's aggregate, from which averaged estimators continue: the parameters are
    where the fit starts, and `max_iter` counts one round's passes, as local epochs do in federated averaging
    (McMahan et al., 2017). LinearRegression and Ridge have one solution, wherever they start. Raises
    InvalidData where the estimator cannot be trained on these rows.
    """
    if not len(matrix):
        raise InvalidData("the partition holds no rows; open the job with fewer partitions than training rows")
    if setting.aggregation == MERGE:
        return collect(setting.plan, setting.classes, setting.scaling, setting.units, matrix, targets)
    seen = np.unique(targets) if setting.classes else targets[:0]
    if setting.aggregation == AVERAGE and setting.classes:
        matrix, targets = _with_unseen(setting, matrix, targets, seen)
    elif setting.aggregation == ENSEMBLE and len(seen) == 1:
        return Constant(matrix.shape[1], setting.classes, int(seen[0]))
    estimator = _fit(setting, apply_scaling(setting.scaling, matrix), targets, random_state, base)
    return Fitted(setting.plan, matrix.shape[1], setting.classes, setting.scaling, estimator)


def _with_unseen(
    setting: Setting, matrix: Floats, targets: Labels, seen: Labels
) -> tuple[Floats, Labels]:
    """One row more, at the shared mean, for each class these rows lack.

    Parameters can be averaged only where all partitions have the same ones, and a class without any row
    would get an intercept that falls without bound; one pseudo-row keeps it where one row would.
    """
    unseen = np.setdiff1d(np.arange(setting.classes), seen)
    extra = np.repeat(setting.columns.mean[None], len(unseen), axis=0)
    return np.concatenate([matrix, extra]), np.concatenate([targets, unseen])


def _fit(
    setting: Setting, matrix: Floats, targets: Labels, random_state: int, base: Model | None
) -> Any:
    plan = setting.plan
    name = plan.estimator.entry.name
    if base is not None and not isinstance(base, Fitted):
        raise InvalidArtifact("the base of a round must be an averaged model")
    with _quiet(plan, len(matrix)):
        if name.startswith("KNeighbors"):
            return neighbours(plan, matrix, targets, random_state)
        estimator = plan.build(random_state)
        start: dict[str, Any] = {}
        if base is not None and name.startswith("SGD"):
            start = {"coef_init": base.estimator.coef_, "intercept_init": base.estimator.intercept_}
        elif base is not None and name in {"LogisticRegression", "Lasso"}:
            estimator.warm_start = True
            estimator.coef_ = np.array(base.estimator.coef_, order="K")
            estimator.intercept_ = np.array(base.estimator.intercept_)
        elif name.startswith("MLP") and setting.aggregation == AVERAGE:
            features = matrix.shape[1]
            _continue_network(estimator, base.estimator if base else _initial_network(setting, features))
        return estimator.fit(matrix, targets, **start)


def _initial_network(setting: Setting, features: int) -> Any:
    """A network of scikit-learn's own first weights, the same for all partitions of a job.

    The mean of networks that began at different weights is worse than each of them; begun at the same ones it is
    better (McMahan et al., 2017, figure 1).
    """
    network = setting.plan.build(None)
    network._random_state = check_random_state(setting.initial_state)
    hidden = network.hidden_layer_sizes
    outputs = setting.classes if setting.classes > 2 else 1
    units = [features, *(hidden if isinstance(hidden, tuple) else (hidden,)), outputs]
    network.n_layers_, network.n_outputs_, network.n_features_in_ = len(units), outputs, features
    if setting.classes:
        network.classes_ = np.arange(setting.classes)
        network.out_activation_ = "softmax" if setting.classes > 2 else "logistic"
    else:
        network.out_activation_ = "exp" if network.loss == "poisson" else "identity"
    layers = [network._init_coef(a, b, np.float64) for a, b in pairwise(units)]
    network.coefs_ = [weights for weights, _ in layers]
    network.intercepts_ = [biases for _, biases in layers]
    return network


def _continue_network(estimator: Any, base: Any) -> None:
    """Put a network where `base` ended, with a fresh optimiser, as scikit-learn's own `warm_start` does."""
    estimator.warm_start = True
    estimator.coefs_ = [np.array(weights, order="K") for weights in base.coefs_]
    estimator.intercepts_ = [np.array(biases) for biases in base.intercepts_]
    estimator._best_coefs = [weights.copy() for weights in estimator.coefs_]
    estimator._best_intercepts = [biases.copy() for biases in estimator.intercepts_]
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        setattr(estimator, name, getattr(base, name))
    estimator.n_iter_, estimator.t_ = 0, 0
    estimator.loss_curve_, estimator._no_improvement_count = [], 0
    if estimator.early_stopping:
        estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
        estimator.best_loss_ = None
    else:
        estimator.validation_scores_, estimator.best_validation_score_ = None, None
        estimator.best_loss_ = np.inf
    if hasattr(base, "classes_"):
        estimator.classes_ = base.classes_
        estimator._label_binarizer = LabelBinarizer().fit(base.classes_)


@contextmanager
def _quiet(plan: Plan, rows: int) -> Iterator[None]:
    """Not converging is no error, the score tells; an estimator's refusal of the rows is InvalidData."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise InvalidData(
            f"{plan.estimator.entry.path} cannot be trained on these {rows} rows: {error}"
        ) from None
