"""`assay job`: list, show, watch, cancel."""

from __future__ import annotations

import click
from rich.console import Console

from cli import live, targets
from cli.output import emit, json_option, table
from cli.train import finish


@click.group()
def job() -> None:
    """List, show, watch and cancel jobs."""


@job.command(name="list")
@click.option("--state", help="Only jobs in this state, or `open`.")
@targets.data_option
@targets.url_option
@json_option
def list_(state: str | None, data: str, url: str | None, as_json: bool) -> None:
    """List jobs, newest first.

    \b
    assay job list --state open
    """
    with targets.coordinator(data, url) as client:
        found = client.jobs(state)
    rows = [
        (j["job"], j["model"], j["dataset"], j["state"], "final" if j["final"] else "", j["version"] or "-")
        for j in found
    ]
    nothing = f"no jobs in state {state}" if state else "no jobs yet; open one: assay train --help"
    emit(found, as_json, lambda: table(("job", "model", "dataset", "state", "", "version"), rows, nothing))


@job.command()
@click.argument("job_id")
@targets.data_option
@targets.url_option
@json_option
def show(job_id: str, data: str, url: str | None, as_json: bool) -> None:
    """Show a job: partitions, candidate, votes with their reasons, and what it waits for.

    \b
    assay job show bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua
    """
    with targets.coordinator(data, url) as client:
        document = client.job(job_id)

    def human() -> str:
        waiting = document["waiting_for"]
        head = [f"job         {document['job']}", f"state       {document['state']}"]
        head += [f"estimator   {document['estimator']}"]
        if waiting:
            head.append(f"waits for   {live.awaited(waiting)}")
        return "\n".join(head + [line for _, line in live.lines(document)])

    emit(document, as_json, human)


@job.command()
@click.argument("job_id")
@targets.data_option
@targets.url_option
@json_option
def watch(job_id: str, data: str, url: str | None, as_json: bool) -> None:
    """Watch a job until its end is final. Exit status 0 when its model was adopted.

    \b
    assay job watch bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua
    """
    with targets.coordinator(data, url) as client:
        finish(live.watch(client.watch(job_id), Console(stderr=as_json)), as_json)


@job.command()
@click.argument("job_id")
@targets.data_option
@targets.url_option
@json_option
def cancel(job_id: str, data: str, url: str | None, as_json: bool) -> None:
    """Cancel a job that has no candidate yet.

    \b
    assay job cancel bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua
    """
    with targets.coordinator(data, url) as client:
        answer = client.cancel(job_id)
    emit(answer, as_json, lambda: f"cancelling: transaction {answer['transaction']} is {answer['status']}")
