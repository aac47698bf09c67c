"""Models to artifact bytes and back. Equal models give equal bytes; loading bounds, checks and executes nothing."""

from __future__ import annotations

from typing import Any

from learning.artifacts.envelope import Arrays, Fields, pack, unpack
from learning.artifacts.states import restore, state_of
from learning.catalogue import CLASSIFICATION, REGRESSION
from learning.errors import InvalidArtifact, InvalidSpec
from learning.estimators import Plan, parse_spec
from learning.models import Constant, Ensemble, Fitted, Model, Scale
from learning.sufficient import Merged, read_merged

MAX_MEMBERS = 256
MAX_FEATURES = 100_000
MAX_CLASSES = 10_000
MAX_ROWS = 2**40


def dump(model: Model, plan: Plan) -> bytes:
    """The artifact of a model trained by `plan`. Raises InvalidArtifact where it is not finite or too large."""
    arrays: Arrays = {}
    header: dict[str, Any] = {
        "estimator": plan.text,
        "task": plan.estimator.entry.task,
        "features": model.features,
        "classes": model.classes,
    }
    if isinstance(model, Ensemble):
        members: list[dict[str, Any]] = []
        scaling: tuple[Scale, ...] = ()
        for index, (member, rows) in enumerate(model.members):
            members.append({**_describe(member), "rows": rows})
            arrays.update(_arrays(member, f"{index}."))
            scaling = member.scaling if isinstance(member, Fitted) else scaling
        header.update(kind="ensemble", members=members)
    else:
        header.update(_describe(model))
        arrays.update(_arrays(model, ""))
        scaling = model.scaling if isinstance(model, (Fitted, Merged)) else ()
    header["scaling"] = [{"low": step.low, "high": step.high} for step in scaling]
    for index, step in enumerate(scaling):
        arrays[f"scaling.{index}.offset"] = step.offset
        arrays[f"scaling.{index}.factor"] = step.factor
    return pack(header, arrays)


def load(data: bytes) -> tuple[Model, Plan]:
    """The model and the plan an artifact names. Raises InvalidArtifact for anything that is not a whole model."""
    header, arrays = unpack(data)
    task = header.get("task")
    if not isinstance(task, str) or task not in {CLASSIFICATION, REGRESSION} or not isinstance(
        header.get("estimator"), str
    ):
        raise InvalidArtifact(f"expected an estimator and a task, came the task {str(task)[:40]!r}")
    try:
        plan = parse_spec(header["estimator"], task)
    except InvalidSpec as error:
        raise InvalidArtifact(f"the artifact's estimator is not allowed: {error}") from None
    if plan.text != header["estimator"]:
        raise InvalidArtifact("the artifact's estimator is not written canonically")
    features = _whole(header, "features", 1, MAX_FEATURES)
    classes = _whole(header, "classes", 1, MAX_CLASSES) if task == CLASSIFICATION else _whole(
        header, "classes", 0, 0
    )
    scaling = _scaling(header, arrays, features)
    if header.get("kind") != "ensemble":
        model = _member(header, plan, Fields(arrays), features, classes, scaling)
        Fields(arrays).done()
        return model, plan
    described = header.get("members")
    if not isinstance(described, list) or not 1 <= len(described) <= MAX_MEMBERS:
        raise InvalidArtifact(f"an ensemble has 1 to {MAX_MEMBERS} members")
    members: list[tuple[Model, int]] = []
    for index, one in enumerate(described):
        if not isinstance(one, dict):
            raise InvalidArtifact("each member of an ensemble must be described by an object")
        rows = _whole(one, "rows", 1, MAX_ROWS)
        members.append((_member(one, plan, Fields(arrays, f"{index}."), features, classes, scaling), rows))
    Fields(arrays).done()
    return Ensemble(features, classes, tuple(members)), plan


def _describe(model: Model) -> dict[str, Any]:
    if isinstance(model, Constant):
        return {"kind": "constant", "label": model.label}
    return {"kind": "merged" if isinstance(model, Merged) else "fitted"}


def _arrays(model: Model, prefix: str) -> Arrays:
    found: Arrays = {}
    if isinstance(model, Fitted):
        found = state_of(model.plan, model.estimator)
    elif isinstance(model, Merged):
        found = model.arrays()
    return {prefix + name: array for name, array in found.items()}


def _member(
    header: dict[str, Any], plan: Plan, fields: Fields, features: int, classes: int, scaling: tuple[Scale,
    ...]
) -> Model:
    kind = header.get("kind")
    if kind == "constant" and classes:
        fields.done()
        return Constant(features, classes, _whole(header, "label", 0, classes - 1))
    if kind == "fitted":
        return Fitted(plan, features, classes, scaling, restore(plan, fields, features, classes))
    if kind == "merged":
        return read_merged(plan, fields, features, classes, scaling)
    raise InvalidArtifact(f"unknown kind of model {str(kind)[:40]!r} in the artifact")


def _scaling(header: dict[str, Any], arrays: Arrays, features: int) -> tuple[Scale, ...]:
    described = header.get("scaling")
    if not isinstance(described, list) or len(described) > 8:
        raise InvalidArtifact("expected a list of at most 8 scaling steps")
    steps = []
    for index, one in enumerate(described):
        low, high = (one.get("low"), one.get("high")) if isinstance(one, dict) else ("", "")
        limits: tuple[float, float] | tuple[None, None] = (None, None)
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and abs(low) + abs(high) < 1e300:
            limits = (float(low), float(high))
        elif low is not None or high is not None:
            raise InvalidArtifact("the bounds of a scaling step must be two numbers or two nulls")
        fields = Fields(arrays, f"scaling.{index}.")
        offset = fields.take("offset", "<f8", (features,))
        factor = fields.take("factor", "<f8", (features,))
        if (factor == 0).any():
            raise InvalidArtifact("a scaling step divides by zero")
        steps.append(Scale(offset, factor, *limits))
    return tuple(steps)


def _whole(header: dict[str, Any], name: str, low: int, high: int) -> int:
    value = header.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidArtifact(f"{name}: expected a whole number from {low} to {high}, came {str(value)[:40]}")
    return value
