"""No process outlives the one that started it, whatever ended that one, SIGKILL included.

The parent keeps the writing end of a pipe that it never writes to and hands the reading end to each child
(:class:`Leash`).  The child calls :func:`watch_parent` first thing:

* On Linux it asks the kernel to be killed with its parent (``prctl(PR_SET_PDEATHSIG)``), which needs no
  thread and works while the child is deep in C code; the pipe only closes the race in which the parent died
  before the call.
* Elsewhere a thread waits for the end of the pipe and then kills the child's process group.

The kernel's signal is tied to the parent's *thread* that started the child: start children from a thread that
lives as long as they may (:mod:`runtime.supervisor` does).

``python -P -m runtime.guard -- COMMAND...`` puts a program that is not ours under the same guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

#: Number of the inherited reading end, set by :class:`Leash`.
FD_VARIABLE = "ASSAY_GUARD_FD"
#: When set to anything, the kernel's signal is not used; for tests of the portable way.
PORTABLE_VARIABLE = "ASSAY_GUARD_PORTABLE"

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
#: Seconds between two looks at the parent's id where a forked child has no pipe and no signal.
_POLL = 0.5

_forked_from: int | None = None


def _remember_parent() -> None:
    global _forked_from  # noqa: PLW0603
    _forked_from = os.getpid()


os.register_at_fork(before=_remember_parent)


class Leash:
    """What a parent holds as long as its children may live; closing it, or dying, ends them."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()  # neither end is inherited unless named in pass_fds
        os.register_at_fork(after_in_child=self.close)  # a forked copy would keep the pipe open

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """``base``, or else this process's environment, with the variable that :func:`watch_parent` reads."""
        return {**(os.environ if base is None else base), FD_VARIABLE: str(self._read)}

    @property
    def pass_fds(self) -> tuple[int]:
        """To be given to ``subprocess.Popen(pass_fds=...)``."""
        return (self._read,)

    def close(self) -> None:
        """Let go.  Children on the portable guard end at once, those on the kernel's with this process."""
        for fd in (self._read, self._write):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._read = self._write = -1


def _die() -> NoReturn:
    """End this process and, where it leads a group of its own, the group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process survived its own SIGKILL")


def _ask_kernel() -> bool:
    """Ask for SIGKILL on the parent's death; False where the system cannot."""
    if not sys.platform.startswith("linux") or os.environ.get(PORTABLE_VARIABLE):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0)


def _at_end(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _die_at_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    _die()


def _inherited() -> int | None:
    """Take the pipe's number out of the environment: grandchildren do not inherit the descriptor."""
    text = os.environ.pop(FD_VARIABLE, None)
    if text is None:
        return None
    fd = int(text)
    os.set_inheritable(fd, False)
    return fd


def watch_parent() -> bool:
    """Make this process end with the one that started it; call it first thing in a service.

    Returns False, and does nothing, when nobody put it on a :class:`Leash`: a service started by hand may
    outlive its shell.
    """
    fd = _inherited()
    if fd is None:
        return False
    if not _watch_by_kernel(fd):
        _watch_by_thread(fd)
    return True


def _watch_by_kernel(fd: int) -> bool:
    if not _ask_kernel():
        return False
    if _at_end(fd):
        _die()
    os.close(fd)
    return True


def _watch_by_thread(fd: int) -> None:
    threading.Thread(target=_die_at_end, args=(fd,), name="guard", daemon=True).start()


def watch_parent_in_child() -> None:
    """The same for a process made by ``fork`` or ``multiprocessing`` (Celery's pool), which has no pipe of
    its own.
    """
    spawner = multiprocessing.parent_process()
    parent = spawner.pid if spawner is not None else _forked_from
    if parent is None:
        raise RuntimeError(
            "watch_parent_in_child() is for processes made by fork or multiprocessing; use watch_parent()"
        )
    watched = _ask_kernel()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if watched:
        return

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=poll, name="guard", daemon=True).start()


def wrapped(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command``, a program that is not ours, under the guard."""
    # -P: the folder it is started in is not put on the import path.
    return [sys.executable, "-P", "-m", "runtime.guard", "--", *command]


def main(arguments: Sequence[str]) -> int:
    """Run ``-- COMMAND...`` under the guard; on Linux this process becomes the command."""
    if len(arguments) < 2 or arguments[0] != "--":
        sys.stderr.write("usage: python -P -m runtime.guard -- COMMAND [ARGUMENT...]\n")
        return 2
    command = list(arguments[1:])
    fd = _inherited()
    if fd is None or _watch_by_kernel(fd):
        # The request for the signal survives exec.
        os.execvp(command[0], command)  # noqa: S606
    _watch_by_thread(fd)
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    # Before the child is there: a signal in between would end this process alone.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    child = subprocess.Popen(command)
    for pending in early:
        child.send_signal(pending)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
