"""Registered models and their versions."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate, InvalidField
from chain.records import replace
from chain.state.context import Context, Origin, existing, require
from chain.state.objects import Model
from chain.state.tables import DATASETS, MODELS
from chain.transactions import RegisterModel


def version_key(model: str, number: int) -> str:
    """The key of a version in the table of versions: ``name@number``."""
    return f"{model}@{number}"


def apply_register_model(context: Context, origin: Origin, payload: RegisterModel) -> None:
    """Fix the policy for all versions to come.

    Raises ``Unknown`` for datasets not registered, ``InvalidField`` for a policy that cannot work,
    ``Duplicate`` for the same again and ``Conflict`` for a name that is taken.
    """
    model = Model(
        name=payload.name,
        owner=origin.sender,
        datasets=payload.datasets,
        task=payload.task,
        metric=payload.metric,
        direction=payload.direction,
        minimum_improvement=payload.minimum_improvement,
        audit_fraction=payload.audit_fraction,
        holdout_fraction=payload.holdout_fraction,
        holdout_dataset=payload.holdout_dataset,
        statistics=payload.statistics,
        environments=payload.environments,
        openers=payload.openers,
        workers=payload.workers,
        transaction=origin.id,
        height=context.height,
        in_service=0,
        versions=0,
    )
    known = context.draft.get(MODELS, payload.name)
    if known is not None:
        policy = replace(known, transaction=model.transaction, height=model.height, in_service=0, versions=0)
        if policy == model:
            raise Duplicate(f"a model that is not registered yet, {payload.name!r} is, with just this policy")
        raise Conflict(
            "a name that is free", f"{payload.name!r}, registered by {known.owner}", "body.payload.name"
        )
    _check_policy(context, payload)
    context.draft.put(MODELS, payload.name, model)
    context.emit(
        "model_registered", model=payload.name, owner=origin.sender, datasets=",".join(payload.datasets),
        metric=payload.metric,
    )  # fmt: skip


def _check_policy(context: Context, payload: RegisterModel) -> None:
    names = payload.datasets
    if payload.holdout_dataset is not None:
        names = (*names, payload.holdout_dataset)
    found = [existing(context.draft.get(DATASETS, name), "dataset", name) for name in names]
    for dataset in found:
        require(
            dataset.task == payload.task and dataset.target == found[0].target,
            InvalidField,
            f"datasets for {payload.task} of {found[0].target!r}",
            f"{dataset.name!r} for {dataset.task} of {dataset.target!r}",
            "body.payload.datasets",
        )
