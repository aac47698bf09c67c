"""Where the services of a folder answer."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.endpoints import announced, answering, url_of
from runtime.settings import DataFolder, EndpointsError

NODE = {"node": "http://127.0.0.1:7001"}
COORDINATOR = {"coordinator": "http://127.0.0.1:5000", "store": "/shared", "broker": "redis://:secret@host/0"}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def test_services_add_their_parts_and_take_them_back(folder: DataFolder) -> None:
    with announced(folder, "node", NODE):
        assert answering(folder) == folder.read_endpoints() == NODE
        with announced(folder, "coordinator", COORDINATOR):
            assert answering(folder) == NODE | COORDINATOR
            assert stat.S_IMODE(folder.endpoints.stat().st_mode) == 0o600
        assert answering(folder) == folder.read_endpoints() == NODE
    assert not folder.endpoints.exists()
    with pytest.raises(EndpointsError, match=f"assay node --data {folder.path}"):
        answering(folder)


def test_a_store_is_named_as_long_as_one_of_its_services_runs(folder: DataFolder) -> None:
    with announced(folder, "validator", {"store": "/shared"}):
        with announced(folder, "coordinator", COORDINATOR):
            pass
        assert answering(folder) == {"store": "/shared"}


def test_of_two_of_a_kind_the_first_one_stands(folder: DataFolder) -> None:
    with announced(folder, "node", NODE):
        with announced(folder, "node", {"node": "http://127.0.0.1:7002"}):
            assert answering(folder) == NODE
        assert answering(folder) == NODE


def test_a_fleet_s_own_file_stands(folder: DataFolder) -> None:
    whole = {**COORDINATOR, "node": "http://127.0.0.1:7009"}
    with folder.lock():
        folder.write_endpoints(whole)
        with announced(folder, "node", NODE):
            assert answering(folder) == whole
        assert answering(folder) == whole
    with pytest.raises(EndpointsError):
        answering(folder)  # left by a fleet that was killed


@pytest.mark.fleet
def test_what_a_killed_service_has_left_is_not_believed(folder: DataFolder, start_python) -> None:  # type: ignore[no-untyped-def]
    code = """
import sys
from runtime.endpoints import announced
from runtime.settings import DataFolder
with announced(DataFolder(sys.argv[1]), "coordinator", {"coordinator": "http://127.0.0.1:5000", "broker": "b"}):
    print("there", flush=True)
    import signal; signal.pause()
"""
    process = start_python(code, str(folder.path))
    assert process.stdout.readline() == "there\n"
    with announced(folder, "node", NODE):
        assert answering(folder) == {"coordinator": "http://127.0.0.1:5000", "broker": "b", **NODE}
        process.kill()
        process.wait()
        assert answering(folder) == NODE
    assert not folder.endpoints.exists()


def test_a_damaged_file_is_written_again(folder: DataFolder) -> None:
    folder.path.mkdir()
    folder.endpoints.write_text("{")
    with announced(folder, "node", NODE):
        assert answering(folder) == NODE


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:7"), ("0.0.0.0", "http://127.0.0.1:7"), ("::", "http://[::1]:7"),
     ("10.1.2.3", "http://10.1.2.3:7"), ("a.example", "http://a.example:7")],
)  # fmt: skip
def test_where_a_listener_is_reached_on_this_machine(host: str, url: str) -> None:
    assert url_of(host, 7) == url
