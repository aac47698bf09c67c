"""Makes a chain and, where asked, a node's data folder with it."""

# ruff: noqa: T201 - it prints what it made

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.chain.making import Recipe, made, write_folder

EXAMPLES = """examples:
  python -m benchmarks.chain make --data /tmp/long
  python -m benchmarks.chain make --transactions 5000 --per-block 1 --validators 1
  python -m benchmarks.chain make --only transfer --data /tmp/transfers && assay node --data /tmp/transfers
"""


def recipe_options(parser: argparse.ArgumentParser, transactions: int = 100_000, per_block: int = 400) -> None:
    """What a chain is to be like, as options."""
    parser.add_argument(
        "--transactions", type=int, default=transactions, help=f"at least so many [default: {transactions}]"
    )
    parser.add_argument(
        "--per-block", type=int, default=per_block,
        help=f"of them in a block at most, beside checkpoint votes [default: {per_block}]",
    )  # fmt: skip
    parser.add_argument("--validators", type=int, default=4, help="who vote on checkpoints [default: 4]")
    parser.add_argument(
        "--only", choices=["transfer"], help="transfers and checkpoint votes alone [default: what a fleet sends]"
    )


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the options say."""
    return Recipe(options.transactions, options.per_block, options.only or "fleet", options.validators)


def words(options: argparse.Namespace) -> str:
    """What such a chain holds."""
    return "transfers" if options.only else "a fleet's mix"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    recipe_options(parser)
    parser.add_argument("--data", type=Path, help="a data folder to write [default: only the cached blocks]")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Make, print, and write."""
    recipe = recipe_of(found)
    begun = time.perf_counter()
    chain = made(recipe, found.cache)
    kinds = chain.kinds()
    print(f"{len(chain.blocks)} blocks, {kinds.total()} transactions, {sum(map(len, chain.blocks)):,} bytes")
    print(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    print(f"made or read in {time.perf_counter() - begun:.1f} s")
    if found.data is not None:
        begun = time.perf_counter()
        write_folder(chain, found.data)
        print(f"{found.data} written in {time.perf_counter() - begun:.1f} s")
    return 0
