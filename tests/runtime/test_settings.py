"""The data folder."""

from __future__ import annotations

import os
import socket
import stat
from typing import NoReturn

import pytest

from runtime.settings import DataFolder, EndpointsError, FolderInUseError, free_port, only_one


def test_the_layout(tmp_path):
    folder = DataFolder(tmp_path / "data")
    for name in ("store", "logs", "wallets", "node"):
        assert getattr(folder, name) == tmp_path / "data" / name
        assert (tmp_path / "data" / name).is_dir()
    assert stat.S_IMODE(folder.wallets.stat().st_mode) == 0o700
    assert folder.blockchain_log == tmp_path / "data" / "blockchain.log"
    assert folder.genesis == tmp_path / "data" / "node" / "genesis.json"
    assert folder.cache("worker-1").is_dir()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", ".hidden"])
def test_a_cache_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="cache name"):
        DataFolder(tmp_path).cache(name)


def test_endpoints_survive_a_round_trip_and_are_private(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.write_endpoints({"coordinator": "http://127.0.0.1:5000", "broker": "redis://:secret@host/0"})
    assert folder.read_endpoints()["coordinator"] == "http://127.0.0.1:5000"
    assert stat.S_IMODE(folder.endpoints.stat().st_mode) == 0o600
    folder.remove_endpoints()
    folder.remove_endpoints()
    with pytest.raises(EndpointsError, match="assay up"):
        folder.read_endpoints()


@pytest.mark.parametrize("content", ["", "[1]", "{", "null"])
def test_damaged_endpoints_are_a_clear_error(tmp_path, content):
    folder = DataFolder(tmp_path)
    folder.endpoints.write_text(content)
    with pytest.raises(EndpointsError, match=r"endpoints\.json"):
        folder.read_endpoints()


def test_two_fleets_cannot_use_one_folder(tmp_path):
    folder = DataFolder(tmp_path / "data")
    with folder.lock(), pytest.raises(FolderInUseError, match=rf"process {os.getpid()}\)"), folder.lock():
        pass
    with folder.lock():
        pass


def test_the_lock_is_not_held_by_the_children_of_its_holder(tmp_path, start_python):
    """A worker forks the process that trains: one that outlives it for a moment must not keep its successor out."""
    process = start_python(
        """
import os, sys, time
from pathlib import Path
from runtime.settings import only_one
with only_one(Path(sys.argv[1]), "taken", "another"):
    if os.fork() == 0:
        if os.fork() == 0:
            print("forked", flush=True)
            time.sleep(60)
        os._exit(0)
    os.wait()
    os._exit(0)
""",
        str(tmp_path / "lock"),
    )
    assert process.stdout.readline() == "forked\n"
    assert process.wait(timeout=30) == 0
    with only_one(tmp_path / "lock", "taken", "another"):
        pass


def end_with(descriptor: int) -> NoReturn:
    """End a forked child: with 0 where its descriptor is open still."""
    try:
        os.fstat(descriptor)
    except OSError:
        os._exit(1)
    os._exit(0)


def test_a_child_that_lets_go_of_the_lock_closes_nothing_else(tmp_path):
    with only_one(tmp_path / "lock", "taken", "another"):
        inside = os.fork()
        if inside == 0:
            other = os.open(os.devnull, os.O_RDONLY)  # takes the number that the lock had
    if inside == 0:
        end_with(other)
    assert os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]) == 0


def test_a_fork_after_the_lock_was_let_go_closes_nothing(tmp_path):
    with only_one(tmp_path / "lock", "taken", "another"):
        pass
    other = os.open(os.devnull, os.O_RDONLY)
    child = os.fork()
    if child == 0:
        end_with(other)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(other)


def test_a_shorter_process_number_leaves_nothing_of_the_longer_one_before_it(tmp_path):
    (tmp_path / "lock").write_text("1234567890123\n")
    with only_one(tmp_path / "lock", "taken", "another"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.fleet
def test_the_lock_dies_with_its_holder(tmp_path, start_python):
    code = """
import sys
from runtime.settings import DataFolder
with DataFolder(sys.argv[1]).lock():
    print("locked", flush=True)
    sys.stdin.read()
    import signal; signal.pause()
"""
    process = start_python(code, str(tmp_path))
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(FolderInUseError, match=f"process {process.pid}"), DataFolder(tmp_path).lock():
        pass
    process.kill()
    process.wait()
    with DataFolder(tmp_path).lock():
        pass


def test_a_free_port_can_be_bound():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port("127.0.0.1")))
