"""README and docs/ say all there is and nothing that is not: commands, options, routes, events, error codes, kinds,
variables, metrics, estimators, files and links."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import click
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
ROOMS = ("runtime", "chain", "ipfs", "learning", "workers", "validators", "coordinator", "cli")
#: Folders and files whose names in the text are paths of this repository.
_PATH = re.compile(rf"(?:\.ci|docs|tests|examples|benchmarks|datasets|{'|'.join(ROOMS)})/[\w./-]*")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """What stands in backticks in the first column of all tables, in order."""
    lines = (line for line in text.splitlines() if line.startswith("| `"))
    return [item for line in lines for item in _CODE.findall(line.split(" | ")[0])]


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.read_text(encoding="utf-8")


def commands() -> dict[str, click.Command]:
    """All commands that do something, by their words."""
    from cli.main import cli

    def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk(found, (*words, name))
        else:
            yield " ".join(words), command

    return dict(walk(cli, ("assay",)))


def options(command: click.Command) -> set[str]:
    return {name for item in command.params if isinstance(item, click.Option) for name in item.opts if name[:2] == "--"}


# The command line


def test_every_command_stands_in_the_table_with_exactly_its_options() -> None:
    text = section(read("docs/operating.md"), "Commands")
    told = {}
    for line in text.splitlines():
        if line.startswith("| `assay "):
            cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
            words = _CODE.findall(cells[1])[0].split()
            count = next(n for n in range(len(words), 0, -1) if " ".join(words[:n]) in commands())
            told[" ".join(words[:count])] = set(_CODE.findall(cells[3]))
    assert told == {name: options(command) for name, command in commands().items()}


@every_page
def test_no_row_of_a_table_stands_twice(page: Path) -> None:
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        keys = [re.split(r"(?<!\\)\|", line)[1].strip() for line in table.splitlines()]
        assert len(keys) == len(set(keys)), sorted({key for key in keys if keys.count(key) > 1})


def test_every_option_is_explained() -> None:
    text = section(read("docs/operating.md"), "Commands")
    explained = {name for name in first_cells(text) if name.startswith("--")}
    assert explained == {name for command in commands().values() for name in options(command)}


def spoken_commands(text: str) -> Iterator[list[str]]:
    """Every `assay ...` of a page: lines of shell blocks, and code within a line."""
    lines = [line for kind, block in _BLOCK.findall(text) if kind == "sh" for line in block.splitlines()]
    lines += _CODE.findall(_BLOCK.sub("", text))
    for line in lines:
        found = re.match(r"(?:\.venv/bin/)?assay (.*)", line)
        if found:
            yield shlex.split(found[1], comments=True)


@every_page
def test_commands_in_the_text_exist(page: Path) -> None:
    known = commands()
    for words in spoken_commands(page.read_text(encoding="utf-8")):
        if not words or words[0].isupper() or words[0].startswith("-"):
            continue
        names = [" ".join(["assay", *words[:count]]) for count in (2, 1)]
        command = next((known[name] for name in names if name in known), None)
        assert command is not None or any(name.startswith(f"{names[1]} ") for name in known), words
        used = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert command is None or used <= options(command), words


@every_page
def test_make_targets_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    code = [*_CODE.findall(_BLOCK.sub("", text)), *(block for kind, block in _BLOCK.findall(text) if kind == "sh")]
    spoken = {target for part in code for target in re.findall(r"^make ([a-z]+)", part, re.MULTILINE)}
    assert spoken <= targets


# HTTP


def routes(app: Any) -> set[str]:
    found = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: name[1].upper(), rule.rule)
        found |= {f"{method} {path}" for method in rule.methods - {"HEAD", "OPTIONS"}}
    return {route for route in found if "/static/" not in route}


def told_routes(heading: str) -> set[str]:
    return {item for item in first_cells(section(read("docs/http.md"), heading)) if re.match("[A-Z]+ /", item)}


def test_every_route_of_the_coordinator_is_told() -> None:
    from coordinator.app import create_app

    assert told_routes("The coordinator, version 1") == routes(create_app(MagicMock()))


def test_every_route_of_the_node_is_told() -> None:
    from chain.node.api import create_app

    assert told_routes("The node") == routes(create_app(MagicMock()))


def test_the_fields_of_a_job_are_told() -> None:
    from coordinator.documents import JobDocument
    from coordinator.schemas import JobIn

    text = section(read("docs/http.md"), "The coordinator, version 1")
    assert not [name for name in JobDocument.__annotations__ if f'"{name}":' not in text]
    table = text.partition("### Opening a job")[2].partition("```sh")[0]
    assert set(first_cells(table)) == set(JobIn.model_fields)


# The chain


def test_every_kind_of_transaction_is_told() -> None:
    from chain.transactions import PAYLOADS

    assert set(first_cells(section(read("docs/chain.md"), "Kinds of transaction"))) == set(PAYLOADS)


def test_the_networks_are_told_once_and_with_what_sending_takes() -> None:
    from chain.params import NETWORKS

    rows = [line for line in section(read("docs/chain.md"), "Networks").splitlines() if line.startswith("| `")]
    told = {_CODE.findall(row)[0]: row for row in rows}
    assert set(told) == set(NETWORKS)
    for name, params in NETWORKS.items():
        assert ("on demand" in told[name]) is (params.target_interval_ms == 0)
        assert ("nothing" in told[name]) is (params.minimum_balance == 0)
        assert ("stake, up to" in told[name]) is (params.power == "stake")
    for page in PAGES:
        other = page.read_text(encoding="utf-8").replace("\n".join(rows), "")
        assert not {"consortium", "development"} & set(first_cells(other)), page


def emitted() -> dict[str, set[str]]:
    """The kinds of event that the sources make, each with the names of its fields."""
    found: dict[str, set[str]] = {}
    for text in sources("chain/state"):
        for kind, fields in re.findall(r'\bemit\(\s*"(\w+)"((?:[^()]|\([^()]*(?:\([^()]*\))?[^()]*\))*)\)', text):
            found.setdefault(kind, set()).update(re.findall(r"[,\s](\w+)=(?!=)", fields))
        for kind in re.findall(r'\bend\([^"]*"(\w+)",', text):
            found[kind] = {"job", "model", "attempt", "reason"}
    for kind in ("block", "reorganisation"):
        assert any(f'"{kind}"' in text for text in sources("chain/node")), kind
        found[kind] = set()
    return found


def test_every_event_of_blockchain_log_is_told_with_its_fields() -> None:
    from chain.happened import PREFIX, RESERVED

    text = section(read("docs/chain.md"), "blockchain.log")
    told = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = line.split(" | ")
            told[_CODE.findall(cells[0])[0]] = set(_CODE.findall(cells[-1]))
    made = emitted()
    assert {"adopted", "expired", "failed", "rejected", "cancelled", "vote", "final"} <= set(made)
    assert set(told) == set(made)
    for kind, fields in made.items():
        shown = {PREFIX + name if name in RESERVED else name for name in fields}
        assert kind in ("block", "reorganisation") or told[kind] == shown, kind


def test_every_code_of_a_refusal_is_told() -> None:
    from chain import errors

    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ChainError)
    } - {errors.ChainError.code}
    for text in sources("chain/node"):
        codes |= set(re.findall(r'Refused\(\s*(?:\d+,\s*)?"(\w+)"', text))
    told = set(_CODE.findall(section(read("docs/chain.md"), "Errors")))
    assert not codes - told
    assert not {code for code in told if re.fullmatch(r"[a-z_]+", code)} - codes - {"vote_model"}


def test_the_statuses_of_refused_transactions_are_those_of_the_node() -> None:
    from chain import errors
    from chain.node import api

    told: dict[str, int] = {}
    for line in section(read("docs/chain.md"), "Errors").splitlines():
        if line.startswith("| `"):
            cells = line.split(" | ")
            told |= dict.fromkeys(_CODE.findall(cells[0]), int(cells[1]))
    kinds = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert told.pop("not_yet") == 202  # it waits
    assert {kind.code for kind, _ in api._STATUS} <= set(told)
    assert told == {
        code: next((status for kind, status in api._STATUS if issubclass(kinds[code], kind)), 400) for code in told
    }


# Learning


def test_the_table_of_estimators_is_the_allow_list() -> None:
    from learning.catalogue import CATALOGUE

    told = {}
    for line in section(read("docs/learning.md"), "Estimators").splitlines():
        if line.startswith("| `"):
            name, task, ways = (cell.strip(" `") for cell in line.strip("|").split("|"))
            told[name] = (task, tuple(ways.split(", ")) if ways else ())
    assert told == {path: (entry.task or "scaling", entry.aggregations) for path, entry in CATALOGUE.items()}


def test_metrics_bounds_and_fixed_parameters_are_told() -> None:
    from learning.catalogue import FIXED
    from learning.evaluation import METRICS

    text = read("docs/learning.md")
    assert set(METRICS) <= set(_CODE.findall(section(text, "Metrics")))
    assert set(FIXED) <= set(_CODE.findall(section(text, "Estimators")))


# Variables and metrics


def test_every_environment_variable_is_told() -> None:
    files = [*(path for room in (*ROOMS, "tests", "benchmarks", "examples") for path in (ROOT / room).rglob("*.py"))]
    files += [ROOT / "Makefile", *(ROOT / ".ci").iterdir()]
    used = {name for path in files for name in re.findall(r"\bASSAY_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    told = set(first_cells(section(read("docs/operating.md"), "Environment variables")))
    assert told == {name for name in used if not name.endswith("_")}


def test_every_metric_is_told() -> None:
    made = r'(?:Counter|Gauge|Histogram)\(\s*"(\w+)"'
    coordinator = {name for text in sources("coordinator") for name in re.findall(made, text)}
    node = next(text for text in sources("chain/node") if "assay_node_" in text)
    names = re.findall(r'^        \("(\w+)", "', node, re.MULTILINE)
    assert names
    told = set(first_cells(section(read("docs/operating.md"), "Logs and metrics")))
    assert told == coordinator | {f"assay_node_{name}" for name in names}


# Files and links


def anchors(page: Path) -> set[str]:
    """A page's headings as GitHub names them in links."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_resolve(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_files_in_the_text_exist(page: Path) -> None:
    code = [*_CODE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))]
    code += [block for kind, block in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "sh"]
    for part in code:
        for word in part.split():
            if _PATH.fullmatch(word):
                assert (ROOT / word).exists(), word


@every_page
def test_prose_is_at_most_120_columns_wide(page: Path) -> None:
    """Tables, blocks of code and what cannot be broken, such as a long link, may be wider."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8")).splitlines()
    wide = [line for line in prose if len(line) > 120 and not line.lstrip().startswith("|")]
    assert not [line for line in wide if len(_LINK.sub("x", _CODE.sub("x", line)).split()) > 2]


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in _LINK.findall(read("README.md"))}
    assert {page.resolve() for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("name", ["train_with_client", "own_transaction"])
def test_examples_use_what_exists(name: str) -> None:
    """They need a fleet to run; that what they import and call is there shows without one."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main.__doc__


def test_the_example_says_what_is_missing_and_what_its_options_are(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "own_transaction.py")]
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--wallet NAME" in told
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Error: expected an existing wallet")
