"""`assay dataset`: put files on IPFS, register them, list them, fetch known ones."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import click
import requests

from cli import targets
from cli.output import emit, json_option, short, table

#: Known datasets: address, SHA-256, path in a folder that ASSAY_DATASETS names, file name.
KNOWN = {
    "boston": (
        "https://raw.githubusercontent.com/selva86/datasets/master/BostonHousing.csv",
        "ab16ba38fbbbbcc69fe930aab1293104f1442c8279c130d9eba03dd864bef675",
        "boston_housing/boston_housing_data.csv",
        "boston_housing_data.csv",
    ),
}


@click.group()
def dataset() -> None:
    """Add, register, list and fetch datasets."""


@dataset.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@targets.data_option
@targets.store_option
@json_option
def add(path: str, data: str, store: str | None, as_json: bool) -> None:
    """Add a file to the store and pin it; prints its CID, the same as `ipfs add --cid-version=1`.

    Works beside a running fleet and without one.

    \b
    assay dataset add datasets/iris.csv
    """
    content = targets.store(data, store)
    try:
        cid = content.add(Path(path))
    finally:
        content.close()
    emit({"cid": cid, "name": Path(path).name, "size": Path(path).stat().st_size}, as_json, lambda: cid)


@dataset.command()
@click.argument("cid")
@click.option("--name", required=True, help="The name that jobs use.")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--task", type=click.Choice(["classification", "regression"]), help="[default: told from the target]")
@targets.data_option
@targets.url_option
@json_option
def register(cid: str, name: str, target: str, task: str | None, data: str, url: str | None, as_json: bool) -> None:
    """Register content under a name, on the chain.

    \b
    assay dataset register bafy... --name boston --target medv
    """
    with targets.coordinator(data, url) as client:
        answer = client.add_dataset(name, target, cid=cid, task=task)
    emit(
        answer,
        as_json,
        lambda: (
            f"{answer['name']}: {answer['rows']} rows, {len(answer['columns'])} columns, "
            f"{answer['task']} of {answer['target']}\n  data      {answer['cid']}\n  manifest  {answer['manifest_cid']}"
        ),
    )


@dataset.command(name="list")
@targets.data_option
@targets.url_option
@json_option
def list_(data: str, url: str | None, as_json: bool) -> None:
    """List registered datasets.

    \b
    assay dataset list
    assay dataset list --url http://127.0.0.1:5000 --json
    """
    with targets.coordinator(data, url) as client:
        found = client.datasets()
    rows = [(d["name"], d["rows"], d["task"], d["target"], d["cid"]) for d in found]
    nothing = "no datasets yet; register one: assay dataset register --help"
    emit(found, as_json, lambda: table(("name", "rows", "task", "target", "cid"), rows, nothing))


@dataset.command()
@click.argument("name", type=click.Choice(sorted(KNOWN)))
@click.option("--to", "folder", default=".", show_default=True, help="Folder to put it in.")
@json_option
def fetch(name: str, folder: str, as_json: bool) -> None:
    """Download a known dataset, checked by its SHA-256.

    Where the variable ASSAY_DATASETS names a folder that has it, it is taken from there.

    \b
    assay dataset fetch boston
    """
    address, expected, place, file_name = KNOWN[name]
    target = Path(folder) / file_name
    temporary = target.with_name(f".{file_name}.part")
    local = os.environ.get("ASSAY_DATASETS")
    try:
        if local and (Path(local) / place).exists():
            shutil.copyfile(Path(local) / place, temporary)
        else:
            _download(address, temporary)
        found = hashlib.sha256(temporary.read_bytes()).hexdigest()
        if found != expected:
            raise click.ClickException(
                f"{name}: expected a file with SHA-256 {expected}, found {found}. The publisher's file has changed; "
                "get it from elsewhere and check what it is"
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    emit({"path": str(target), "sha256": expected}, as_json, lambda: f"{target} ({short(expected)})")


def _download(address: str, target: Path) -> None:
    try:
        with requests.get(address, stream=True, timeout=60) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                for chunk in response.iter_content(1 << 20):
                    file.write(chunk)
    except requests.RequestException as error:
        raise click.ClickException(
            f"{address} cannot be downloaded ({error}); get it elsewhere and name its folder in ASSAY_DATASETS"
        ) from error
