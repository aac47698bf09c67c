"""The coordinator's process as a whole, without a node: what it refuses before anybody has to answer for it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
import requests

from coordinator.service import run
from coordinator.settings import FORM_BYTES, Settings
from runtime.settings import FolderInUseError

#: A node that is away: no program of a user listens on this port.
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a coordinator that takes files of 3000 bytes and other requests of 2000."""
    settings = Settings(tmp_path, NOBODY, port=0, max_upload=3000, max_body=2000)
    stop, ports = threading.Event(), Queue[int]()
    thread = threading.Thread(target=run, args=(settings, stop, ports.put))
    thread.start()
    yield ports.get(timeout=30)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_body_longer_than_any_route_reads_is_refused_by_its_announced_length(port: int) -> None:
    most = 3000 + FORM_BYTES
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST /api/v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Length: {most + 1}\r\n\r\n"
        connection.sendall(head.encode())
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            assert (response.status, response.getheader("Content-Type")) == (413, "application/problem+json")
            assert f"more than {most} bytes" in json.loads(response.read())["detail"]


def test_an_upload_within_the_bound_is_read_and_one_file_too_large_named(port: int) -> None:
    fields = {"name": "iris", "target": "species", "task": "classification"}
    response = requests.post(
        f"http://127.0.0.1:{port}/api/v1/datasets", data=fields, files={"file": b"x" * 3001}, timeout=30
    )
    assert response.status_code == 413
    assert "the file has 3001 bytes, at most 3000" in response.json()["detail"]


def test_a_request_of_another_kind_has_its_own_smaller_bound(port: int) -> None:
    response = requests.post(f"http://127.0.0.1:{port}/api/v1/jobs", data=b" " * 2001, timeout=30)
    assert response.status_code == 413
    assert "more than 2000 bytes" in response.json()["detail"]


def test_a_second_coordinator_on_the_folder_is_refused(port: int, tmp_path: Path) -> None:
    """They would send each other's transactions from one outbox, and sign with one wallet."""
    second = Settings(tmp_path, NOBODY, port=0)
    with pytest.raises(FolderInUseError, match=rf"in use by another coordinator.*process {os.getpid()}\).*--data"):
        run(second, threading.Event())
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).ok
