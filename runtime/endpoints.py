"""Where the services of one data folder answer: `endpoints.json`, for commands that are told the folder alone.

`assay up` writes the file whole for its fleet, whose lock it holds. A service that was started by itself adds its own
part while it serves. A lock file for each kind of service, which dies with the process, tells what is true from what a
killed one has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.settings import DataFolder, EndpointsError, is_locked, take_lock

#: Which parts of the file a kind of service may write.
SERVICES = {
    "node": ("node",),
    "coordinator": ("coordinator", "store", "broker"),
    "validator": ("store",),
}


@contextlib.contextmanager
def announced(folder: DataFolder, service: str, endpoints: Mapping[str, str]) -> Iterator[None]:
    """Say in the folder's `endpoints.json` that `service` (one of SERVICES) answers there, until this is left.

    Where a fleet runs on the folder, or another service of the kind, what those have written stands.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with _alone(folder):
            mine = not is_locked(folder.path / "lock") and held.enter_context(_lock(_serving(folder, service)))
            if mine:
                _write(folder, {**_true(folder), **endpoints})
        try:
            yield
        finally:
            if mine:
                with _alone(folder):
                    held.close()
                    _write(folder, _true(folder))


def answering(folder: DataFolder) -> dict[str, str]:
    """What answers on the folder now, by `node`, `coordinator`, `store` and `broker`.

    Raises EndpointsError where nothing does.
    """
    if is_locked(folder.path / "lock"):
        return folder.read_endpoints()
    found = _true(folder)
    if not found:
        raise EndpointsError(
            f"nothing runs on {folder.path}: start a fleet with `assay up --data {folder.path}`, or a node with "
            f"`assay node --data {folder.path}`; or name another folder with --data"
        )
    return found


def url_of(host: str, port: int) -> str:
    """Where a service that listens at `host` is reached on this machine."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _true(folder: DataFolder) -> dict[str, str]:
    """The parts of the file whose services run; none where there is no file, or one that cannot be read."""
    try:
        found = folder.read_endpoints()
    except EndpointsError:
        return {}
    true = {name for service, names in SERVICES.items() if is_locked(_serving(folder, service)) for name in names}
    return {name: value for name, value in found.items() if name in true}


def _write(folder: DataFolder, endpoints: Mapping[str, str]) -> None:
    if is_locked(folder.path / "lock"):
        return  # a fleet has begun meanwhile: the file is its own
    if endpoints:
        folder.write_endpoints(endpoints)
    else:
        folder.remove_endpoints()


def _serving(folder: DataFolder, service: str) -> Path:
    return folder.path / f".{service}.serving"


@contextlib.contextmanager
def _lock(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock; False where another process has it and `wait` is not set."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            if wait:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            else:
                take_lock(descriptor)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    """Services that start together take turns."""
    with _lock(folder.path / ".endpoints.lock", wait=True):
        yield
