"""How long a job takes from submission to adopted and to final, on Iris, with the fleet warm.

    .venv/bin/python -m benchmarks.latency                              a fleet of its own, then gone
    .venv/bin/python -m benchmarks.latency --url http://127.0.0.1:5000  a fleet that runs

Times are taken at the client, over HTTP: from before the request that opens the job until the job's stream says
`adopted`, and until it says that this is final. Each is also given as a multiple of a reference from the same run and
machine: one process that trains the same partitions by the same seed, combines and scores them, with the data in
memory, without chain, store, broker or validators. The reference must come out at the fleet's candidate, CID for CID.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine
from coordinator.client import Client
from coordinator.documents import JobDocument, ModelDocument
from runtime import numeric
from runtime.settings import free_port

IRIS = Path(__file__).parents[1] / "datasets" / "iris.csv"
DATASET = "iris"
TARGET = "species"
MODEL = "latency-iris"
ESTIMATOR = "sklearn.naive_bayes.GaussianNB"
#: Seconds that a fleet may take to be ready.
READY = 120.0


@dataclass(frozen=True)
class Timing:
    """One job, in milliseconds."""

    adopted: float
    final: float
    reference: float


@contextlib.contextmanager
def fleet() -> Iterator[str]:
    """The URL of a fleet on a folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="assay-latency-") as folder:
        port = free_port()
        command = [sys.executable, "-P", "-m", "cli.main", "up", "--data", folder, "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def measure(client: Client, partitions: int, reference: Callable[[JobDocument], float]) -> Timing:
    """Open one job and follow it until it is final."""
    begun = time.perf_counter()
    job = client.train(MODEL, DATASET, ESTIMATOR, partitions=partitions)
    adopted = None
    for document in client.watch(job):
        now = time.perf_counter() - begun
        if document["adopted"] and adopted is None:
            adopted = now
    if adopted is None:
        raise SystemExit(f"job {job} is {document['state']}, not adopted: {document['reason']}")
    return Timing(1000 * adopted, 1000 * now, 1000 * reference(document))


def local_reference(folder: Path, model: ModelDocument) -> Callable[[JobDocument], float]:
    """A function that does a job's learning again in this process; it returns the seconds that took."""
    from ipfs.embedded import EmbeddedStore
    from learning.estimators import check_spec
    from learning.partitions import parse_partitioning
    from learning.recipe import Recipe
    from learning.registration import compute_statistics, describe_dataset
    from learning.session import Session

    store = EmbeddedStore(folder / "store")
    data = store.add(IRIS)
    with store.open(data) as stream:
        described = describe_dataset(stream, TARGET, None)
    manifest, fraction = store.add(described.manifest_bytes), model["holdout"]["fraction"]
    if fraction is None:
        raise SystemExit(f"model {MODEL} has a holdout dataset: measure a fleet where this program registers it")
    micro = round(fraction * 1_000_000)
    numbers = compute_statistics(store.open, data, described.manifest_bytes, TARGET, described.task, MODEL, micro)
    kept = store.add(numbers)

    def again(job: JobDocument) -> float:
        if job["seed"] is None or job["candidate"] is None:
            raise SystemExit(f"job {job['job']} has no candidate")
        recipe = Recipe(
            model=MODEL,
            data=data,
            manifest=manifest,
            target=TARGET,
            task=described.task,
            metric=model["metric"],
            statistics=kept,
            holdout_fraction=micro,
            holdout_data=None,
            holdout_manifest=None,
            estimator=check_spec(job["estimator"], described.task),
            partitioning=parse_partitioning(job["partitioning"]),
            partitions=len(job["partitions"]),
            rounds=1,
            aggregation=job["aggregation"],
            job=job["job"],
            seed=job["seed"]["value"],
        )
        begun = time.perf_counter()
        session = Session(recipe, store.open, folder / "cache")
        updates = [session.train(0, partition, None) for partition in range(recipe.partitions)]
        combined = session.aggregate(0, [(update.artifact, update.rows) for update in updates])
        took = time.perf_counter() - begun
        cid = store.add(combined.artifact)
        if cid != job["candidate"]["cid"]:
            raise SystemExit(f"the reference came out at {cid}, the fleet at {job['candidate']['cid']}")
        return took

    return again


def show(timings: list[Timing], partitions: int) -> str:
    """The table, as it stands in benchmarks/README.md."""
    reference = statistics.median(timing.reference for timing in timings)
    lines = [
        f"{len(timings)} jobs on Iris, {partitions} partitions, {ESTIMATOR}; ms",
        "",
        f"{'':<22}{'p50':>9}{'min':>9}{'max':>9}{'p50 / reference':>18}",
    ]
    for name, values in (
        ("submit to adopted", [timing.adopted for timing in timings]),
        ("submit to final", [timing.final for timing in timings]),
        ("reference, in process", [timing.reference for timing in timings]),
    ):
        middle = statistics.median(values)
        lines.append(
            f"{name:<22}{middle:>9.1f}{min(values):>9.1f}{max(values):>9.1f}{middle / reference:>18.1f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 0 when every job was adopted."""
    parser = argparse.ArgumentParser(description="Submit to adopted and to final, on Iris, with the fleet warm.")
    parser.add_argument("--url", help="a coordinator that runs [default: a fleet of its own]")
    parser.add_argument("--count", type=int, default=10, help="jobs that are measured [default: 10]")
    parser.add_argument("--partitions", type=int, default=4, help="partitions of each job [default: 4]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the fleet goes with it
    numeric.pin()
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(fleet())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-reference-")))
        client = stack.enter_context(Client(url))
        readiness = client.wait_ready(READY)
        if not readiness["ready"]:
            raise SystemExit(f"the fleet at {url} is not ready: {readiness['parts']}")
        client.add_dataset(DATASET, TARGET, path=IRIS)
        # Every job is to be adopted, whatever its score: a job that is not ends otherwise and measures another thing.
        client.register_model(MODEL, [DATASET], minimum_improvement=-1.0)
        again = local_reference(folder, client.model(MODEL))
        measure(client, options.partitions, again)  # warms workers, validators and the reference; not counted
        timings = [measure(client, options.partitions, again) for _ in range(options.count)]
    print(show(timings, options.partitions))
    print(f"\n{machine()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
