"""How long a new node takes to have a long chain from another, both real processes on loopback.

Once from nothing to the end, and once more with the new one killed (SIGKILL) half-way and started again. The reference
is coincurve's recovery alone of as many signatures, measured on one core before and after: what the seconds would be
if nothing but signatures were to be checked.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from coincurve import PublicKey

from benchmarks.chain.generate import recipe_of, recipe_options, words
from benchmarks.chain.making import Made
from benchmarks.chain.nodes import Process, data_folder, running
from benchmarks.chain.validation import signatures
from benchmarks.machine import machine

EXAMPLES = """examples:
  python -m benchmarks.chain sync
  python -m benchmarks.chain sync --transactions 5000 --only transfer --json
"""
#: Signatures that the reference recovers each time.
SAMPLE = 2_000
#: Seconds that a chain may take.
PATIENCE = 3_600.0


@dataclass(frozen=True)
class Figures:
    """What it took; seconds and bytes."""

    transactions: int
    signatures: int
    blocks: int
    raw: float
    """One signature's recovery."""
    whole: float
    """From the new node's first answer to its having the head."""
    halves: float
    """The same with a kill half-way, the restart included."""
    killed_at: int
    """Height that it had then."""
    resumed_at: int
    """Height that it had when it answered again."""
    restart: float
    new_peak: int
    old_peak: int

    @property
    def ratio(self) -> float:
        """How many times faster than the reference; below 1 it is slower."""
        return self.raw * self.signatures / self.whole


def raw_seconds(chain: Made) -> float:
    """What the recovery of one signature takes."""
    sample: list[tuple[bytes, bytes]] = []
    for data in chain.blocks:
        sample += signatures(data, chain.params.max_block_bytes)
        if len(sample) >= SAMPLE:
            break
    begun = time.perf_counter()
    for signature, message in sample:
        PublicKey.from_signature_and_message(signature, message, hasher=None)
    return (time.perf_counter() - begun) / len(sample)


def reach(node: Process, height: int) -> float:
    """Wait until a node has a height; the seconds that took."""
    begun = time.perf_counter()
    while node.height < height:
        if time.perf_counter() > begun + PATIENCE:
            raise SystemExit(f"after {PATIENCE:.0f} s the node is at height {node.height} of {height}")
        time.sleep(0.05)
    return time.perf_counter() - begun


def measure(chain: Made, folder: Path) -> Figures:
    """Have two nodes follow one whose data folder is `folder`/old."""
    end, genesis = len(chain.blocks), folder / "old" / "node" / "genesis.json"
    raw = [raw_seconds(chain)]
    with running(folder / "old") as old:
        with running(folder / "new", genesis, [old.url]) as new:
            whole = reach(new, end)
            new_peak = new.memory("VmHWM")
        begun = time.perf_counter()
        first = Process(folder / "killed", genesis, [old.url])
        reach(first, end // 2)
        killed_at = first.height
        first.end(signal.SIGKILL)
        with running(folder / "killed", peers=[old.url], genesis=genesis) as again:
            resumed_at = again.height
            reach(again, end)
            halves, restart = time.perf_counter() - begun, again.seconds
        if resumed_at < killed_at:
            raise SystemExit(f"killed at height {killed_at}, the node came back with {resumed_at}")
        old_peak = old.memory("VmHWM")
    raw.append(raw_seconds(chain))
    count = sum(len(signatures(data, chain.params.max_block_bytes)) for data in chain.blocks)
    return Figures(
        chain.kinds().total(), count, end, sum(raw) / 2, whole, halves, killed_at, resumed_at, restart, new_peak,
        old_peak,
    )  # fmt: skip


def show(figures: Figures, what: str) -> str:
    """The lines, as they stand in benchmarks/README.md."""
    count, reference = figures.transactions, figures.raw * figures.signatures
    rate = count / figures.whole
    return "\n".join(
        [
            f"{count:,} transactions, {figures.signatures:,} signatures, in {figures.blocks} blocks, {what}",
            "",
            f"{'':<32}{'seconds':>10}{'a second':>12}{'reference / it':>16}",
            f"{'synchronised':<32}{figures.whole:>10.1f}{rate:>12,.0f}{figures.ratio:>16.2f}",
            f"{'the same, killed half-way':<32}{figures.halves:>10.1f}{count / figures.halves:>12,.0f}"
            f"{reference / figures.halves:>16.2f}",
            f"{'coincurve alone (reference)':<32}{reference:>10.1f}{count / reference:>12,.0f}{1:>16.2f}",
            "",
            f"killed at height {figures.killed_at}, it came back within {figures.restart:.1f} s at height "
            f"{figures.resumed_at}",
            f"most memory: {figures.new_peak / 2**20:.0f} MiB of the new node, {figures.old_peak / 2**20:.0f} MiB of "
            "the one that has the chain",
        ]
    )


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    recipe_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="assay-sync-") as folder:
        chain = data_folder(recipe_of(found), Path(folder) / "old", found.cache)
        figures = measure(chain, Path(folder))
    if found.json:
        print(json.dumps({**asdict(figures), "ratio": figures.ratio, "load": os.getloadavg()[0]}))
    else:
        print(f"{show(figures, words(found))}\n\n{machine()}")
    return 0
