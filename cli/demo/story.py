"""The demo's story on a running fleet: train, vote, adopt; catch a cheat; audit. Each act returns the facts it showed.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from chain.client import NodeClient, NodeEvent
from chain.params import Genesis
from chain.wallets import Wallets
from cli import live
from cli.audit import document as audit_document
from cli.audit import show, tell
from cli.demo.progress import stamped
from cli.demo.tell import Teller, cropped
from cli.fleet import Endpoints, FleetOptions, welcome_newcomers, worker_name
from coordinator.client import Client, Problem
from coordinator.documents import JobDocument
from ipfs.store import ContentStore
from runtime.supervisor import Child, Supervisor

DATASET = "iris"
MODEL = "iris-species"
TARGET = "species"
#: Merged, not averaged: its models are counts, means and variances, which add up exactly.
ESTIMATOR = "sklearn.naive_bayes.GaussianNB"
PARTITIONS = 4
#: A flower that is in no table.
FLOWER = {"sepal_length": 5.9, "sepal_width": 3.0, "petal_length": 4.2, "petal_width": 1.3}
LOG_LINES = 8


@dataclass(frozen=True)
class Scene:
    """A running fleet and what the acts need of it."""

    options: FleetOptions
    endpoints: Endpoints
    genesis: Genesis
    client: Client
    node: NodeClient
    store: ContentStore
    teller: Teller


def iris() -> Path:
    """The table that comes with Assay: beside the packages in a checkout, under the prefix where it is installed."""
    places = [Path(__file__).parents[2], Path(sys.prefix) / "share" / "assay"]
    for place in places:
        if (place / "datasets" / "iris.csv").is_file():
            return place / "datasets" / "iris.csv"
    raise click.ClickException(
        f"datasets/iris.csv is in none of {', '.join(map(str, places))}: run the demo from a checkout of Assay"
    )


def register(scene: Scene, cid: str) -> dict[str, Any]:
    """Act 1: the dataset and the model are on the chain; the facts of both."""
    teller = scene.teller
    dataset = scene.client.add_dataset(DATASET, TARGET, cid=cid)
    try:
        scene.client.register_model(MODEL, [DATASET])
    except Problem as problem:
        if problem.status != 409:  # in a kept folder the model is there already
            raise
    model = scene.client.model(MODEL)
    teller.fact("dataset", f"{dataset['name']}: {dataset['rows']} rows, to predict: {dataset['target']}")
    teller.fact("data", f"{dataset['cid']}")
    teller.fact("manifest", f"{dataset['manifest_cid']}")
    teller.fact("registered", f"by transaction {dataset['transaction']} in block {dataset['height']}")
    teller.fact("model", f"{model['name']}: judged by {model['metric']} on rows that nobody trains on")
    teller.why("A CID is a hash of the content: who fetches it can check that these are the very same rows.")
    teller.why("The exam is fixed before the first job: no job chooses the rows it is judged on.")
    return {"dataset": dataset, "model": model}


def train(scene: Scene) -> tuple[JobDocument, dict[str, float]]:
    """Open the job and show it live; the closed and final job, and the seconds from submission to both."""
    begun = time.monotonic()
    seconds: dict[str, float] = {}
    told = stamped(scene.teller.names)
    job = scene.client.train(MODEL, DATASET, ESTIMATOR, partitions=PARTITIONS, attempts=1)

    def documents() -> Iterator[JobDocument]:
        for document in scene.client.watch(job):
            now = round(time.monotonic() - begun, 3)
            if document["closed"] is not None:
                seconds.setdefault("closed", now)
                if document["final"]:
                    seconds.setdefault("final", now)
            yield document

    scene.teller.fact("job", job)
    return live.watch(documents(), scene.teller.console, told), seconds


def adopt(scene: Scene) -> dict[str, Any]:
    """Act 2: an honest job, from its opening to a prediction."""
    teller = scene.teller
    job, seconds = train(scene)
    if job["state"] != "adopted" or job["version"] is None or job["candidate"] is None:
        raise click.ClickException(f"the job was to be adopted and is {job['state']}: {job['reason']}")
    held_out = scene.client.dataset(DATASET)["rows"] - sum(p["rows"] or 0 for p in job["partitions"])
    seed = _seed(scene, job)
    teller.blank()
    teller.partitions(job)
    teller.why(f"Nobody chose their rows: the seed did. {held_out} more rows are the exam, and in no partition.")
    teller.blank()
    teller.fact("candidate", f"{job['candidate']['cid']}  score {job['candidate']['score']:.6f}")
    teller.votes(job)
    teller.why("Each validator trained all four partitions itself, from the CIDs and the seed, and compared the bytes.")
    final = _became_final(scene, job)
    version = scene.client.version(MODEL, job["version"])
    teller.blank()
    teller.verdict(True, f"adopted as version {job['version']} in block {version['height']} at {version['adopted_at']}")
    teller.fact("final", f"since block {final['height']} at {final['time']}")
    teller.fact("submitted", f"adopted after {seconds['closed']:.2f} s, final after {seconds['final']:.2f} s")
    whole = _whole(scene, job)
    teller.blank()
    teller.fact("this model", f"score {job['candidate']['score']:.6f}  {job['candidate']['cid']}")
    teller.fact("all at once", f"score {whole['score']:.6f}  {whole['cid']}")
    teller.why(
        "Split over workers, and still the very model that one machine with all the rows would train: the same CID."
        if whole["same"]
        else "The same estimator trained by one machine on all the rows, for comparison."
    )
    prediction = scene.client.predict(MODEL, [FLOWER])
    teller.blank()
    teller.fact("predict", f"POST {scene.endpoints.coordinator}/api/v1/models/{MODEL}/predict")
    teller.fact("", ", ".join(f"{name} {value}" for name, value in FLOWER.items()))
    teller.fact("answer", f"{prediction['predictions'][0]}, by version {prediction['version']} ({prediction['cid']})")
    return {
        "job": job,
        "seed": seed,
        "seconds": seconds,
        "version": version,
        "final": final,
        "whole": whole,
        "prediction": prediction,
    }


def _seed(scene: Scene, job: JobDocument) -> dict[str, Any]:
    seed = job["seed"]
    if seed is None:
        raise click.ClickException(f"job {job['job']} was closed without a seed")
    # chain/state/jobs.py: SHA-256 over the job's id and the hash, in hex, of the block that holds the job.
    again = hashlib.sha256((job["job"] + seed["block"]).encode()).hexdigest() == seed["value"]
    scene.teller.blank()
    scene.teller.fact("seed", seed["value"])
    same = "computed again, the same" if again else "COMPUTED AGAIN, ANOTHER"
    scene.teller.fact("", f"SHA-256 of the job's id and the hash of block {seed['height']}: {same}")
    scene.teller.fact("", f"block {seed['height']}: {seed['block']}")
    return {**seed, "computed_again": again}


def _became_final(scene: Scene, job: JobDocument) -> dict[str, Any]:
    """The block whose state first holds the adoption for final, and its time."""
    height = scene.client.version(MODEL, job["version"] or 0)["height"]
    for event in _events(scene.node):
        if event.kind == "final" and not event.undone and int(event.fields["of_height"] or 0) >= height:
            moment = scene.client.block(event.height)
            return {"height": event.height, "time": _moment(event.time), "block": moment.get("hash", event.block)}
    raise click.ClickException(f"the node told that job {job['job']} is final, and not when")


def _events(node: NodeClient) -> Iterator[NodeEvent]:
    after = 0
    while page := node.events(after).events:
        yield from page
        after = page[-1].seq


def _moment(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def _whole(scene: Scene, job: JobDocument) -> dict[str, Any]:
    from learning.records import recipe_of
    from learning.session import Session

    found, model, dataset = scene.node.job(job["job"]), scene.node.model(MODEL), scene.node.dataset(DATASET)
    if found is None or model is None or dataset is None or job["candidate"] is None:
        raise click.ClickException(f"the node no longer has job {job['job']} with its model and dataset")
    recipe = recipe_of(found, model, scene.node.dataset)
    whole = Session(recipe, scene.store.open, scene.options.data.cache("audit")).train_whole()
    cid = scene.store.add(whole.artifact)
    return {"score": whole.score / 1e6, "cid": cid, "same": cid == job["candidate"]["cid"]}


def catch(scene: Scene) -> dict[str, Any]:
    """Act 3: the same job, with a worker that did not train what it submits."""
    teller, before = scene.teller, scene.client.model(MODEL)["version"]
    with cheating(scene) as (name, address):
        teller.fact("joins", f"{name} ({address}): it trains nothing, it submits the model in service as its own")
        job, seconds = train(scene)
    after = scene.client.model(MODEL)["version"]
    mine = [p for p in job["partitions"] if p["worker"] == address]
    if not mine:
        raise click.ClickException(f"{name} was too slow to get a partition, so nothing was shown: run the demo again")
    if job["state"] != "rejected" or before is None or after is None:
        raise click.ClickException(f"the job was to be rejected and is {job['state']}: {job['reason']}")
    teller.blank()
    teller.partitions(job)
    score = job["candidate"]["score"] if job["candidate"] is not None else 0.0
    teller.why(f"It is a real model with a good score, and so is the candidate ({score:.6f}): an exam cannot tell.")
    teller.blank()
    teller.votes(job)
    teller.why("Training again can: the rows and the seed of that partition give another model, byte for byte.")
    teller.blank()
    teller.verdict(False, f"rejected: the update of partition {mine[0]['index']} by {name} was disproved; it is barred")
    teller.version(after)
    teller.why(f"Nothing changed for the model's users: version {before['version']} served before and serves now.")
    return {
        "cheat": address,
        "partition": mine[0]["index"],
        "submitted": mine[0]["update"],
        "job": job,
        "seconds": seconds,
        "in_service": {"before": before["version"], "after": after["version"], "cid": after["cid"]},
    }


@contextlib.contextmanager
def cheating(scene: Scene) -> Iterator[tuple[str, str]]:
    """One more worker, whose program cheats, as a process of its own: its name and address."""
    data, number = scene.options.data, scene.options.workers + 1
    name, ready = worker_name(number), data.path / f"{worker_name(number)}.ready"
    ready.unlink(missing_ok=True)
    address = Wallets(data.wallets).ensure(name).address
    scene.teller.names[address] = name
    welcome_newcomers(replace(scene.options, workers=number), scene.endpoints)
    command = (sys.executable, "-P", "-m", "cli.demo.cheat", "--node", scene.endpoints.node, "--data", str(data.path))
    supervisor = Supervisor(data.logs, say=scene.teller.why)
    supervisor.add(Child(name, (*command, "--wallet", name, "--ready", str(ready)), ready=ready.exists))
    try:
        supervisor.start()
        yield name, address
    finally:
        supervisor.stop()
        ready.unlink(missing_ok=True)


def audit(scene: Scene, version: int) -> dict[str, Any]:
    """Act 4: what `assay audit` does, with the same code."""
    from validators.audit import AuditError, check_chain
    from validators.audit import audit as run

    console = scene.teller.console
    try:
        chain = check_chain(scene.node, scene.genesis, lambda height, of: None, MODEL, version)
        cache = scene.options.data.cache("audit")
        found = run(chain, MODEL, version, scene.store, cache, lambda check: tell(console, check))
    except AuditError as error:
        raise click.ClickException(str(error)) from error
    show(console, found, True)
    scene.teller.why("It needs a node, the store and the genesis, and takes nobody's word: not even the node's.")
    return audit_document(found)


def log_lines(scene: Scene) -> list[str]:
    """The last lines of blockchain.log, shown."""
    path = scene.options.data.blockchain_log
    lines = path.read_text().splitlines()[-LOG_LINES:]
    for line in lines:
        scene.teller.fact(line[11:23], cropped(line[25:]))
    scene.teller.why(f"Everything that anybody did, one line each, is in {path.name} (--data FOLDER keeps it).")
    return lines
