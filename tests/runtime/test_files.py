"""A file is replaced as a whole, whoever reads it and whatever fails."""

from __future__ import annotations

import os
import threading

import pytest

from runtime.files import FILES, atomic_write


def test_readers_see_the_old_or_the_new_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([n]) * 200_000 for n in range(4)]
    atomic_write(path, contents[0], fsync=False)
    stop = threading.Event()
    torn = []

    def read():
        while not stop.is_set():
            if path.read_bytes() not in contents:
                torn.append(True)

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents * 10:
        atomic_write(path, content, fsync=False)
    stop.set()
    reader.join()
    assert not torn
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_names_its_holder(tmp_path):
    held = FILES.lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()}"):
        FILES.lock(tmp_path / "lock")
    FILES.unlock(held)
    FILES.unlock(FILES.lock(tmp_path / "lock"))
