"""What commands print: a line for people, or JSON for scripts; and errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from chain.client import NodeError
from chain.database import StoreError
from chain.errors import ChainError
from chain.voting import VoteFileError
from coordinator.client import ClientError
from coordinator.settings import RefusedAddress
from ipfs.errors import ContentError
from learning.errors import LearningError
from runtime.broker import BrokerError
from runtime.serving import CannotListen
from runtime.settings import EndpointsError, FolderInUseError
from runtime.supervisor import ChildFailedError

#: Errors whose text is written for the user: printed without a traceback, exit status 1.
EXPECTED: tuple[type[Exception], ...] = (
    BrokerError,
    CannotListen,
    ChainError,
    ChildFailedError,
    ClientError,
    ContentError,
    EndpointsError,
    FolderInUseError,
    LearningError,
    NodeError,
    RefusedAddress,
    StoreError,
    VoteFileError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    FileExistsError,
    NotADirectoryError,
)


def explain(error: Exception) -> str:
    """The text to print for an expected error."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
    advice = " (a folder is expected here, a file was found: name another place)" if in_the_way else ""
    return f"{error.filename}: {error.strerror}{advice}"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def emit(document: Any, as_json: bool, human: Callable[[], str]) -> None:
    """Print `document` as JSON, or what `human` makes of it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else human())


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], nothing: str = "") -> str:
    """A plain table, columns padded; without rows `nothing`, or just the headings' line."""
    if nothing and not rows:
        return nothing
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headings), *cells]) for i in range(len(headings))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(headings), *cells]
    ]
    return "\n".join(lines)


def short(text: str | None, length: int = 16) -> str:
    """A CID or address cut for a table; `-` for none."""
    if not text:
        return "-"
    return text if len(text) <= length else f"{text[: length - 1]}…"


def micro(score: int | None) -> str:
    """A score in millionths as a decimal; `-` for none."""
    return "-" if score is None else f"{score / 1e6:.6f}"
