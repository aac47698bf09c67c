"""`assay up` with the workers of `slow_worker.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.fleet import FleetOptions, free_ports, worker_name
from cli.main import main
from cli.up import keep_running
from runtime.settings import DataFolder

SLOW_WORKER = str(Path(__file__).with_name("slow_worker.py"))


@click.command()
@click.option("--data", required=True)
@click.option("--port", type=int, required=True)
@click.option("--workers", type=int, default=2)
@click.option("--seconds", required=True)
@click.option("--ipfs")
@click.option("--broker")
def slow_up(data: str, port: int, workers: int, seconds: str, ipfs: str | None, broker: str | None) -> None:
    """Keep it running."""
    folder = DataFolder(data)
    notes = str(folder.path / "trainings.jsonl")
    program = (sys.executable, "-P", SLOW_WORKER, "--seconds", seconds, "--notes", notes)
    programs = tuple((worker_name(number + 1), program) for number in range(workers))
    keep_running(FleetOptions(folder, port, free_ports(1)[0], workers, ipfs, broker, programs))


if __name__ == "__main__":
    import cli.main

    cli.main.COMMANDS["slow-up"] = ("__main__:slow_up", "")
    main(["slow-up", *sys.argv[1:]])
