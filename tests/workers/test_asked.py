"""The arguments of a task are taken as the coordinator sends them, and in no other form."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.scheduler import Task
from ipfs.cid import DAG_CBOR, cid_of
from workers.asked import Asked, NoTask, asked_of

JOB = str(cid_of(DAG_CBOR, b"job"))
TRAIN = {"job": JOB, "attempt": 1, "round": 2, "partition": 3}
AGGREGATE = {"job": JOB, "attempt": 1, "round": 2}


def test_what_the_coordinator_sends_is_a_task() -> None:
    train, aggregate = Task(JOB, 1, 2, 3), Task(JOB, 1, 2, None, "0x" + "1" * 40)
    assert asked_of(train.kwargs, partition=True) == Asked(JOB, 1, 2, 3)
    assert asked_of(aggregate.kwargs, partition=False) == Asked(JOB, 1, 2, None)


@pytest.mark.parametrize(
    "given",
    [
        None, [], [TRAIN], {}, AGGREGATE, {**TRAIN, "more": 1}, {**TRAIN, "job": None}, {**TRAIN, "job": "../chain"},
        {**TRAIN, "job": JOB.upper()}, {**TRAIN, "attempt": "1"}, {**TRAIN, "round": 2.0}, {**TRAIN, "round": True},
        {**TRAIN, "partition": -1}, {**TRAIN, "partition": None}, {**TRAIN, "partition": 10**40},
    ],
)  # fmt: skip
def test_anything_else_is_none(given: Any) -> None:
    with pytest.raises(NoTask) as caught:
        asked_of(given, partition=True)
    assert len(str(caught.value)) < 500


def test_an_aggregate_is_of_no_partition() -> None:
    with pytest.raises(NoTask, match="expected the arguments attempt, job, round"):
        asked_of(TRAIN, partition=False)
