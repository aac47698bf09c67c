"""The processes of a fleet: started in order, started again when they die, stopped in reverse.

Each child leads a process group of its own (``setsid``), so that Ctrl-C in the terminal reaches the
supervisor alone and the whole group can be ended; each is on the leash of :mod:`runtime.guard`; each writes
one log file.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from runtime.guard import Leash
from runtime.logs import get_logger

#: Seconds between SIGTERM and SIGKILL for one stage, and for all stages together.
STOP_EACH = 8.0
STOP_ALL = 16.0
#: Seconds a child may take to be ready.
READY_WITHIN = 60.0
#: Seconds before a child that died is started again: doubled each time, up to the last.
BACKOFF_FIRST = 0.5
BACKOFF_LAST = 30.0
#: A child that lived this long, in seconds, starts again at the first backoff.
LIVED_WELL = 30.0
#: Times that a child which a signal killed is started again while the fleet is starting.
STARTS_AGAIN = 3
_READY_POLL = 0.02

_log = get_logger(__name__)


class ChildFailedError(RuntimeError):
    """A child ended by itself, was killed too often, or was not ready in time, while the fleet was starting."""


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    ``env`` is added to the supervisor's own environment. ``ready`` is asked until it answers True before the
    next child is started. Neighbours with the same ``stage`` (by default each child's own name) start and
    stop together.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    restart: bool = True
    ready: Callable[[], bool] | None = None
    stage: str = ""


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    since: float


@dataclass(frozen=True)
class _Exited:
    name: str
    code: int


class Supervisor:
    """Keeps children running: ``add`` them, ``start``, and ``stop``.

    All children are started by one thread that lives until the last of them has ended, because Linux ties a
    child's death signal to the thread that started it. ``broken`` is set when a child that is not to be
    restarted has died; ``why_broken`` then says which.
    """

    def __init__(self, logs: Path, *, say: Callable[[str], None] = _log.warning) -> None:
        self.logs = logs
        self.broken = threading.Event()
        self.why_broken = ""
        self._say = say
        self._children: list[Child] = []
        self._running: dict[str, _Running] = {}
        self._failures: dict[str, int] = {}
        self._killed: Counter[str] = Counter()
        self._due: dict[str, float] = {}
        self._inbox: queue.SimpleQueue[_Exited | None] = queue.SimpleQueue()
        self._leash = Leash()
        self._started = threading.Event()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def add(self, child: Child) -> None:
        """Append ``child`` to the order in which children start."""
        if self._thread.ident is not None:
            raise RuntimeError("add() children before start()")
        if any(child.name == other.name for other in self._children):
            raise ValueError(f"two children are called {child.name!r}; their logs would mix")
        self._children.append(child)

    def start(self, stop: threading.Event | None = None) -> None:
        """Start all children in order; returns when all are ready, or ``stop`` was set.

        A child that a signal kills meanwhile is started again, :data:`STARTS_AGAIN` times at most: it may have been
        the system, for want of memory, or an operator. Raises :class:`ChildFailedError`, with the last lines of the
        child's log, after stopping those that run.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        while not self._started.wait(0.1):
            if stop is not None and stop.is_set():
                self.stop()
        if self._error is not None:
            self.stop()
            raise self._error

    def stop(self) -> None:
        """Stop all children, last stage first; within about :data:`STOP_ALL` seconds."""
        if self._thread.ident is None:
            self._leash.close()
            return
        self._stop.set()
        self._inbox.put(None)
        self._thread.join()

    def pids(self) -> dict[str, int]:
        """Name -> process id of each child that runs now."""
        return {name: running.process.pid for name, running in list(self._running.items())}

    # What follows runs in the supervisor's thread.

    def _run(self) -> None:
        try:
            self._start_all()
            self._started.set()
            while not self._stop.is_set():
                self._step(self._next(self._wait_seconds()))
        except Exception as error:  # noqa: BLE001 - handed to start()
            self._error = error
            self.why_broken = str(error)
            self.broken.set()
        finally:
            self._stop_all()
            self._leash.close()
            self._started.set()

    def _stages(self) -> list[list[Child]]:
        return [list(group) for _, group in groupby(self._children, key=lambda child: child.stage or child.name)]

    def _start_all(self) -> None:
        for stage in self._stages():
            for child in stage:
                self._spawn(child)
            deadline = time.monotonic() + READY_WITHIN
            waiting = list(stage)
            while waiting and not self._stop.is_set():
                exited = self._next(0.0)
                if exited is not None:
                    child = self._start_again(exited)
                    waiting = [*(other for other in waiting if other is not child), child]
                    deadline = time.monotonic() + READY_WITHIN
                waiting = [child for child in waiting if child.ready is not None and not child.ready()]
                if waiting and time.monotonic() > deadline:
                    name = waiting[0].name
                    raise ChildFailedError(self._epitaph(name, f"was not ready within {READY_WITHIN:.0f} s"))
                if waiting:
                    self._stop.wait(_READY_POLL)
            if self._stop.is_set():
                return

    def _start_again(self, exited: _Exited) -> Child:
        """Start a child again that was killed while the fleet is starting; raises for any other end."""
        del self._running[exited.name]
        (child,) = (child for child in self._children if child.name == exited.name)
        what = f"ended with {_code(exited.code)} while starting"
        if not child.restart or exited.code >= 0 or self._killed[child.name] >= STARTS_AGAIN:
            raise ChildFailedError(self._epitaph(child.name, what))
        self._killed[child.name] += 1
        self._say(f"{child.name} {what} (log: {self.logs / f'{child.name}.log'}); starting it again")
        self._spawn(child)
        return child

    def _spawn(self, child: Child) -> None:
        with open(self.logs / f"{child.name}.log", "ab") as log:
            process = subprocess.Popen(
                list(child.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._leash.environment({**os.environ, **child.env}),
                pass_fds=self._leash.pass_fds,
                start_new_session=True,
            )
        self._running[child.name] = _Running(process, time.monotonic())
        threading.Thread(
            target=self._await_exit, args=(child.name, process), name=f"wait-{child.name}", daemon=True
        ).start()

    def _await_exit(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if hasattr(os, "waitid"):
            # The leader stays a zombie, so its id still names this group and no other.
            # Unless terminate() found it dead first, and reaped it.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            _kill_group(process.pid)
            code = process.wait()
        else:
            code = process.wait()
            _kill_group(process.pid)
        self._inbox.put(_Exited(name, code))

    def _next(self, timeout: float | None) -> _Exited | None:
        try:
            return self._inbox.get(timeout=timeout) if timeout != 0.0 else self._inbox.get_nowait()
        except queue.Empty:
            return None

    def _wait_seconds(self) -> float | None:
        return max(0.001, min(self._due.values()) - time.monotonic()) if self._due else None

    def _step(self, exited: _Exited | None) -> None:
        """Note one child's death, and start those again whose time has come."""
        now = time.monotonic()
        children = {child.name: child for child in self._children}
        if exited is not None:
            lived = now - self._running.pop(exited.name).since
            log = self.logs / f"{exited.name}.log"
            text = f"{exited.name} ended unexpectedly with {_code(exited.code)} (log: {log})"
            if children[exited.name].restart:
                failures = 0 if lived >= LIVED_WELL else self._failures.get(exited.name, 0)
                pause = min(BACKOFF_LAST, BACKOFF_FIRST * 2**failures)
                self._failures[exited.name] = failures + 1
                self._due[exited.name] = now + pause
                self._say(f"{text}; starting it again in {pause:g} s")
            else:
                self._say(text)
                self.why_broken = text
                self.broken.set()
        for name in [name for name, when in self._due.items() if when <= now]:
            del self._due[name]
            self._spawn(children[name])

    def _stop_all(self) -> None:
        end = time.monotonic() + STOP_ALL
        for stage in reversed(self._stages()):
            alive = [self._running[child.name] for child in stage if child.name in self._running]
            for running in alive:
                with contextlib.suppress(ProcessLookupError):
                    running.process.terminate()
            self._collect(stage, min(end, time.monotonic() + STOP_EACH))
            late = [child.name for child in stage if child.name in self._running]
            for name in late:
                self._say(f"{name} did not stop within {STOP_EACH:.0f} s of SIGTERM; it is killed")
                _kill_group(self._running[name].process.pid)
            self._collect(stage, time.monotonic() + 2.0)

    def _collect(self, stage: Sequence[Child], deadline: float) -> None:
        """Wait until no child of ``stage`` runs, or ``deadline``; deaths in other stages are noted on the
        way.
        """
        while any(child.name in self._running for child in stage):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            exited = self._next(left)
            if exited is not None:
                self._running.pop(exited.name, None)

    def _epitaph(self, name: str, what: str) -> str:
        path = self.logs / f"{name}.log"
        with open(path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode(errors="replace").splitlines()[-10:]
        said = "\n".join(f"    {line}" for line in lines)
        return f"{name} {what}; the end of {path}:\n{said}"


def _code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _kill_group(leader: int) -> None:
    # macOS answers EPERM for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
