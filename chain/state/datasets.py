"""Registered datasets."""

from __future__ import annotations

from chain.errors import Conflict, Duplicate
from chain.records import replace
from chain.state.context import Context, Origin
from chain.state.objects import Dataset
from chain.state.tables import DATASETS
from chain.transactions import RegisterDataset


def apply_register_dataset(context: Context, origin: Origin, payload: RegisterDataset) -> None:
    """Give content a name.  Raises ``Duplicate`` for the same again, ``Conflict`` for a taken name."""
    dataset = Dataset(
        name=payload.name,
        owner=origin.sender,
        data=payload.data,
        manifest=payload.manifest,
        rows=payload.rows,
        target=payload.target,
        task=payload.task,
        transaction=origin.id,
        height=context.height,
    )
    known = context.draft.get(DATASETS, payload.name)
    if known is not None:
        if replace(dataset, transaction=known.transaction, height=known.height) == known:
            raise Duplicate(
                f"a dataset that is not registered yet, {payload.name!r} is, with just this content"
            )
        raise Conflict(
            "a name that is free",
            f"{payload.name!r} registered by {known.owner} for {known.data}",
            "body.payload.name",
        )
    context.draft.put(DATASETS, payload.name, dataset)
    context.emit(
        "dataset_registered", dataset=payload.name, owner=origin.sender, cid=payload.data, rows=payload.rows
    )
