"""Threads that take jobs, up to a number, begun when they are needed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Pool:
    """Daemon threads that take jobs from a queue; a job must not raise."""

    def __init__(self, threads: int) -> None:
        self._most, self._threads = threads, 0
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._open = 0  # jobs that wait or are at work
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], None]) -> None:
        """Do it soon: at once, while fewer than so many are at work."""
        with self._lock:
            self._open += 1
            if self._threads < min(self._open, self._most):
                self._threads += 1
                threading.Thread(target=self._run, name=f"peers-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                return
            job()
            with self._lock:
                self._open -= 1

    def close(self) -> None:
        """No more jobs; those at work end with what they are at."""
        self._jobs.put(None)
