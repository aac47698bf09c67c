"""Real services for the tests that ask for them: a Kubo and a Redis, each the session's own.

A missing service skips its tests by name; with ASSAY_REQUIRE=all it fails them. Kubo is the command
`ipfs`, or what ASSAY_IPFS_COMMAND names; Redis is `redis-server`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from runtime import guard, numeric
from tests.ports import held

numeric.pin()  # before any test imports numpy

# How long an example takes says how busy the machine is; what must be quick has a benchmark.
settings.register_profile("assay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("assay")

_FLEET = "tests/fleet/"
_STARTS_WITHIN = 30.0  # seconds
_NO_NETWORK = {  # a Kubo of our own: no peers, no reports, no ports but its API's
    "Bootstrap": [],
    "Routing": {"Type": "none"},
    "AutoConf": {"Enabled": False},
    "Addresses": {"API": "/ip4/127.0.0.1/tcp/0", "Gateway": [], "Swarm": []},
    "Discovery": {"MDNS": {"Enabled": False}},
}


class _OneFleet(LoadFileScheduling):
    """Test files in any process, but all of `tests/fleet` in one: two fleets at a time are in each other's way."""

    def _split_scope(self, nodeid: str) -> str:
        return _FLEET if nodeid.startswith(_FLEET) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _OneFleet:
    return _OneFleet(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole fleets first, since they take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(_FLEET))


def missing(what: str) -> None:
    """Skip the test that needs it, or fail where nothing may be missing."""
    if os.environ.get("ASSAY_REQUIRE") == "all":
        pytest.fail(f"{what}, and ASSAY_REQUIRE=all asks for it", pytrace=False)
    pytest.skip(what)


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


@contextmanager
def _running(
    command: list[str], log: Path, ready: Callable[[], bool], env: dict[str, str] | None = None
) -> Iterator[None]:
    """A service for as long as the block lasts; it ends with this process, too, however that ends."""
    leash = guard.Leash()
    with log.open("wb") as output:
        process = subprocess.Popen(
            guard.wrapped(command),
            env=leash.environment(env),
            pass_fds=leash.pass_fds,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(ready, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        leash.close()


@dataclass(frozen=True)
class Kubo:
    """A running Kubo: its API's multiaddr, its command with the environment that reaches it, its
    repository."""

    api: str
    ipfs: str
    env: dict[str, str]
    repo: Path

    def run(self, *args: str, stdin: bytes | None = None) -> bytes:
        """What `ipfs ARGS` prints; raises CalledProcessError."""
        return subprocess.run(
            [self.ipfs, *args], env=self.env, input=stdin, check=True, capture_output=True, timeout=60
        ).stdout


@pytest.fixture(scope="session")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    command = shutil.which(os.environ.get("ASSAY_IPFS_COMMAND", "ipfs"))
    if command is None:
        missing("there is no Kubo: no command ipfs on PATH, nor in ASSAY_IPFS_COMMAND")
    assert command is not None
    repo = tmp_path_factory.mktemp("kubo")
    env = {**os.environ, "IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off"}
    subprocess.run([command, "init", "--profile=test"], env=env, check=True, capture_output=True)
    config = json.loads((repo / "config").read_text())
    for section, values in _NO_NETWORK.items():
        config[section] = {**config.get(section, {}), **values} if isinstance(values, dict) else values
    (repo / "config").write_text(json.dumps(config))
    log = repo / "daemon.log"
    with _running([command, "daemon"], log, lambda: b"Daemon is ready" in log.read_bytes(), env):
        yield Kubo((repo / "api").read_text().strip(), command, env, repo)


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


@pytest.fixture
def port() -> Iterator[int]:
    """A port for a program that the test starts."""
    with held() as found:
        yield found


@pytest.fixture
def other_port() -> Iterator[int]:
    """A second one."""
    with held() as found:
        yield found


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    command = shutil.which("redis-server")
    if command is None:
        missing("there is no Redis: no command redis-server on PATH")
    assert command is not None
    with tempfile.TemporaryDirectory(prefix="assay-redis-") as folder, held() as port:
        log = Path(folder) / "log"
        where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
        options = [*where, "--save", "", "--appendonly", "no"]
        with _running([command, *options], log, lambda: _answers_ping(port)):
            yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Leave to make network namespaces; what killed runs have left of theirs is gone."""
    from tests.fleet import namespaces

    why = namespaces.why_not()
    if why is not None:
        missing(f"there are no network namespaces: {why}")
    namespaces.sweep()
