"""A worker that does not work: it claims a partition and submits the model in service as if it had trained it.

Part of the demo, never of a fleet; it has none of the worker's code, for a cheat would not either. What it hands in
is as plausible as can be: a real model of the same estimator with a good score on the holdout, all of it copied from
the chain. It is a lie all the same, and only training the partition again shows it.

    python -P -m cli.demo.cheat --node URL --data FOLDER --wallet NAME --ready FILE
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import click

from chain.client import NodeClient, NodeRefused, TransactionRefused
from chain.keys import Key
from chain.state import Job
from chain.transactions import ClaimPartition, SubmitUpdate
from runtime import guard, logs, settings
from runtime.logs import get_logger

log = get_logger("cli.demo.cheat")


@click.command()
@click.option("--node", "node_url", required=True)
@click.option("--data", required=True, help="Folder with the wallets.")
@click.option("--wallet", required=True, help="The key that it signs with.")
@click.option("--ready", required=True, type=click.Path(path_type=Path), help="File that it makes once it is watching.")
def cheat(node_url: str, data: str, wallet: str, ready: Path) -> None:
    """Wait for jobs and cheat in each, until SIGTERM ends it."""
    guard.watch_parent()
    logs.configure(wallet)
    from chain.wallets import Wallets

    key = Wallets(settings.DataFolder(data).wallets).load(wallet)
    run(NodeClient(node_url), key, threading.Event(), ready.touch)


def run(client: NodeClient, key: Key, stop: threading.Event, watching: Callable[[], None]) -> None:
    """Cheat in every job whose seed is drawn from now on, until `stop`."""
    first = True
    for page in client.follow(stop):
        if first:
            watching()
        first = False
        for event in page.events:
            if event.kind == "seed_drawn" and not event.undone:
                job = client.job(str(event.fields["job"]))
                if job is not None and job.state == "training":
                    log.info("cheat", job=job.id, outcome=pretend(client, key, job))


def pretend(client: NodeClient, key: Key, job: Job) -> str:
    """Claim a partition of the job and submit the model in service as its update; what came of it, for the log."""
    model = client.model(job.model)
    version = client.version(job.model, model.in_service) if model is not None else None
    copied = client.job(version.job) if version is not None else None
    if version is None or copied is None or job.seed is None:
        return "no version is in service: nothing to copy"
    partition = claim(client, key, job)
    if partition is None:
        return "no partition was left"
    pattern = copied.round_list[-1].updates[min(partition, len(copied.round_list[-1].updates) - 1)]
    client.send(
        SubmitUpdate(
            job=job.id,
            attempt=job.attempt,
            round=0,
            partition=partition,
            seed=job.seed,
            base=None,
            artifact=version.candidate,
            rows=pattern.rows,
            score=version.score,
            milliseconds=pattern.milliseconds,
            environment=pattern.environment,
        ),
        key,
    )
    return f"submitted version {version.number} as partition {partition}"


def claim(client: NodeClient, key: Key, job: Job) -> int | None:
    """Claim one partition, the last first, for honest workers are sent the first ones first; its index."""
    for partition in reversed(range(job.partitions)):
        try:
            sent = client.send(ClaimPartition(job=job.id, attempt=job.attempt, round=0, partition=partition), key)
            client.wait_transaction(sent)
        except (NodeRefused, TransactionRefused):
            continue  # somebody else has it
        return partition
    return None


if __name__ == "__main__":
    cheat()
