"""A few threads that take jobs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Pool:
    """Daemon threads that take jobs from a queue; a job must not raise."""

    def __init__(self, threads: int) -> None:
        self._most, self._threads = threads, 0
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], None]) -> None:
        """Do it soon."""
        with self._lock:
            if self._idle <= self._jobs.qsize() and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name=f"peers-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if job is None:
                self._jobs.put(None)
                return
            job()

    def close(self) -> None:
        """No more jobs; those at work end with what they are at."""
        self._jobs.put(None)
