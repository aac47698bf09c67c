"""The broker alone is killed while workers train: they take tasks again as soon as it is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

BAYES = "sklearn.naive_bayes.GaussianNB"
#: Seconds to finish what would take about ten without a kill; a worker that is deaf never does.
WITHIN = 60.0
#: What a worker says that could not acknowledge its task.
GONE = "the broker that a task came from is gone"

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(400)]


def without_broker(fleet, until: Callable[[], bool], seconds: float = 60.0) -> None:
    """Kill each broker that the supervisor starts until it is so."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        process = fleet.look().get("broker")
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.02)


def test_workers_whose_tasks_cannot_be_acknowledged_take_others_when_it_is_back(fleet):
    """While they train they read nothing from the broker: that it was replaced they learn by that alone."""
    job = fleet.client.train("broker-killed", "iris", BAYES, partitions=4)

    def count(*states: str) -> int:
        document = fleet.job(job)
        return 0 if document is None else sum(part["state"] in states for part in document["partitions"])

    fleet.when(job, lambda _: count("done") >= 2 and count("claimed", "done") == 4)
    without_broker(fleet, lambda: count("done") == 4)
    fleet_logs = [fleet.folder.logs / f"worker-{number}.log" for number in (1, 2)]
    without_broker(fleet, lambda: all(GONE in log.read_text() for log in fleet_logs))
    document = fleet.closed(job, WITHIN)
    assert (document["state"], document["adopted"]) == ("adopted", True), document
    fleet.assert_nothing_trained_twice_over(job)
