"""What memory a node holds and how soon it is back after a restart, by the length of its chain.

The reference is a node on the same genesis with an empty chain, started in turns with the others.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.chain.generate import recipe_of, recipe_options, words
from benchmarks.chain.nodes import data_folder, running
from benchmarks.machine import machine

EXAMPLES = """examples:
  python -m benchmarks.chain memory
  python -m benchmarks.chain memory --sizes 1000,10000 --only transfer --json
"""
#: Seconds after the first answer at which memory is looked at.
SETTLE = 1.0


@dataclass(frozen=True)
class Size:
    """One chain: bytes and seconds, the median of the turns."""

    transactions: int
    blocks: int
    disk: int
    memory: int
    peak: int
    restart: float
    empty_memory: int
    empty_restart: float

    @property
    def per_transaction(self) -> float:
        """Bytes of memory beyond an empty chain's, for each transaction there ever was."""
        return (self.memory - self.empty_memory) / self.transactions


def look(data: Path, genesis: Path) -> tuple[float, int, int]:
    """Start a node; the seconds to its first answer, memory and peak."""
    with running(data, genesis) as node:
        time.sleep(SETTLE)
        return node.seconds, node.memory(), node.memory("VmHWM")


def measure(transactions: int, found: argparse.Namespace, folder: Path) -> Size:
    """One chain, against an empty one."""
    recipe = replace(recipe_of(found), transactions=transactions)
    chain = data_folder(recipe, folder / "long", found.cache)
    genesis = folder / "long" / "node" / "genesis.json"
    long = [look(folder / "long", genesis) for _ in range(found.turns)]
    empty = [look(folder / f"empty-{turn}", genesis) for turn in range(found.turns)]
    disk = sum(path.stat().st_size for path in (folder / "long" / "node").iterdir())

    def median(rows: list[tuple[float, int, int]], which: int) -> float:
        return statistics.median(row[which] for row in rows)

    return Size(
        chain.kinds().total(), len(chain.blocks), disk, int(median(long, 1)), int(median(long, 2)), median(long, 0),
        int(median(empty, 1)), median(empty, 0),
    )  # fmt: skip


def show(sizes: list[Size]) -> str:
    """The table, as it stands in benchmarks/README.md."""
    lines = [
        f"{'transactions':>12}{'blocks':>9}{'disk, MiB':>11}{'memory, MiB':>13}{'/ empty':>9}{'bytes each':>12}"
        f"{'peak, MiB':>11}{'restart, s':>12}{'/ empty':>9}"
    ]
    for size in sizes:
        lines.append(
            f"{size.transactions:>12,}{size.blocks:>9,}{size.disk / 2**20:>11.1f}{size.memory / 2**20:>13.1f}"
            f"{size.memory / size.empty_memory:>9.2f}{size.per_transaction:>12,.0f}{size.peak / 2**20:>11.1f}"
            f"{size.restart:>12.2f}{size.restart / size.empty_restart:>9.2f}"
        )
    return "\n".join(lines)


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    recipe_options(parser)
    parser.add_argument("--sizes", default="1000,10000,100000", help="transactions [default: 1000,10000,100000]")
    parser.add_argument("--turns", type=int, default=3, help="starts of each, of which the median counts [default: 3]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Measure and print."""
    sizes = []
    for transactions in map(int, found.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="assay-memory-") as folder:
            sizes.append(measure(transactions, found, Path(folder)))
    if found.json:
        rows = [{**asdict(size), "per_transaction": size.per_transaction} for size in sizes]
        print(json.dumps({"sizes": rows, "load": os.getloadavg()[0]}))
    else:
        print(f"{words(found)}\n\n{show(sizes)}\n\n{machine()}")
    return 0
