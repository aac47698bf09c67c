"""SIGKILL in the middle of a job of eight partitions of three seconds each: what comes back finishes it, and trains
nothing again that was on the chain."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

BAYES = "sklearn.naive_bayes.GaussianNB"

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]


def running_on(folder: Path) -> list[str]:
    """Command lines of the processes that name the folder. (Whether somebody listens at a port that was the fleet's
    says nothing: it may be another program's by now.)"""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


def one_more(fleet, job: str) -> None:
    """Wait for one more update than there is."""
    done = fleet.done(job)
    fleet.when(job, lambda document: sum(part["state"] == "done" for part in document["partitions"]) > done)


def finished(fleet, job: str, partitions: int, again: int) -> None:
    """The job ends adopted and final, with at most `again` trainings beyond one of each partition."""
    document = fleet.closed(job)
    assert (document["state"], document["adopted"]) == ("adopted", True), document
    counts = fleet.trained(job)
    assert set(counts) == {(0, index) for index in range(partitions)}
    assert counts.total() <= partitions + again, counts
    fleet.assert_nothing_trained_twice_over(job)


def test_the_coordinator_then_each_worker_then_everything(fleet):
    begun = time.monotonic()
    job = fleet.client.train("all-killed", "iris", BAYES, partitions=8)
    one_more(fleet, job)
    fleet.kill("coordinator")
    one_more(fleet, job)
    assert fleet.trained(job).most_common(1)[0][1] == 1, "workers went on without a coordinator"
    fleet.kill("worker-1")
    one_more(fleet, job)
    fleet.kill("worker-2")
    one_more(fleet, job)
    left, folder = fleet.endpoints, fleet.folder.path
    assert len(running_on(folder)) >= 5, "the supervisor, node, coordinator and two workers"
    fleet.end(signal.SIGKILL, within=5)
    assert not running_on(folder)
    assert fleet.trained(job).total() < 12, "the job is in its middle"
    fleet.start().ready()
    assert not Path(left["broker"].removeprefix("redis+socket://")).parent.exists(), "the dead broker's folder"
    finished(fleet, job, partitions=8, again=4)  # what each worker was at when it was killed
    assert time.monotonic() - begun < 90, "nobody waited for a lease to lapse"


def test_the_processes_that_train(fleet):
    job = fleet.client.train("pools-killed", "iris", BAYES, partitions=4)
    for name in ("worker-1 pool", "worker-2 pool"):
        one_more(fleet, job)
        fleet.kill(name)
    finished(fleet, job, partitions=4, again=2)
    failures = [line for line in fleet.folder.blockchain_log.read_text().splitlines() if "failure_reported" in line]
    assert any("was killed" in line for line in failures), "the worker told what happened to its process"
