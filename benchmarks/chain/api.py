"""How long a node takes to answer, by the height of its chain, with a miner at work beside it and without.

Requests one after the other over one connection, each route in turns with the reference: a Flask route that returns the
same few bytes, served by waitress in a process of its own just as a node is. The miner at work is a process that
searches for a hash that there is not, with the miner's own loop.
"""

# ruff: noqa: T201 - it prints what it measured

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.chain.making import Recipe
from benchmarks.chain.mining import search_for
from benchmarks.chain.nodes import Process, data_folder, running
from benchmarks.machine import machine
from runtime.settings import free_port

EXAMPLES = """examples:
  python -m benchmarks.chain api
  python -m benchmarks.chain api --heights 10,1000 --requests 50 --json
"""
_REFERENCE = """
import sys, threading
from flask import Flask
from runtime import serving
app = Flask("reference")
app.get("/")(lambda: {"height": 0, "head": "0" * 64})
serving.serve(app, "127.0.0.1", int(sys.argv[1]), stop=threading.Event())
"""
#: Requests of each route before those that count.
WARM = 5
#: Seconds for which the miner searches, at most.
FOREVER = 3_600.0


@dataclass(frozen=True)
class Latency:
    """One route at one height; milliseconds."""

    route: str
    height: int
    mining: bool
    p50: float
    p95: float
    reference: float
    """Median of the bare route's in the same turns."""

    @property
    def ratio(self) -> float:
        """In multiples of the reference."""
        return self.p50 / self.reference


@contextlib.contextmanager
def bare() -> Iterator[int]:
    """The port of the reference."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-P", "-c", _REFERENCE, str(port)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), closing(_connection(port)) as connection:
                timed(connection, "/")
                break
            if time.monotonic() > deadline:
                raise RuntimeError("the reference did not answer within 30 s")
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def searching(wanted: bool) -> Iterator[None]:
    """A process that searches for as long as the block lasts, if wanted."""
    if not wanted:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=search_for, args=(FOREVER,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def timed(connection: http.client.HTTPConnection, path: str) -> float:
    """Milliseconds until the whole answer is here."""
    begun = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    took = 1000 * (time.perf_counter() - begun)
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:200]!r}")
    return took


def routes(node: Process, chance: random.Random, count: int) -> dict[str, list[str]]:
    """Paths to ask for, spread over the whole chain."""
    height, last = node.height, node.get("/chain")["seq"]
    blocks = [node.get(f"/blocks/{chance.randint(1, height)}") for _ in range(min(count, 50))]
    transactions = [each["transaction"] for block in blocks for each in block["transactions"]]
    shown = node.get("/jobs?state=all&limit=50")["items"] + node.get("/jobs?state=all&limit=50&order=newest")["items"]
    jobs = [job["value"]["id"] for job in shown]

    def some(kind: str, values: list[str]) -> list[str]:
        return [f"/{kind}/{chance.choice(values)}" for _ in range(count)]

    found = {
        "head": ["/chain"] * count,
        "a transaction": some("transactions", transactions),
        "a block by height": [f"/blocks/{chance.randint(1, height)}" for _ in range(count)],
        "20 blocks": [f"/blocks?limit=20&cursor={chance.randint(1, height)}" for _ in range(count)],
        "20 jobs": ["/jobs?state=all&limit=20&order=newest"] * count,
        "20 events": [f"/events?limit=20&after={chance.randint(0, last - 1)}" for _ in range(count)],
        "an account": [f"/accounts/{node.get(f'/transactions/{transactions[0]}')['sender']}"] * count,
    }
    return {**found, "a job": some("jobs", jobs)} if jobs else found


def measure(node: Process, reference: int, mining: bool, requests: int) -> list[Latency]:
    """All routes of one node."""
    found = []
    height = node.height
    asked = routes(node, random.Random(height), requests + WARM)  # noqa: S311 - only what is asked for
    with closing(_connection(node.port)) as ours, closing(_connection(reference)) as theirs:
        for route, paths in asked.items():
            took = [(timed(ours, path), timed(theirs, "/")) for path in paths][WARM:]
            mine = sorted(each for each, _ in took)
            p95 = mine[min(len(mine) - 1, round(0.95 * len(mine)))]
            middle = statistics.median(each for _, each in took)
            found.append(Latency(route, height, mining, statistics.median(mine), p95, middle))
    return found


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def show(found: list[Latency]) -> str:
    """The tables, as they stand in benchmarks/README.md."""
    lines = []
    heights = sorted({each.height for each in found})
    for mining in sorted({each.mining for each in found}):
        lines += [
            f"{'with' if mining else 'without'} a miner at work: p50 / p95 in ms, p50 in multiples of the bare route",
            "",
            f"{'':<20}" + "".join(f"{f'height {height:,}':>26}" for height in heights) + f"{'highest / lowest':>18}",
        ]
        for route in dict.fromkeys(each.route for each in found):
            row = {each.height: each for each in found if each.route == route and each.mining == mining}
            cells = [
                f"{f'{row[height].p50:.2f} / {row[height].p95:.2f}  {row[height].ratio:>5.2f}':>26}"
                if height in row
                else f"{'-':>26}"
                for height in heights
            ]
            grown = row[max(row)].ratio / row[min(row)].ratio
            lines.append(f"{route:<20}{''.join(cells)}{grown:>18.2f}")
        lines.append("")
    return "\n".join(lines)


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--heights", default="10,1000,100000", help="blocks, about [default: 10,1000,100000]")
    parser.add_argument("--requests", type=int, default=300, help="of each route [default: 300]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = EXAMPLES


def main(found: argparse.Namespace) -> int:
    """Measure and print."""
    latencies = []
    with bare() as reference:
        for height in map(int, found.heights.split(",")):
            with tempfile.TemporaryDirectory(prefix="assay-api-") as folder:
                # A block each time there is something to say, and one validator's vote for it: two transactions.
                data_folder(Recipe(2 * height, 1, validators=1), Path(folder) / "data", found.cache)
                with running(Path(folder) / "data") as node:
                    for mining in (False, True):
                        with searching(mining):
                            latencies += measure(node, reference, mining, found.requests)
    if found.json:
        rows = [{**asdict(each), "ratio": each.ratio} for each in latencies]
        print(json.dumps({"latencies": rows, "load": os.getloadavg()[0]}))
    else:
        print(f"{show(latencies)}\n{machine()}")
    return 0
