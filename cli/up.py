"""`assay up`: the fleet in the foreground, until Ctrl-C."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from cli.fleet import FleetOptions, check_ports, free_ports, prepare, running, welcome_newcomers
from cli.services import PORTS, broker_url
from coordinator.client import Client, CoordinatorUnavailable
from runtime import settings, signals
from runtime.supervisor import Supervisor

PORT = 5000
NODE_PORT = 7001
#: Seconds between two looks at whether jobs can run yet.
LOOK = 0.1


@click.command()
@click.option(
    "--data",
    default=str(settings.DEFAULT),
    show_default=True,
    help="Folder that keeps everything over restarts.",
)
@click.option(
    "--port", type=PORTS, help=f"Port of the coordinator [default: {PORT}]; with it, the node takes a free one."
)
@click.option("--node-port", type=PORTS, help=f"Port of the node [default: {NODE_PORT}].")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option("--ipfs", help="A running Kubo, e.g. /ip4/127.0.0.1/tcp/5001 [default: an embedded store].")
@click.option(
    "--broker",
    callback=broker_url,
    help="A running Redis, e.g. redis://127.0.0.1:6379/0 [default: one of its own].",
)
def up(data: str, port: int | None, node_port: int | None, workers: int, ipfs: str | None, broker: str | None) -> None:
    """Start a node, four validators, workers and the coordinator, and keep them running.

    Everything lies in one folder; started again on it, the fleet takes up where it was, whatever ended it.
    /readyz answers 200 once jobs can run.

    \b
    assay up
    assay up --data /srv/assay --port 8080 --workers 4
    assay up --ipfs /ip4/127.0.0.1/tcp/5001 --broker redis://127.0.0.1:6379/0
    """
    folder = settings.DataFolder(Path(data))
    chosen = node_port or (NODE_PORT if port is None else free_ports(1)[0])
    keep_running(FleetOptions(folder, PORT if port is None else port, chosen, workers, ipfs, broker))


def keep_running(options: FleetOptions) -> None:
    """Run a fleet in the foreground until SIGINT or SIGTERM; it has ended, and all it started, on return."""
    stop = signals.stop_event()
    folder = options.data
    with folder.lock():
        check_ports(options)
        prepare(options)
        with running(options, lambda text: click.echo(text, err=True)) as (supervisor, endpoints):
            click.echo(f"starting on {folder.path} …")
            supervisor.start(stop)
            if not stop.is_set():
                welcome_newcomers(options, endpoints)
                wait_ready(endpoints.coordinator, stop, supervisor)
            if not stop.is_set():
                click.echo(_how_to_use(options))
            while not stop.is_set() and not supervisor.broken.is_set():
                stop.wait(0.5)
            click.echo("stopping …")
        if supervisor.broken.is_set():
            raise click.ClickException(supervisor.why_broken)
    click.echo("stopped; the data stays in " + str(folder.path))


def wait_ready(url: str, stop: threading.Event, supervisor: Supervisor) -> None:
    """Return when the coordinator says that jobs can run, or when the fleet is ending."""
    with Client(url, timeout=5) as client:
        while not stop.is_set() and not supervisor.broken.is_set():
            try:
                if client.ready()["ready"]:
                    return
            except CoordinatorUnavailable:
                pass
            stop.wait(LOOK)


def _how_to_use(options: FleetOptions) -> str:
    data = options.data.path
    return f"""ready

  coordinator  http://127.0.0.1:{options.port}    (API: /docs)
  node         http://127.0.0.1:{options.node_port}
  data         {data}

in another terminal:

  assay dataset add datasets/iris.csv --data {data}
  assay dataset register CID --name iris --target species --data {data}
  assay train --dataset iris --model iris --estimator sklearn.neighbors.KNeighborsClassifier --data {data}
  assay audit iris --data {data}
  tail -f {options.data.blockchain_log}

Ctrl-C stops everything; the data stays."""
