"""Real nodes, each a process of its own on loopback, on folders with long chains."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chain.making import FORMAT, Made, Recipe, cache_folder, made, write_folder
from chain.database import SCHEMA_VERSION
from runtime.settings import free_port

#: Seconds that a node may take to answer.
READY = 300.0


def data_folder(recipe: Recipe, to: Path, cache: Path | None = None) -> Made:
    """Write a node's data folder with the recipe's chain; from the cache, where an earlier run left it."""
    folder = cache_folder() if cache is None else cache
    chain = made(recipe, folder)
    kept = folder / f"{recipe.name}-{FORMAT}-{SCHEMA_VERSION}.data"
    if not kept.exists():
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=folder))
        write_folder(chain, partial)
        partial.rename(kept)
    shutil.copytree(kept, to)
    return chain


class Process:
    """A node that runs, or its end."""

    def __init__(self, data: Path, genesis: Path | None = None, peers: Sequence[str] = ()) -> None:
        """Start `assay node` and wait until it answers; `seconds` says how long that took."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-P", "-m", "cli.main", "node", "--data", str(data), "--port", str(self.port)]
        command += ["--log-level", "error"]
        command += [] if genesis is None else ["--genesis", str(genesis)]
        for peer in peers:
            command += ["--peers", peer]
        begun = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while True:
            with contextlib.suppress(OSError):
                self.get("/chain")
                break
            if self._process.poll() is not None:
                raise RuntimeError(f"the node ended with status {self._process.returncode}")
            if time.perf_counter() > begun + READY:
                self.end(signal.SIGKILL)
                raise RuntimeError(f"the node did not answer within {READY:.0f} s")
            time.sleep(0.02)
        self.seconds = time.perf_counter() - begun

    def get(self, path: str) -> Any:
        """The JSON that a route answers."""
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body[:200]!r}")
        return json.loads(body)

    @property
    def height(self) -> int:
        """The head's."""
        return int(self.get("/chain")["height"])

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes resident now; with VmHWM the most there were. Of the node itself, without its miner's process."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
        raise RuntimeError(f"/proc has no {name} of the node: this needs Linux")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait."""
        self._connection.close()
        if self._process.poll() is None:
            os.kill(self._process.pid, how)
        self._process.wait(60)


@contextlib.contextmanager
def running(data: Path, genesis: Path | None = None, peers: Sequence[str] = ()) -> Iterator[Process]:
    """A node for as long as the block lasts."""
    process = Process(data, genesis, peers)
    try:
        yield process
    finally:
        process.end()
