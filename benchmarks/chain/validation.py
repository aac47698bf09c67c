"""What it costs to take a block from outside whole, beside the recovery of its signatures alone.

Whole is what a node does with the bytes of a block that a peer sent: decode and check them, recover who signed, apply
the state transition, compare the digest, and write block, places and events to SQLite (WAL, synchronous=FULL). The
reference is coincurve alone, `PublicKey.from_signature_and_message` on the same signatures, block by block in turns
with the whole, in the same thread. A chain of 100,000 transactions is measured from its genesis to its end.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from coincurve import PublicKey

from benchmarks.chain.generate import recipe_of, recipe_options, words
from benchmarks.chain.making import MINER, Made, last_time, made, receive
from benchmarks.machine import machine
from chain.blocks import Block
from chain.keys import signing_hash
from chain.node.core import Node
from chain.store import Store
from chain.transactions import Attest
from runtime.collecting import collect_rarely

EXAMPLES = """examples:
  python -m benchmarks.chain validation
  python -m benchmarks.chain validation --only transfer --per-block 1000
  python -m benchmarks.chain validation --transactions 10000 --json
"""


@dataclass(frozen=True)
class Figures:
    """What a chain took, seconds."""

    transactions: int
    signatures: int
    """One for each transaction, and that of each attestation."""
    blocks: int
    full_cpu: float
    full_wall: float
    raw_cpu: float
    raw_wall: float

    @property
    def per_core(self) -> float:
        """Transactions a second of one core, validated whole."""
        return self.transactions / self.full_cpu

    @property
    def ratio(self) -> float:
        """Of that, in multiples of what coincurve alone would do."""
        return self.raw_cpu / self.full_cpu

    @property
    def wall_ratio(self) -> float:
        """The same by the clock on the wall: waiting for the disk included."""
        return self.raw_wall / self.full_wall


def measure(chain: Made, folder: Path) -> Figures:
    """Have a node with a database in a folder take a chain."""
    count, spent = 0, [0.0, 0.0, 0.0, 0.0]
    now = last_time(chain)
    with closing(Store(folder / "chain.sqlite")) as store:
        node = Node(chain.genesis, chain.params, store, lambda: now, MINER)
        collect_rarely()  # as a node's process does
        for data in chain.blocks:
            found = signatures(data, chain.params.max_block_bytes)
            count += len(found)
            cpu, wall = time.process_time(), time.perf_counter()
            for signature, message in found:
                PublicKey.from_signature_and_message(signature, message, hasher=None)
            middle_cpu, middle_wall = time.process_time(), time.perf_counter()
            receive(node, [data])
            end_cpu, end_wall = time.process_time(), time.perf_counter()
            spent[0] += end_cpu - middle_cpu
            spent[1] += end_wall - middle_wall
            spent[2] += middle_cpu - cpu
            spent[3] += middle_wall - wall
    return Figures(chain.kinds().total(), count, len(chain.blocks), *spent)


def signatures(data: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """A block's signatures as coincurve takes them, each with 32 bytes that it could be over.

    Attestations hold a second one, which is recovered as well.
    """
    found = []
    for signed in Block.decode(data, limit).transactions:
        attested = [signed.payload.signature] if isinstance(signed.payload, Attest) else []
        for text in (signed.signature, *attested):
            signature = bytes.fromhex(text)
            found.append((signature[:64] + bytes((signature[64] - 27,)), signing_hash(signed.digest)))
    return found


def show(figures: Figures, what: str) -> str:
    """The table, as it stands in benchmarks/README.md."""
    count = figures.transactions
    lines = [
        f"{count:,} transactions, {figures.signatures:,} signatures, {figures.blocks} blocks, {what}; one thread",
        "",
        f"{'':<28}{'us each, CPU':>14}{'us each, wall':>15}{'a second and core':>20}{'/ raw':>8}{'/ raw, wall':>13}",
    ]
    for name, cpu, wall in (
        ("validated whole", figures.full_cpu, figures.full_wall),
        ("coincurve's recovery alone", figures.raw_cpu, figures.raw_wall),
    ):
        lines.append(
            f"{name:<28}{1e6 * cpu / count:>14.1f}{1e6 * wall / count:>15.1f}{count / cpu:>20,.0f}"
            f"{figures.raw_cpu / cpu:>8.2f}{figures.raw_wall / wall:>13.2f}"
        )
    return "\n".join(lines)


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    recipe_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Measure and print."""
    recipe = recipe_of(found)
    chain = made(recipe, found.cache)
    with tempfile.TemporaryDirectory(prefix="assay-validation-") as folder:
        figures = measure(chain, Path(folder))
    if found.json:
        print(json.dumps({**asdict(figures), "ratio": figures.ratio, "wall_ratio": figures.wall_ratio,
                          "per_core": figures.per_core, "load": os.getloadavg()[0]}))  # fmt: skip
    else:
        print(f"{show(figures, words(found))}\n\n{machine()}")
    return 0
