"""One event per process that says: stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_stop = threading.Event()
_installed = False
_lock = threading.Lock()


def _handle(number: int, _frame: FrameType | None) -> None:
    _stop.set()
    if number == signal.SIGINT:
        # A second Ctrl-C interrupts whatever does not look at the event.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def stop_event() -> threading.Event:
    """The event that SIGINT and SIGTERM set; the handlers are installed by the first call, in the main
    thread.

    Raises ``RuntimeError`` when the first call comes from another thread, where Python cannot install
    handlers.
    """
    global _installed  # noqa: PLW0603
    with _lock:
        if not _installed:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError(
                    "call runtime.signals.stop_event() once in the main thread before other threads use it"
                )
            signal.signal(signal.SIGINT, _handle)
            signal.signal(signal.SIGTERM, _handle)
            _installed = True
    return _stop


class Stopped(BaseException):
    """Raised by :func:`raise_if_stopped`; like ``KeyboardInterrupt`` no ``except Exception`` swallows it."""


def raise_if_stopped() -> None:
    """Raise :class:`Stopped` when the process has been asked to stop; for long work between two waits."""
    if _stop.is_set():
        raise Stopped("asked to stop by SIGINT or SIGTERM")
