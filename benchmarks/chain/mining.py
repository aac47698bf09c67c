"""How many hashes a second the miner does, beside OpenSSL's own loop.

The miner's loop is `chain.work.search`, in slices as its processes do it. A hash is a header's double SHA-256 with the
first 64 of its 88 bytes taken over: two compressions. The reference is `openssl speed -evp sha256 -bytes 64`: a message
of 64 bytes is two compressions as well, so one of its hashes is the work of one of ours, done in C. Both by the wall
clock, in turns; the best of each counts.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.machine import machine
from chain import work
from chain.node.miner import SLICE

EXAMPLES = """examples:
  python -m benchmarks.chain mining
  python -m benchmarks.chain mining --seconds 5 --cores 2 --json
"""
PREFIX = bytes(range(80))
#: That nothing meets.
IMPOSSIBLE = 0


@dataclass(frozen=True)
class Rate:
    """Hashes a second on so many cores, wall time."""

    cores: int
    miner: float
    openssl: float

    @property
    def ratio(self) -> float:
        """The miner's in multiples of OpenSSL's."""
        return self.miner / self.openssl


def search_for(seconds: float) -> float:
    """Search in this process for so long; hashes a second."""
    begun = time.perf_counter()
    count = 0
    while (now := time.perf_counter()) < begun + seconds:
        if work.search(PREFIX, IMPOSSIBLE, count, SLICE) is not None:
            raise RuntimeError("a hash met a target that nothing meets")
        count += SLICE
    return count / (now - begun)


def miner_rate(cores: int, seconds: float) -> float:
    """Hashes a second of so many processes together."""
    with ProcessPoolExecutor(cores) as pool:
        return sum(pool.map(search_for, [seconds] * cores))


def openssl_rate(cores: int, seconds: int) -> float:
    """Hashes a second of OpenSSL's loop over 64 bytes, in so many processes."""
    program = shutil.which("openssl")
    if program is None:
        raise SystemExit("there is no command openssl on PATH: install it, it is what the miner is compared with")
    several = ["-multi", str(cores)] if cores > 1 else []
    command = [program, "speed", "-elapsed", "-seconds", str(seconds), "-bytes", "64", *several, "-evp", "sha256"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"^sha256\s+([0-9.]+)k", done.stdout, re.MULTILINE | re.IGNORECASE)
    if found is None:
        raise SystemExit(f"openssl speed said something else than expected: {done.stdout[-200:]!r}")
    return float(found[1]) * 1000 / 64


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement [default: 1]")
    parser.add_argument("--turns", type=int, default=5, help="of which the best counts [default: 5]")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="at most [default: all]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Measure and print."""
    rates = []
    for cores in sorted({1, found.cores}):
        turns = [
            (miner_rate(cores, found.seconds), openssl_rate(cores, found.seconds)) for _ in range(found.turns)
        ]
        rates.append(Rate(cores, max(ours for ours, _ in turns), max(theirs for _, theirs in turns)))
    if found.json:
        rows = [{**asdict(rate), "ratio": rate.ratio} for rate in rates]
        print(json.dumps({"rates": rows, "load": os.getloadavg()[0]}))
        return 0
    print(f"{'hashes a second':<18}{'miner':>12}{'openssl':>14}{'miner / openssl':>18}")
    for rate in rates:
        cores = f"{rate.cores} core{'s' if rate.cores > 1 else ''}"
        print(f"{cores:<18}{rate.miner:>12,.0f}{rate.openssl:>14,.0f}{rate.ratio:>18.2f}")
    print(f"\n{machine()}")
    return 0
