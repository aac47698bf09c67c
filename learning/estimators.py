"""Estimators as JSON: `{"class": "sklearn.linear_model.Ridge", "params": {"alpha": 0.5}}` or a pipeline
of them.

`{"pipeline": [scaler, ..., estimator]}` puts scaling before the estimator. Scaling uses the *shared
statistics* registered with the model, not the rows at hand, so that all partitions of a job scale alike
and their models can be averaged, merged or compared: StandardScaler subtracts the shared mean and
divides by the shared spread (clipped as `learning.features.standardise` documents), MinMaxScaler maps
the training rows' shared range to `feature_range`.

The text that goes on the chain is canonical JSON (RFC 8785), in which 1.0 and 1 are the same number. Where
scikit-learn means different things by them (`max_features`: all features, or one), the float is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

import rfc8785
from sklearn.utils._param_validation import (
    make_constraint,
)

from learning.catalogue import (
    AVERAGE,
    BOUNDS,
    CATALOGUE,
    DISTANCES,
    ENSEMBLE,
    ESTIMATORS,
    FIXED,
    LISTS,
    MAX_LAYERS,
    MERGE,
    NOT_NULL,
    Entry,
)
from learning.errors import InvalidSpec
from runtime import strict_json

MAX_SPEC_BYTES = 16_384
MAX_STEPS = 4
MAX_TEXT = 64
MAX_ROUNDS = 100
AGGREGATIONS = (MERGE, AVERAGE, ENSEMBLE)


@dataclass(frozen=True)
class Step:
    """One class with its checked parameters, as Python values that scikit-learn takes."""

    entry: Entry
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A checked spec: scaling steps in order, then the estimator. `text` is its canonical JSON."""

    text: str
    scaling: tuple[Step, ...]
    estimator: Step

    def build(self, random_state: int | None) -> Any:
        """A fresh, unfitted scikit-learn estimator (without the scaling, which `learning.models` does)."""
        kind = self.estimator.entry.type
        params = dict(self.estimator.params)
        if random_state is not None and "random_state" in kind._parameter_constraints:
            params["random_state"] = random_state
        return kind(**params)


def check_spec(spec: Mapping[str, Any] | str, task: str) -> str:
    """The canonical JSON of an estimator spec (a mapping, its JSON text, or the bare name of a class).

    Raises InvalidSpec naming the class or parameter, what was expected and what came.
    """
    return parse_spec(spec, task).text


def parse_spec(spec: Mapping[str, Any] | str, task: str) -> Plan:
    """Check a spec against the allow-list, scikit-learn's own parameter constraints and our bounds."""
    raw = _read(spec)
    if "pipeline" in raw:
        _only(raw, {"pipeline"}, "the spec of a pipeline")
        parts = raw["pipeline"]
        if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_STEPS:
            raise InvalidSpec(f"pipeline: expected a list of 1 to {MAX_STEPS} steps, came {_show(parts)}")
    else:
        parts = [raw]
    steps = [_step(part) for part in parts]
    *scaling, estimator = steps
    if estimator.entry.scaler:
        raise InvalidSpec(f"the last step must be an estimator, came the scaler {estimator.entry.path}")
    for step in scaling:
        if not step.entry.scaler:
            raise InvalidSpec(
                f"only scaling steps may come before the estimator, came {step.entry.path}; "
                "expected StandardScaler or MinMaxScaler of sklearn.preprocessing"
            )
    if estimator.entry.task != task:
        raise InvalidSpec(
            f"{estimator.entry.path} is for {estimator.entry.task}, the model's task is {task!r}; "
            f"expected one of {', '.join(p for p in ESTIMATORS if CATALOGUE[p].task == task) or 'no class'}"
        )
    plain: list[dict[str, Any]] = [{"class": s.entry.path, "params": _plain(s.params)} for s in steps]
    whole: dict[str, Any] = {"pipeline": plain} if scaling else plain[0]
    text = rfc8785.dumps(whole).decode()
    if len(text) > MAX_SPEC_BYTES:
        raise InvalidSpec(f"the estimator's spec has {len(text)} bytes, at most {MAX_SPEC_BYTES} are allowed")
    return Plan(text, tuple(scaling), estimator)


def possible_aggregations(spec: Mapping[str, Any] | str | Plan) -> tuple[str, ...]:
    """What the estimator's updates can be combined by, the preferred way first."""
    plan = spec if isinstance(spec, Plan) else _plan(spec)
    step = plan.estimator
    # The merged solution of least squares knows no bound on the coefficients; their mean keeps it.
    if step.params.get("positive"):
        return tuple(a for a in step.entry.aggregations if a != MERGE)
    return step.entry.aggregations


def resolve_aggregation(spec: Mapping[str, Any] | str | Plan, requested: str) -> str:
    """The aggregation a job uses: the requested one, or for "auto" merge, else average, else ensemble.

    Raises InvalidSpec that says what is possible when the requested one is not.
    """
    possible = possible_aggregations(spec)
    if requested == "auto":
        return possible[0]
    if requested not in possible:
        plan = spec if isinstance(spec, Plan) else _plan(spec)
        raise InvalidSpec(
            f"aggregation {_show(requested)} is not possible for {plan.estimator.entry.path}; "
            f"expected auto, {', '.join(possible)}"
        )
    return requested


def check_rounds(spec: Mapping[str, Any] | str | Plan, aggregation: str, rounds: int) -> None:
    """Refuse more rounds than the aggregation can use: members of an ensemble have nothing to continue from.

    Merged statistics and models with a closed solution (Ridge) are complete after one round; further
    rounds are allowed and repeat it.
    """
    chosen = resolve_aggregation(spec, aggregation)
    if not 1 <= rounds <= MAX_ROUNDS:
        raise InvalidSpec(f"rounds: expected 1 to {MAX_ROUNDS}, came {rounds}")
    if rounds > 1 and chosen == ENSEMBLE:
        raise InvalidSpec(
            f"rounds: an ensemble is complete after one round, came {rounds}; "
            "use 1 round, or an estimator that can be averaged"
        )


def _plan(spec: Mapping[str, Any] | str) -> Plan:
    raw = _read(spec)
    parts = raw.get("pipeline", [raw])
    last = parts[-1] if isinstance(parts, list) and parts else None
    step = _step(last)
    return parse_spec(raw, step.entry.task or "")


def _read(spec: Mapping[str, Any] | str) -> dict[str, Any]:
    if isinstance(spec, str):
        if len(spec.encode(errors="surrogatepass")) > MAX_SPEC_BYTES:
            raise InvalidSpec(f"the estimator's spec is larger than {MAX_SPEC_BYTES} bytes")
        if not spec.lstrip().startswith("{"):
            return {"class": spec.strip()}
        try:
            spec = strict_json.loads(spec, object_pairs_hook=_no_duplicates)
        except ValueError as error:
            raise InvalidSpec(f"the estimator's spec is not JSON: {error}") from None
    if not isinstance(spec, Mapping):
        raise InvalidSpec(f'expected an estimator as {{"class": ..., "params": {{...}}}}, came {_show(spec)}')
    return dict(spec)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidSpec("the estimator's spec names a field twice")
    return result


def _step(part: object) -> Step:
    if not isinstance(part, Mapping):
        raise InvalidSpec(f'expected a step as {{"class": ..., "params": {{...}}}}, came {_show(part)}')
    _only(part, {"class", "params"}, "a step")
    path = part.get("class")
    entry = CATALOGUE.get(path) if isinstance(path, str) else None
    if entry is None:
        near = _near(path)
        expected = f"did you mean {' or '.join(near)}" if near else f"expected one of {', '.join(CATALOGUE)}"
        raise InvalidSpec(f"class {_show(path)} is not allowed; {expected}")
    params = part.get("params", {})
    if not isinstance(params, Mapping):
        raise InvalidSpec(f"params of {entry.path}: expected an object, came {_show(params)}")
    return Step(entry, {str(name): _param(entry, name, params[name]) for name in sorted(params, key=str)})


def _near(path: object) -> list[str]:
    """Up to three classes that somebody may have meant: by the whole name, or by its last part alone."""
    if not isinstance(path, str):
        return []
    by_name = {each.rsplit(".", 1)[-1].lower(): each for each in CATALOGUE}
    name = path[-MAX_TEXT:].rsplit(".", 1)[-1].lower()
    return [by_name[each] for each in get_close_matches(name, by_name, 3, 0.75)]


def _only(part: Mapping[str, Any], allowed: set[str], what: str) -> None:
    unknown = sorted(str(key) for key in part if key not in allowed)
    if unknown:
        expected = ", ".join(sorted(allowed))
        raise InvalidSpec(f"unknown field {_show(unknown[0])} in {what}; expected {expected}")


def _param(entry: Entry, name: object, value: object) -> Any:
    constraints = entry.type._parameter_constraints
    where = f"parameter {_show(name)} of {entry.path}"
    if not isinstance(name, str) or name not in constraints:
        known = ", ".join(sorted(k for k in constraints if k not in FIXED))
        raise InvalidSpec(f"{where} does not exist; expected one of {known}")
    if name in FIXED:
        raise InvalidSpec(f"{where} is fixed, leave it out: {FIXED[name]}; came {_show(value)}")
    _check_shape(where, name, value)
    _check_bounds(where, name, value)
    given = tuple(value) if isinstance(value, list) else value
    allowed = [c for c in map(make_constraint, constraints[name]) if not c.hidden]
    if isinstance(given, float) and given.is_integer():
        whole = int(given)
        if any(c.is_satisfied_by(whole) and not c.is_satisfied_by(given) for c in allowed):
            raise InvalidSpec(
                f"{where}: {given} cannot be told from {whole} in canonical JSON and means something else; "
                f"expected {whole}, a smaller fraction, or the parameter left out"
            )
        given = whole
    number = isinstance(given, int) and not isinstance(given, bool)
    if number and not any(c.is_satisfied_by(given) for c in allowed):
        # "a float in the range (0, 1]" refuses the integer that 1.0 is in canonical JSON.
        given = float(cast(int, given))
    if not any(c.is_satisfied_by(given) for c in allowed):
        expected = " or ".join(_describe(c) for c in allowed)
        raise InvalidSpec(f"{where}: expected {expected}, came {_show(value)}")
    if name == "metric" and given not in DISTANCES:
        raise InvalidSpec(f"{where}: expected one of {', '.join(sorted(DISTANCES))}, came {_show(given)}")
    if given is None and name in NOT_NULL.get(entry.type, ()):
        raise InvalidSpec(f"{where}: expected a number, or the parameter left out, came null")
    return given


def _describe(constraint: Any) -> str:
    # Options are sets, whose own text changes from process to process.
    options = getattr(constraint, "options", None)
    return f"one of {', '.join(sorted(map(str, options)))}" if options else str(constraint)


def _check_shape(where: str, name: str, value: object) -> None:
    def scalar(item: object) -> bool:
        if isinstance(item, (int, float)):
            return abs(item) < 2**53  # what canonical JSON holds exactly; false for a NaN
        return item is None or (isinstance(item, str) and len(item) <= MAX_TEXT)

    if isinstance(value, (list, tuple)) and name in LISTS:
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and scalar(v) for v in value)
        if numbers and 1 <= len(value) <= 4_096:
            return
        raise InvalidSpec(f"{where}: expected a list of numbers, came {_show(value)}")
    if not scalar(value):
        kinds = "a list of numbers, " if name in LISTS else ""
        expected = f"{kinds}null, true, false, a number below 2**53 or a text"
        raise InvalidSpec(f"{where}: expected {expected}, came {_show(value)}")


def _check_bounds(where: str, name: str, value: object) -> None:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if name == "hidden_layer_sizes":
        if len(values) > MAX_LAYERS:
            raise InvalidSpec(f"{where}: expected at most {MAX_LAYERS} layers, came {len(values)}")
        if not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values):
            raise InvalidSpec(f"{where}: expected layer sizes of 1 or more, came {_show(value)}")
    bound = BOUNDS.get(name)
    if bound is not None and any(isinstance(v, (int, float)) and v > bound for v in values):
        raise InvalidSpec(f"{where}: expected at most {bound}, came {_show(value)}")
    if name == "feature_range" and not (len(values) == 2 and values[0] < values[1]):  # type: ignore[operator]
        raise InvalidSpec(f"{where}: expected [low, high] with low < high, came {_show(value)}")
    if name == "priors" and value is not None:
        total = math.fsum(values)  # type: ignore[arg-type]
        if min(values) < 0 or not math.isclose(total, 1.0, abs_tol=1e-8):  # type: ignore[type-var,operator]
            raise InvalidSpec(f"{where}: expected probabilities that sum to 1, came {_show(value)}")


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in params.items()}


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
