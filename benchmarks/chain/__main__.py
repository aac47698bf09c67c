"""`python -m benchmarks.chain`: one command for each measurement, and one that makes chains."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.chain import api, generate, memory, mining, sync, validation

COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "make": ("a data folder with a long chain in it", generate.options, generate.main),
    "validation": ("what a block from outside costs whole, to coincurve alone", validation.options, validation.main),
    "sync": ("a long chain from another node on loopback, to coincurve alone", sync.options, sync.main),
    "memory": ("memory and restart by the chain's length, to an empty chain's", memory.options, memory.main),
    "mining": ("the miner's hashes a second, to OpenSSL's", mining.options, mining.main),
    "api": ("latency by the chain's height, to a bare route's", api.options, api.main),
}
"""Name: (what it measures, its options, the measurement)."""


def main(arguments: list[str] | None = None) -> int:
    """Run one measurement; its status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chain",
        description="How fast the chain is, each figure a ratio to something named and measured in the same run.",
    )
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    for name, (words, options, run) in COMMANDS.items():
        command = commands.add_parser(
            name, help=words, description=words[0].upper() + words[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.add_argument("--cache", type=Path, help="folder that keeps chains between runs [default: in the "
                             "system's temporary folder]")  # fmt: skip
        options(command)
        command.set_defaults(run=run)
    found = parser.parse_args(arguments)
    return int(found.run(found))


if __name__ == "__main__":
    raise SystemExit(main())
