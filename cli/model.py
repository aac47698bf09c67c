"""`assay model`: list, show, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.certificates import Certificate
from cli import targets
from cli.certificate import describe, version_of
from cli.estimators import parse_rows
from cli.output import emit, json_option, table
from runtime import strict_json


@click.group()
def model() -> None:
    """List and show models; predict with the version in service; get certificates."""


@model.command(name="list")
@targets.data_option
@targets.url_option
@json_option
def list_(data: str, url: str | None, as_json: bool) -> None:
    """List registered models with the version in service.

    \b
    assay model list
    """
    with targets.coordinator(data, url) as client:
        found = client.models()
    rows = []
    for item in found:
        version = item["version"]
        served = (version["version"], f"{version['score']:.6f}") if version else ("-", "-")
        rows.append((item["name"], item["task"], item["metric"], *served, ", ".join(item["datasets"])))
    headings = ("name", "task", "metric", "version", "score", "datasets")
    nothing = "no models yet; the first job on a dataset registers one: assay train --help"
    emit(found, as_json, lambda: table(headings, rows, nothing))


@model.command()
@click.argument("name")
@targets.data_option
@targets.url_option
@json_option
def show(name: str, data: str, url: str | None, as_json: bool) -> None:
    """Show a model: its policy and its versions.

    \b
    assay model show iris
    """
    with targets.coordinator(data, url) as client:
        found, versions = client.model(name), client.versions(name)
    rows = [
        (
            v["version"],
            f"{v['score']:.6f}",
            v["verified_by"],
            "final" if v["final"] else "not final",
            "in service" if v["in_service"] else "",
            v["cid"],
        )
        for v in versions
    ]

    def human() -> str:
        holdout = found["holdout"]
        held = holdout["dataset"] if holdout["dataset"] else f"{holdout['fraction']:.0%} of the rows"
        lines = [
            f"model       {found['name']} ({found['task']}, {found['metric']})",
            f"datasets    {', '.join(found['datasets'])}; holdout: {held}",
            f"adopts      at {found['minimum_improvement']:+.6f} or better than the version in service",
            "",
            table(("version", "score", "verified by", "", "", "cid"), rows),
        ]
        return "\n".join(lines)

    emit({**found, "all_versions": versions}, as_json, human)


@model.command()
@click.argument("which", metavar="NAME[@VERSION]")
@click.option("--out", type=click.Path(dir_okay=False), help="Write the certificate to a file.")
@click.option("--cbor", is_flag=True, help="With --out: as DAG-CBOR instead of JSON.")
@targets.data_option
@targets.url_option
@json_option
def certificate(which: str, out: str | None, cbor: bool, data: str, url: str | None, as_json: bool) -> None:
    """Get the adoption certificate of a version (by default of the one in service).

    Exit status 1 while there is none, with what is missing. `assay certificate verify FILE` checks it, offline.

    \b
    assay model certificate iris --out iris.json
    assay model certificate iris@1 --json
    """
    name, number = version_of(which)
    if cbor and out is None:
        raise click.UsageError("--cbor is for files: give --out FILE")
    with targets.coordinator(data, url) as client:
        if number is None:
            served = client.model(name)["version"]
            if served is None:
                raise click.ClickException(f"model {name} has no version in service yet, so there is no certificate")
            number = served["version"]
        found = Certificate.from_document(client.certificate(name, number))
    if out is not None:
        try:
            Path(out).write_bytes(found.to_bytes() if cbor else found.to_json() + b"\n")
        except OSError as error:
            raise click.ClickException(f"{out}: {error.strerror}: the certificate was not written") from error

    def human() -> str:
        lines = describe(found)
        if out is not None:
            lines.append(f"written to  {out}")
        return "\n".join(lines)

    emit(found.to_document(), as_json, human)


@model.command()
@click.argument("name")
@click.argument("rows", nargs=-1)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False), help="Rows: CSV, Parquet or JSON.")
@targets.data_option
@targets.url_option
@json_option
def predict(name: str, rows: tuple[str, ...], path: str | None, data: str, url: str | None, as_json: bool) -> None:
    """Predict with the version in service.

    \b
    assay model predict iris 5.1,3.5,1.4,0.2
    assay model predict iris '{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
    assay model predict iris --file flowers.csv --json
    """
    wanted = parse_rows(rows) + (_rows_of(Path(path)) if path else [])
    if not wanted:
        raise click.UsageError("give at least one row, or --file; see --help for the forms")
    with targets.coordinator(data, url) as client:
        answer = client.predict(name, wanted)

    def human() -> str:
        lines = []
        for index, prediction in enumerate(answer["predictions"]):
            line = str(prediction)
            if answer["probabilities"] and answer["classes"]:
                pairs = zip(answer["classes"], answer["probabilities"][index], strict=True)
                line += "  (" + ", ".join(f"{kind} {probability:.3f}" for kind, probability in pairs) + ")"
            lines.append(line)
        lines.append(f"version {answer['version']}, {answer['cid']}")
        return "\n".join(lines)

    emit(answer, as_json, human)


def _rows_of(path: Path) -> list[Any]:
    """The rows of a CSV file with headings, a Parquet file or a JSON array; an empty cell is null."""
    if path.suffix == ".json":
        try:
            found = strict_json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise click.UsageError(f"{path} is no JSON: {error}") from error
        if not isinstance(found, list):
            raise click.UsageError(f"{path}: expected a JSON array of rows, found {type(found).__name__}")
        return found
    import pandas

    try:
        frame = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
        cells = frame.astype(object).to_numpy(copy=True)  # else it may be a view of what must not change
        cells[frame.isna().to_numpy(dtype=bool)] = None
        return [dict(zip(frame.columns, row, strict=True)) for row in cells.tolist()]
    except Exception as error:  # for a damaged file pandas and pyarrow raise whatever they met
        what = f"{path}: {type(error).__name__}: {error}; expected CSV with headings, Parquet, or a JSON array"
        raise click.UsageError(what.encode("utf-8", "backslashreplace").decode()) from error
