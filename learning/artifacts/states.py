"""What of each fitted scikit-learn class an artifact holds, and how the class is put together again from it.

`state_of` lists the fitted arrays that decide predictions; `restore` sets exactly those on a fresh
estimator, class by class. Nothing is unpickled, imported by name or called that an artifact could choose.
Derived parts (search trees of nearest neighbours, loss objects) are built again from the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.preprocessing import LabelBinarizer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from learning.artifacts.envelope import Arrays, Fields
from learning.artifacts.trees import pack_predictors, pack_trees, unpack_predictors, unpack_trees
from learning.errors import InvalidArtifact
from learning.estimators import Plan

MAX_NEIGHBOUR_ROWS: Final = 2_000_000


def state_of(plan: Plan, estimator: Any) -> Arrays:
    """The fitted arrays of an estimator, by name."""
    name = plan.estimator.entry.name
    arrays: Arrays = {}
    if plan.estimator.entry.task == "classification" and not name.startswith("KNeighbors"):
        arrays["classes"] = np.asarray(estimator.classes_, dtype=np.int64)
    if name in _LINEAR:
        arrays["coef"] = estimator.coef_
        arrays["intercept"] = np.asarray(estimator.intercept_, dtype=np.float64)
    elif name == "GaussianNB":
        for part in ("theta", "var", "class_count", "class_prior"):
            arrays[part] = getattr(estimator, f"{part}_")
    elif name.startswith("KNeighbors"):
        arrays["rows"] = estimator._fit_X
        arrays["targets"] = np.asarray(estimator.fitted_targets)
    elif name.startswith("MLP"):
        for layer, (weights, biases) in enumerate(
            zip(estimator.coefs_, estimator.intercepts_, strict=True)
        ):
            arrays[f"weights.{layer}"] = weights
            arrays[f"biases.{layer}"] = biases
    elif name.startswith("DecisionTree"):
        arrays.update(pack_trees([estimator.tree_]))
    elif name.startswith("RandomForest"):
        arrays.update(pack_trees([tree.tree_ for tree in estimator.estimators_]))
    elif name.startswith("GradientBoosting"):
        arrays.update(pack_trees([tree.tree_ for tree in estimator.estimators_.ravel()]))
        if plan.estimator.params.get("init") != "zero":
            prior = estimator.init_.class_prior_ if "classes" in arrays else estimator.init_.constant_.ravel()
            arrays["initial"] = np.asarray(prior, dtype=np.float64)
    else:  # histogram gradient boosting
        arrays.update(pack_predictors([p for step in estimator._predictors for p in step]))
        arrays["initial"] = estimator._baseline_prediction
    return arrays


def restore(plan: Plan, fields: Fields, features: int, classes: int) -> Any:
    """The estimator again. `classes` is K, or 0 for regression. Raises InvalidArtifact."""
    name = plan.estimator.entry.name
    estimator = plan.build(None)
    estimator.n_features_in_ = features
    known = 0
    if classes and not name.startswith("KNeighbors"):
        found = fields.take("classes", "<i8", (None,))
        # Compared, not subtracted: differences of 64-bit numbers wrap around.
        rising = (found[1:] > found[:-1]).all()
        if not len(found) or found[0] < 0 or found[-1] >= classes or not rising:
            raise InvalidArtifact(f"the classes must rise within 0..{classes - 1}, came {found.tolist()[:20]}")
        estimator.classes_ = found
        known = len(found)
        if known < 2 and name not in _ONE_CLASS:
            raise InvalidArtifact(f"{plan.estimator.entry.path} needs two classes, came {found.tolist()}")
    _RESTORE[name](plan, estimator, fields, features, known or classes)
    fields.done()
    return estimator


def neighbours(plan: Plan, rows: npt.NDArray[Any], targets: npt.NDArray[Any], random_state: int | None) -> Any:
    """A search over rows; with fewer rows than `n_neighbors`, all of them are the neighbours.

    Raises ValueError for parameters or rows that scikit-learn cannot fit.
    """
    estimator = plan.build(random_state)
    estimator.n_neighbors = min(estimator.n_neighbors, len(rows))
    try:
        estimator.fit(rows, targets)
    except TypeError as error:  # scikit-learn's constraints let a null `p` pass, its fitting does not
        raise ValueError(f"parameters that cannot be fitted: {error}") from error
    estimator.fitted_targets = targets
    return estimator


def _linear(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    name = plan.estimator.entry.name
    shape: tuple[int, ...] = (features,)
    bias: tuple[int, ...] = (1,) if name == "SGDRegressor" else ()
    if known:
        outputs = 1 if known == 2 else known
        shape, bias = (outputs, features), (outputs,)
    estimator.coef_ = fields.take("coef", "<f8", shape)
    estimator.intercept_ = fields.take("intercept", "<f8", bias)[()]


def _naive_bayes(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    estimator.theta_ = fields.take("theta", "<f8", (known, features))
    estimator.var_ = fields.take("var", "<f8", (known, features))
    estimator.class_count_ = fields.take("class_count", "<f8", (known,))
    estimator.class_prior_ = fields.take("class_prior", "<f8", (known,))
    if (estimator.var_ <= 0).any() or (estimator.class_prior_ < 0).any():
        raise InvalidArtifact("naive Bayes: expected variances above 0 and priors of 0 or more")


def _neighbours(plan: Plan, estimator: Any, fields: Fields, features: int, classes: int) -> None:
    rows = fields.take("rows", "<f8", (None, features))
    targets = fields.take("targets", "<i8" if classes else "<f8", (len(rows),))
    if not 1 <= len(rows) <= MAX_NEIGHBOUR_ROWS:
        raise InvalidArtifact(f"nearest neighbours: expected 1 to {MAX_NEIGHBOUR_ROWS} rows, came {len(rows)}")
    if classes and ((targets < 0) | (targets >= classes)).any():
        raise InvalidArtifact(f"nearest neighbours: expected classes within 0..{classes - 1}")
    try:
        estimator.__dict__.update(neighbours(plan, rows, targets, None).__dict__)
    except ValueError as error:
        raise InvalidArtifact(f"nearest neighbours: {error}") from None


def _network(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    sizes = plan.estimator.params.get("hidden_layer_sizes", (100,))
    hidden = list(sizes) if isinstance(sizes, (tuple, list)) else [sizes]
    units = [features, *hidden, known if known > 2 else 1]
    pairs = list(pairwise(units))
    estimator.coefs_ = [fields.take(f"weights.{i}", "<f8", pair) for i, pair in enumerate(pairs)]
    estimator.intercepts_ = [fields.take(f"biases.{i}", "<f8", (pair[1],)) for i, pair in enumerate(pairs)]
    estimator.n_layers_ = len(units)
    estimator.n_outputs_ = units[-1]
    if known:
        estimator.out_activation_ = "softmax" if known > 2 else "logistic"
        estimator._label_binarizer = LabelBinarizer().fit(estimator.classes_)
    else:
        estimator.out_activation_ = "exp" if plan.estimator.params.get("loss") == "poisson" else "identity"


def _tree(kind: type[Any], tree: Any, features: int, known: int) -> Any:
    estimator = kind()
    estimator.tree_ = tree
    estimator.n_features_in_ = features
    estimator.n_outputs_ = 1
    if known:
        estimator.classes_ = np.arange(known)
        estimator.n_classes_ = known
    return estimator


def _decision_tree(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    trees = unpack_trees(fields, features, known or 1)
    if len(trees) != 1:
        raise InvalidArtifact(f"a decision tree is one tree, came {len(trees)}")
    estimator.tree_ = trees[0]
    estimator.n_outputs_ = 1
    if known:
        estimator.n_classes_ = known


def _forest(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    trees = unpack_trees(fields, features, known or 1)
    _expect("trees", len(trees), estimator.n_estimators)
    kind = DecisionTreeClassifier if known else DecisionTreeRegressor
    estimator.estimators_ = [_tree(kind, tree, features, known) for tree in trees]
    estimator.n_outputs_ = 1
    if known:
        estimator.n_classes_ = known


def _boosting(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    each = known if known > 2 else 1
    trees = unpack_trees(fields, features, 1)
    # Early stopping keeps fewer steps than were allowed.
    if len(trees) % each or len(trees) // each > estimator.n_estimators:
        raise InvalidArtifact(f"expected {each} trees in each of at most {estimator.n_estimators} steps")
    wrapped = np.empty(len(trees), dtype=object)
    wrapped[:] = [_tree(DecisionTreeRegressor, tree, features, 0) for tree in trees]
    estimator.estimators_ = wrapped.reshape(-1, each)
    estimator.n_trees_per_iteration_ = each
    if known:
        if estimator.loss == "exponential" and known > 2:
            raise InvalidArtifact(f"the exponential loss is for two classes, came {known}")
        estimator.n_classes_ = known
    estimator._loss = estimator._get_loss(sample_weight=None)
    if plan.estimator.params.get("init") == "zero":
        estimator.init_ = "zero"
        return
    initial = fields.take("initial", "<f8", (known or 1,))
    if known:
        start = DummyClassifier(strategy="prior")
        start.classes_, start.n_classes_, start.class_prior_ = np.arange(known), known, initial
        start._strategy, start.sparse_output_ = "prior", False
    else:
        start = DummyRegressor()
        start.constant_ = initial.reshape(1, 1)
    start.n_outputs_ = 1
    estimator.init_ = start


def _histogram_boosting(plan: Plan, estimator: Any, fields: Fields, features: int, known: int) -> None:
    each = known if known > 2 else 1
    flat = unpack_predictors(fields, features)
    if len(flat) % each or len(flat) // each > estimator.max_iter:
        raise InvalidArtifact(f"expected {each} trees in each of at most {estimator.max_iter} steps")
    estimator._predictors = [flat[i : i + each] for i in range(0, len(flat), each)]
    estimator._baseline_prediction = fields.take("initial", "<f8", (1, each))
    estimator.n_trees_per_iteration_ = each
    estimator._n_features = features
    estimator.is_categorical_ = estimator._preprocessor = estimator._is_categorical_remapped = None
    estimator._loss = estimator._get_loss(sample_weight=None)
    # Predicting asks the binning only which features are categorical: none.
    bins = _BinMapper()
    bins.is_categorical_ = np.zeros(features, dtype=np.uint8)
    bins.bin_thresholds_ = []
    estimator._bin_mapper = bins


def _expect(what: str, came: int, expected: int) -> None:
    if came != expected:
        raise InvalidArtifact(f"expected {expected} {what}, came {came}")


_LINEAR: Final = frozenset({
    "LinearRegression", "Ridge", "Lasso", "LogisticRegression", "SGDClassifier", "SGDRegressor",
})
_ONE_CLASS: Final = frozenset({"GaussianNB", "DecisionTreeClassifier", "RandomForestClassifier"})
_RESTORE: Final[Mapping[str, Callable[[Plan, Any, Fields, int, int], None]]] = {
    **dict.fromkeys(_LINEAR, _linear),
    "GaussianNB": _naive_bayes,
    **dict.fromkeys(("KNeighborsClassifier", "KNeighborsRegressor"), _neighbours),
    **dict.fromkeys(("MLPClassifier", "MLPRegressor"), _network),
    **dict.fromkeys(("DecisionTreeClassifier", "DecisionTreeRegressor"), _decision_tree),
    **dict.fromkeys(("RandomForestClassifier", "RandomForestRegressor"), _forest),
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), _boosting),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), _histogram_boosting
    ),
}
