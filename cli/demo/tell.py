"""How the demo speaks: headings, facts, and beside each fact in a short phrase what it proves."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cli.output import table
from coordinator.documents import JobDocument, VersionDocument

#: Columns of a log line that are shown.
LOG_WIDTH = 150
_LABEL = 13


class Teller:
    """Prints to `console`; without a terminal plain lines come out."""

    def __init__(self, console: Console, names: dict[str, str]) -> None:
        """`names`: address to the name of its owner."""
        self.console = console
        self.names = names
        self._step = 0

    def title(self, text: str) -> None:
        self._print(f"[bold]{text}[/]")

    def step(self, text: str) -> None:
        """The next numbered heading."""
        self._step += 1
        self._print(f"\n[bold cyan]{self._step}[/]  [bold]{text}[/]")

    def fact(self, label: str, value: object) -> None:
        self._print(f"   {label:<{_LABEL}} {escape(str(value))}")

    def why(self, text: str) -> None:
        """What the facts above are good for."""
        self._print(f"   [italic dim]{escape(text)}[/]")

    def advice(self, lines: Sequence[str]) -> None:
        """Commands, with comments between them."""
        for line in lines:
            self._print(f"   [dim]{escape(line)}[/]" if line.startswith("#") else f"   {escape(line)}")

    def verdict(self, good: bool, text: str) -> None:
        self._print(f"   [bold {'green' if good else 'red'}]{escape(text)}[/]")

    def rows(self, headings: Sequence[str], cells: Sequence[Sequence[object]]) -> None:
        for number, line in enumerate(table(headings, cells).splitlines()):
            self._print(f"   [dim]{escape(line)}[/]" if number == 0 else f"   {escape(line)}")

    def blank(self) -> None:
        self.console.print()

    def name(self, address: str | None) -> str:
        """The name of whose address this is, or the address."""
        return self.names.get(address or "", address or "-")

    def _print(self, markup: str) -> None:
        self.console.print(markup, highlight=False, soft_wrap=True)

    # -- what a job's document holds ---------------------------------------------------------------------

    def partitions(self, job: JobDocument) -> None:
        """Who trained what."""
        cells = [
            (p["index"], self.name(p["worker"]), p["rows"], _score(p["score"]), p["update"], p["state"])
            for p in job["partitions"]
        ]
        self.rows(("partition", "worker", "rows", "score", "update (CID of the model)", ""), cells)

    def votes(self, job: JobDocument) -> None:
        """Every vote with what was trained again and the reason."""
        of = len(job["partitions"])
        for vote in job["votes"]:
            same = f"{len(vote['replayed'])} of {of} the same"
            self.fact(self.name(vote["validator"]), f"{vote['decision']:<8} {same}")
            self._print(f"   [dim]{'':<{_LABEL}} {escape(vote['reason'])}[/]")

    def version(self, version: VersionDocument) -> None:
        self.fact("in service", f"{version['model']} version {version['version']}, {version['cid']}")


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.6f}"


def cropped(line: str) -> str:
    """A line of the log, cut to the width shown."""
    return line if len(line) <= LOG_WIDTH else f"{line[: LOG_WIDTH - 1]}…"


def ending(data: str | None) -> list[str]:
    """What to try next. `data`: the folder that was kept, None where it went away."""
    assay = "assay" if shutil.which("assay") else os.path.relpath(Path(sys.executable).parent / "assay")
    folder = data or "assay-data"
    here = f" --data {data}" if data else ""
    return [
        "# the same fleet, kept running; its API explains itself at http://127.0.0.1:5000/docs",
        f"{assay} up{here}",
        "# then, in another terminal: put a table on IPFS, register it under the CID that this prints, train on it",
        f"{assay} dataset add datasets/wine.csv{here}",
        f"{assay} dataset register CID --name wine --target cultivar{here}",
        f"{assay} train --dataset wine --model wine --estimator sklearn.ensemble.RandomForestClassifier{here}",
        "# check it again, from the chain and the CIDs alone; see everything that anybody did",
        f"{assay} audit wine{here}",
        f"tail -f {folder}/blockchain.log",
    ]
