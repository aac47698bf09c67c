"""The data folder: where everything lies that a fleet keeps, and who may use it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import strict_json
from runtime.files import atomic_write

#: Where data lies unless ``--data`` says otherwise.
DEFAULT = Path("assay-data")
#: How often, and after how many seconds, a lock that is held is tried again.
LOOKS, LOOK_SECONDS = 3, 0.01


class FolderInUseError(RuntimeError):
    """Another fleet, or another service of the kind, runs on this data folder."""


class EndpointsError(RuntimeError):
    """``endpoints.json`` is missing or not readable: no fleet has been started on this folder, or it is
    damaged.
    """


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment; bind it soon."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def take_lock(descriptor: int) -> None:
    """Lock a file for this process alone. Raises BlockingIOError where another one holds it, and goes on holding it:
    who only looks whether a lock is held has it for an instant.
    """
    for _ in range(LOOKS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOOK_SECONDS)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock; nothing is made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True)
class DataFolder:
    """One fleet's folder; the properties that name folders make them when first asked."""

    path: Path

    def __init__(self, path: Path | str = DEFAULT) -> None:
        object.__setattr__(self, "path", Path(path).expanduser().resolve())

    def _folder(self, name: str, mode: int = 0o755) -> Path:
        folder = self.path / name
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        return folder

    @property
    def store(self) -> Path:
        """Blocks of the embedded content store."""
        return self._folder("store")

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self._folder("logs")

    @property
    def wallets(self) -> Path:
        """Key files; readable by their owner alone."""
        return self._folder("wallets", 0o700)

    @property
    def node(self) -> Path:
        """The node's database."""
        return self._folder("node")

    @property
    def genesis(self) -> Path:
        """The file with the genesis of the node's chain."""
        return self.node / "genesis.json"

    @property
    def operator_token(self) -> Path:
        """The file with what the node's operator shows it; readable by its owner alone."""
        return self.path / "node" / "operator.token"

    def cache(self, name: str) -> Path:
        """A cache of one process; nobody reads what somebody else wrote, so each has a name of its own."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise ValueError(f"cache name {name!r}: expected lowercase letters, digits, dots, dashes and underscores")
        return self._folder(f"cache/{name}")

    @property
    def blockchain_log(self) -> Path:
        """The chain's log, made for ``tail -f``."""
        return self.path / "blockchain.log"

    @property
    def endpoints(self) -> Path:
        """The file that says where the fleet's services answer."""
        return self.path / "endpoints.json"

    def write_endpoints(self, endpoints: Mapping[str, Any]) -> None:
        """Write where the services answer; mode 0600, for a broker's URL may hold a password."""
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write(self.endpoints, (json.dumps(dict(endpoints), indent=2) + "\n").encode(), mode=0o600)

    def read_endpoints(self) -> dict[str, Any]:
        """Where the services answer.  Raises :class:`EndpointsError`."""
        try:
            found = strict_json.loads(self.endpoints.read_bytes())
        except FileNotFoundError:
            raise EndpointsError(
                f"no {self.endpoints}: start a fleet with `assay up --data {self.path}`, or name its --data"
            ) from None
        except ValueError as error:
            raise EndpointsError(
                f"{self.endpoints} is not JSON ({error}); start the fleet again to rewrite it"
            ) from error
        if not isinstance(found, dict):
            raise EndpointsError(f"{self.endpoints}: expected a JSON object, found {type(found).__name__}")
        return found

    def remove_endpoints(self) -> None:
        """Forget where the services answered, when they have stopped."""
        self.endpoints.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other fleets off this folder.  The lock dies with the process; raises
        :class:`FolderInUseError`.
        """
        with only_one(self.path / "lock", f"{self.path} is in use by another fleet", "name another folder with --data"):
            yield


@contextlib.contextmanager
def only_one(path: Path, taken: str, otherwise: str) -> Iterator[None]:
    """Hold the lock file at ``path``, whose folder is made; the lock dies with the process, not with its children.

    Raises :class:`FolderInUseError`, which says ``taken``, by which process, and to stop it or do ``otherwise``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    opened = True

    def let_go() -> None:
        """A forked copy of the descriptor would hold the lock for as long as the child lives."""
        nonlocal opened
        if opened:
            opened = False
            os.close(descriptor)

    try:
        try:
            take_lock(descriptor)
        except BlockingIOError:
            by = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise FolderInUseError(f"{taken} (process {by}): stop it, or {otherwise}") from None
        os.register_at_fork(after_in_child=let_go)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if opened:  # a forked child has let go: the number may be another file's there
            opened = False
            os.close(descriptor)
