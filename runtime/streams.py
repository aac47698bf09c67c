"""Responses that stay open: a bounded number of them, and Server-Sent Events.

Every open stream holds one of the server's threads, so streams and long polls together take at most 48 of its
64; the rest stay free for ordinary requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import flask

from runtime.problems import Problem

#: Streams and long polls open at the same time.
MAX_STREAMS = 48
#: Seconds after which a silent stream sends a comment, so that proxies and clients see it is alive.
HEARTBEAT = 15.0
#: Keys under which :func:`runtime.serving.serve` tells the application of its slots and of the stop.
STREAMS_KEY = "assay.streams"
STOP_KEY = "assay.stop"
_RETRY_AFTER = 5


class Busy(Problem):
    """All slots are taken: 503 with ``Retry-After``."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            503,
            detail=f"{limit} streams and long polls are open, which is the limit; try again in {_RETRY_AFTER} s",
            headers={"Retry-After": str(_RETRY_AFTER)},
        )


class Slot:
    """One taken place; given back once, by :meth:`release` or at the end of a ``with``."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the place back; further calls do nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Streams:
    """The places for streams and long polls of one service."""

    def __init__(self, limit: int = MAX_STREAMS) -> None:
        self.limit = limit
        self._taken = 0
        self._endless = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many are open now."""
        return self._taken

    @property
    def endless(self) -> int:
        """How many of them have no answer to finish: they are cut when the service stops."""
        return self._endless

    def acquire(self, *, endless: bool = False) -> Slot:
        """Take a place: for a long poll, or for a stream that is ``endless``.  Raises :class:`Busy`."""
        with self._lock:
            if self._taken >= self.limit:
                raise Busy(self.limit)
            self._taken += 1
            self._endless += endless

        def give_back() -> None:
            with self._lock:
                self._taken -= 1
                self._endless -= endless

        return Slot(give_back)


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream; ``id`` is what the client sends as ``Last-Event-ID`` to resume after it."""

    data: str
    event: str | None = None
    id: str | None = None

    def encode(self) -> bytes:
        """The event in the format of the HTML standard, section 9.2.6.

        Raises ``ValueError`` for a line break in ``id`` or ``event``, which would forge a field.
        """
        lines = []
        for name, value in (("id", self.id), ("event", self.event)):
            if value is not None:
                if any(character in value for character in "\r\n\0"):
                    raise ValueError(f"the {name} of a server-sent event must be one line, got {value!r}")
                lines.append(f"{name}: {value}")
        # The standard's line ends: CRLF, LF and CR alone.
        data = self.data.replace("\r\n", "\n").replace("\r", "\n")
        lines.extend(f"data: {line}" for line in data.split("\n"))
        return ("\n".join(lines) + "\n\n").encode()


class EventStream:
    """The bytes of a stream of events, with heartbeats; WSGI closes it, which gives its slot back.

    ``source`` yields events, and ``None`` at least every few seconds while it has none: that is when
    heartbeats are sent and when the end of the client or of the service is noticed.
    """

    def __init__(
        self,
        source: Iterable[ServerEvent | None],
        *,
        heartbeat: float = HEARTBEAT,
        slot: Slot | None = None,
        over: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._heartbeat = heartbeat
        self._slot = slot
        self._over = over
        self._clock = clock
        self._chunks = self._generate()

    def _generate(self) -> Iterator[bytes]:
        yield b": open\n\n"  # sends the headers
        last = self._clock()
        for event in self._source:
            if self._over():
                return
            now = self._clock()
            if event is not None:
                last = now
                yield event.encode()
            elif now - last >= self._heartbeat:
                last = now
                yield b": heartbeat\n\n"

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """End the source, if it can be ended, and give the slot back."""
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        finally:
            if self._slot is not None:
                self._slot.release()


_unserved = Streams()
_never = threading.Event()


def streams() -> Streams:
    """The places of the service that answers the current Flask request."""
    found = flask.request.environ.get(STREAMS_KEY, _unserved)
    assert isinstance(found, Streams)  # noqa: S101 - only serve() sets the key
    return found


def stopping() -> threading.Event:
    """The event that is set when the service that answers the current Flask request stops; for long polls."""
    found = flask.request.environ.get(STOP_KEY, _never)
    assert isinstance(found, threading.Event)  # noqa: S101 - only serve() sets the key
    return found


def sse(source: Iterable[ServerEvent | None], heartbeat: float = HEARTBEAT) -> flask.Response:
    """A response of Server-Sent Events from ``source`` (see :class:`EventStream`), in a slot of its own.

    Call it within a Flask request.  Raises :class:`Busy`.
    """
    slot = streams().acquire(endless=True)
    stop = stopping()
    gone: Callable[[], bool] | None = flask.request.environ.get("waitress.client_disconnected")

    def over() -> bool:
        return stop.is_set() or (gone is not None and gone())

    body = EventStream(source, heartbeat=heartbeat, slot=slot, over=over)
    response = flask.Response(body, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    return response
