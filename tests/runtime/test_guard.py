"""No process outlives its parent: by the kernel's signal where there is one, by the pipe elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from runtime import guard

pytestmark = pytest.mark.fleet

WAYS = [
    pytest.param({}, id="kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")),
    pytest.param({guard.PORTABLE_VARIABLE: "1"}, id="portable"),
]

PARENT = """
import subprocess, sys, time
from runtime.guard import Leash
leash = Leash()
child = subprocess.Popen(sys.argv[1:], env=leash.environment(), pass_fds=leash.pass_fds,
                         start_new_session=True, stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
child.wait()
print("child ended", child.returncode, flush=True)
time.sleep(600)
"""

SERVICE = """
import os, time
from runtime import guard
assert guard.watch_parent()
assert guard.FD_VARIABLE not in os.environ
print(os.getpid(), flush=True)
time.sleep(600)
"""

POOL = """
import os, time
from runtime import guard
guard.watch_parent()
read, write = os.pipe()
if os.fork() == 0:
    guard.watch_parent_in_child()
    os.write(write, b"x")
    time.sleep(600)
os.read(read, 1)
with open(f"/proc/self/task/{os.getpid()}/children") as file:
    print(os.getpid(), file.read().strip(), flush=True)
time.sleep(600)
"""

FOREIGN = "echo $$; exec sleep 600"


def _pids(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize("env", WAYS)
def test_service_dies_when_its_parent_is_killed(start_python, eventually, alive, env):
    parent = start_python(PARENT, sys.executable, "-c", SERVICE, **env)
    (service,) = _pids(parent)
    assert alive(service)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(service))


@pytest.mark.parametrize("env", WAYS)
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the test finds the pool's child in /proc")
def test_forked_pool_dies_with_its_service(start_python, eventually, alive, env):
    parent = start_python(PARENT, sys.executable, "-c", POOL, **env)
    service, pool = _pids(parent)
    assert alive(pool)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(service) and not alive(pool))


@pytest.mark.parametrize("env", WAYS)
def test_foreign_program_dies_with_its_parent(start_python, eventually, alive, env):
    parent = start_python(PARENT, *guard.wrapped(["sh", "-c", FOREIGN]), **env)
    (program,) = _pids(parent)
    assert alive(program)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(program))


@pytest.mark.parametrize("env", WAYS)
def test_wrapper_passes_on_sigterm_and_the_exit_status(start_python, env):
    script = "trap 'exit 7' TERM; echo $PPID; while :; do sleep 0.05; done"
    relay = """
import os, signal, subprocess, sys
from runtime.guard import Leash
leash = Leash()
child = subprocess.Popen(sys.argv[1:], env=leash.environment(), pass_fds=leash.pass_fds,
                         stdout=subprocess.PIPE, text=True)
child.stdout.readline()
child.terminate()
print(child.wait(), flush=True)
"""
    process = start_python(relay, *guard.wrapped(["sh", "-c", script]), **env)
    assert _pids(process) == [7]


@pytest.mark.parametrize("env", WAYS)
def test_parent_that_died_before_the_call_is_noticed(start_python, env):
    """The race: the writing end is closed before the child gets to watch_parent()."""
    late = """
import os
from runtime import guard
read, write = os.pipe()
os.close(write)
os.environ[guard.FD_VARIABLE] = str(read)
guard.watch_parent()
import time; time.sleep(600)
"""
    assert start_python(late, **env).wait(timeout=10) == -signal.SIGKILL


def test_service_started_by_hand_is_left_alone(monkeypatch):
    monkeypatch.delenv(guard.FD_VARIABLE, raising=False)
    assert guard.watch_parent() is False


def test_watching_in_a_child_is_refused_in_a_process_that_nobody_forked(start_python):
    process = start_python(
        "from runtime import guard\ntry: guard.watch_parent_in_child()\nexcept RuntimeError: print(1)"
    )
    assert _pids(process) == [1]


def test_leash_does_not_leak_into_forked_children():
    """A forked copy of the parent that kept the writing end would keep everybody else's leash taut."""
    leash = guard.Leash()
    (read,) = leash.pass_fds
    watcher = os.dup(read)
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        leash.close()
        assert os.read(watcher, 1) == b""
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(watcher)


def test_wrapper_explains_its_usage(capsys):
    assert guard.main([]) == 2
    assert "COMMAND" in capsys.readouterr().err
