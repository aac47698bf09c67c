"""One member of a network of real processes: `assay node` and `assay validator` in a namespace of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.client import NodeClient
from chain.keys import Key
from chain.wallets import Wallets
from runtime.guard import Leash
from runtime.settings import DataFolder
from tests.fleet.namespaces import Switches

FAULTS = Path(__file__).with_name("faults")
PORT = 7001
#: Name of the validator's wallet, folder and log.
VALIDATOR = "validator"
STOP_WITHIN = 15.0
DIE_WITHIN = 30.0


@dataclass
class Process:
    """A service that is started, told of bad luck (see faults/sitecustomize.py), and ended."""

    name: str
    command: tuple[str, ...]
    folder: Path
    """Of its faults."""
    log: Path
    switches: Switches
    member: int
    leash: Leash
    running: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._clock = self.folder / "clock"
        self._clock.write_bytes(bytes(8))
        self.died: list[dict[str, Any]] = []
        """Deaths that were ordered and came."""
        self._expected = 0  # process id of the last whose death is accounted for

    @property
    def up(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def start(self) -> None:
        """Start it; do not wait."""
        assert not self.up, f"{self.name} runs"
        paths = [str(FAULTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ASSAY_FAULTS": str(self.folder)}
        with self.log.open("ab") as log, self.switches.inside(self.member):
            self.running = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli.main", *self.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.leash.environment(environment), pass_fds=self.leash.pass_fds,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL, now."""
        if self.running is not None and self.up:
            self.running.kill()
            assert self.running.wait(STOP_WITHIN) == -signal.SIGKILL
            self._expected = self.running.pid

    def stop(self) -> None:
        """SIGTERM; it ends well."""
        if self.running is not None and self.up:
            self.running.terminate()
            assert self.running.wait(STOP_WITHIN) == 0, self.tail()

    def clock(self, seconds: float) -> None:
        """Its clock is wrong by so much from now on."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("q", int(seconds * 1e9)))

    def die(self, at: str, of: str | None = None, nth: int = 1) -> None:
        """Order a death."""
        draft = self.folder / "draft"
        draft.write_text(json.dumps({"at": at, "of": of, "nth": nth}))
        draft.rename(self.folder / "die")

    def spare(self) -> None:
        """Take the order back."""
        (self.folder / "die").unlink(missing_ok=True)

    def buried(self, seconds: float = DIE_WITHIN) -> dict[str, Any]:
        """Wait for the ordered death: by SIGKILL, of this very process, at the place that was ordered."""
        assert self.running is not None
        try:
            status = self.running.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not come to the place to die at; {self.tail()}") from None
        assert status == -signal.SIGKILL, (status, self.tail())
        mark = self.folder / "died"
        told: dict[str, Any] = json.loads(mark.read_text())
        assert told["pid"] == self.running.pid
        mark.unlink()
        self.died.append(told)
        self._expected = self.running.pid
        return told

    def revive(self) -> bool:
        """Start it if it is down; whether it was: by a SIGKILL, the test's or at a place that was ordered."""
        if self.up:
            return False
        if self.running is not None:
            if (self.folder / "died").exists():
                self.buried()
            assert self.running.pid == self._expected, f"it ended by itself, {self.running.returncode}; {self.tail()}"
        self.start()
        return True

    def tail(self, lines: int = 25) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.name}", *text[-lines:]])


@dataclass
class Member:
    """An organisation with a node, and a validator if it is one."""

    number: int
    data: DataFolder
    switches: Switches
    leash: Leash
    peers: tuple[str, ...]
    validates: bool
    genesis: Path
    node: Process = field(init=False)
    validator: Process = field(init=False)
    client: NodeClient = field(init=False)

    def __post_init__(self) -> None:
        self.payer = payer(self.number)
        base = self.data.path
        self.url = url(self.switches, self.number)
        self.node = self._process(
            "node", "node", "--data", str(base), "--genesis", str(self.genesis), "--host", "0.0.0.0",
            "--port", str(PORT), "--advertise", self.url, *(f"--peers={peer}" for peer in self.peers),
        )  # fmt: skip
        self.validator = self._process(
            VALIDATOR, "validator", "--data", str(base), "--name", VALIDATOR, "--node", f"http://127.0.0.1:{PORT}"
        )
        self.control = f"http://{self.switches.control(self.number)}:{PORT}"
        self.client = NodeClient(self.control, timeout=10)

    def _process(self, name: str, *command: str) -> Process:
        base = self.data.path
        return Process(
            f"{name} {self.number}", command, base / f"{name}-faults", base / "logs" / f"{name}.log",
            self.switches, self.number, self.leash,
        )  # fmt: skip

    @property
    def processes(self) -> tuple[Process, ...]:
        return (self.node, self.validator) if self.validates else (self.node,)

    @property
    def database(self) -> Path:
        return self.data.node / "chain.sqlite"

    def clock(self, seconds: float) -> None:
        """The clock of this machine is wrong by so much."""
        for process in (self.node, self.validator):
            process.clock(seconds)

    def events(self, kind: str) -> list[dict[str, str]]:
        """The lines of blockchain.log with this event."""
        path = self.data.blockchain_log
        lines = path.read_text().splitlines() if path.exists() else []
        found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return [each for each in found if each.get("event") == kind]


def url(switches: Switches, member: int) -> str:
    """Where other members reach it."""
    return f"http://{switches.address(member)}:{PORT}"


def payer(member: int) -> Key:
    """Somebody with coins at the member's."""
    return Key(hashlib.sha256(f"payer {member}".encode()).digest())


def validator_of(data: DataFolder) -> str:
    """The address of the member's validator, made if there is none."""
    return Wallets(data.wallets).ensure(VALIDATOR).address
