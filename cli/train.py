"""`assay train`: open a job and watch it to its end."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from cli import live, targets
from cli.estimators import parse_estimator
from cli.output import emit, json_option
from coordinator.documents import JobDocument


@click.command()
@click.option("--dataset", required=True, help="A registered dataset.")
@click.option("--model", required=True, help="The model; registered with the default policy if it does not exist.")
@click.option("--estimator", required=True, help="A scikit-learn class by its full name, or JSON.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the estimator.")
@click.option("--partitions", type=int, default=4, show_default=True)
@click.option("--rounds", type=int, default=1, show_default=True)
@click.option("--partitioning", type=click.Choice(["disjoint", "bootstrap"]), default="disjoint", show_default=True)
@click.option(
    "--aggregation", type=click.Choice(["auto", "average", "merge", "ensemble"]), default="auto", show_default=True
)
@click.option("--deadline", type=float, help="Seconds for each round [default: the coordinator's].")
@click.option("--attempts", type=int, help="Attempts, where votes disprove an update [default: 2].")
@click.option(
    "--reward", type=click.IntRange(min=0), help="For workers and validators at adoption, else returned [default: 0]."
)
@click.option("--detach", is_flag=True, help="Print the job's id and return.")
@targets.data_option
@targets.url_option
@json_option
def train(
    dataset: str,
    model: str,
    estimator: str,
    params: tuple[str, ...],
    partitions: int,
    rounds: int,
    partitioning: str,
    aggregation: str,
    deadline: float | None,
    attempts: int | None,
    reward: int | None,
    detach: bool,
    data: str,
    url: str | None,
    as_json: bool,
) -> None:
    """Open a job and watch it until its end is final. Exit status 0 when its model was adopted.

    \b
    assay train --dataset boston --model boston-ridge --estimator sklearn.linear_model.Ridge --partitions 4
    assay train --dataset iris --model iris --estimator sklearn.ensemble.RandomForestClassifier --param n_estimators=50
    assay train --dataset iris --model net --estimator '{"pipeline": [{"class":
        "sklearn.preprocessing.StandardScaler"}, {"class": "sklearn.linear_model.LogisticRegression"}]}'
    """
    with targets.coordinator(data, url) as client:
        job = client.train(
            model,
            dataset,
            parse_estimator(estimator, params),
            partitions=partitions,
            rounds=rounds,
            partitioning=partitioning,
            aggregation=aggregation,
            deadline=deadline,
            attempts=attempts,
            reward=reward,
        )
        if detach:
            emit({"job": job}, as_json, lambda: job)
            return
        if not as_json:
            click.echo(f"job         {job}")
        finish(live.watch(client.watch(job), Console(stderr=as_json)), as_json)


def finish(document: JobDocument, as_json: bool) -> None:
    """Print the closed job where JSON was asked for, and end with the exit status that says how it ended."""
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    sys.exit(0 if document["state"] == "adopted" else 1)
