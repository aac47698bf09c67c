"""Serving HTTP inside the service's own process, with waitress.

A server that forks or outlives its parent would be one more process to guard; waitress is threads alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.task import ErrorTask

from runtime.logs import get_logger
from runtime.problems import CONTENT_TYPE, Problem
from runtime.reasons import reason
from runtime.streams import (
    HEARTBEAT,
    MAX_STREAMS,
    STOP_KEY,
    STREAMS_KEY,
    Busy,
    EventStream,
    ServerEvent,
    Slot,
    Streams,
    sse,
    stopping,
    streams,
)

__all__ = [
    "HEARTBEAT",
    "MAX_STREAMS",
    "Busy",
    "CannotListen",
    "EventStream",
    "PortTaken",
    "ServerEvent",
    "Slot",
    "Streams",
    "listen",
    "serve",
    "sse",
    "stopping",
    "streams",
]

#: Threads that answer requests, streams included.
THREADS = 64
#: Seconds that these threads may take to be ready, before the first connection is taken.
READY_SECONDS = 1.0
MAX_PORT = 65_535
#: Seconds that requests in progress (not streams) are given when the service stops.
GRACE = 1.0
#: Largest request body, bytes; what waitress keeps beyond 512 KiB of it lies in a temporary file.
MAX_BODY = 1 << 30

_log = get_logger(__name__)

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class CannotListen(OSError):  # noqa: N818 - says what is wrong
    """Nothing can listen where it was asked to."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)

    def __str__(self) -> str:
        return str(self.strerror)


class PortTaken(CannotListen):
    """Another program listens on the port that was asked for."""

    def __init__(self, host: str, port: int, option: str = "--port") -> None:
        super().__init__(
            errno.EADDRINUSE,
            f"port {port} on {host} is taken by another program: stop that one (`lsof -i :{port}` names it), "
            f"or choose another port with {option}",
        )
        self.host = host
        self.port = port


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on ``host:port`` (0: any free port).  Raises :class:`CannotListen`, :class:`PortTaken`."""
    if not 0 <= port <= MAX_PORT:  # the system would listen on what a division by 65,536 leaves of it
        raise CannotListen(errno.EINVAL, f"expected a port from 0 to {MAX_PORT}, came {port}: choose one with --port")
    with contextlib.ExitStack() as opened:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = opened.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except (OSError, UnicodeError) as error:  # a name that no resolver would be asked for is a UnicodeError
            raise _cannot(host, port, error) from error
        opened.pop_all()
    return listener


def _cannot(host: str, port: int, error: OSError | UnicodeError) -> CannotListen:
    number = getattr(error, "errno", None) or errno.EINVAL
    if number == errno.EADDRINUSE:
        return PortTaken(host, port)
    if number == errno.EACCES:
        expected, advice = "a port that this user may listen on", "choose one above 1023 with --port"
    else:
        expected, advice = "an address of this machine to listen on", "choose one with --host: 127.0.0.1, or 0.0.0.0"
    return CannotListen(number, f"expected {expected}, came {host!r}, port {port} ({reason(error)}): {advice}")


class _Refusal(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What waitress refuses before the application hears of it, as a problem document like every other error."""

    def execute(self) -> None:
        error = self.request.error
        if not hasattr(self.request, "path"):
            # A request that was not understood has none, and waitress names it where the client leaves meanwhile.
            self.request.path = ""
        detail = str(error.body)
        if error.code == 413:
            most = self.channel.adj.max_request_body_size - 1
            detail = f"the request has more than {most} bytes, which is the most that is read here"
        body = (json.dumps(Problem(error.code, detail=detail).to_dict()) + "\n").encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", CONTENT_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's, which lets an error of Python's own through for an address like ``http://[::1``, and drops the
    connection without a word."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError(f"the request's address or headers cannot be read: {error}") from error


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _Refusal
    parser_class = _Parser


def _with_streams(app: WSGIApplication, places: Streams, stop: threading.Event) -> WSGIApplication:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[STREAMS_KEY] = places
        environ[STOP_KEY] = stop
        return app(environ, start_response)

    return application


def serve(
    app: WSGIApplication,
    host: str,
    port: int,
    *,
    threads: int = THREADS,
    max_streams: int = MAX_STREAMS,
    max_body: int = MAX_BODY,
    on_ready: Callable[[int], None] | None = None,
    stop: threading.Event,
    listener: socket.socket | None = None,
) -> int:
    """Serve ``app`` until ``stop`` is set; returns the port it served on.

    Parameters
    ----------
    port
        0 takes a free one; ``on_ready`` is told which, once connections are accepted.
    max_streams
        Streams and long polls at a time, see :func:`runtime.streams.streams`.
    max_body
        Largest request body, bytes; a longer one is refused with 413, by its announced length before anything of it
        is read, or else where it becomes too long.
    listener
        A socket from :func:`listen`, for a service that must have its port before it loads the rest.

    On ``stop`` no new connection is accepted; requests in progress, and long polls, which should wait for
    :func:`runtime.streams.stopping` too, have :data:`GRACE` seconds to be answered; open streams are cut.

    Raises :class:`CannotListen`.
    """
    bound = listener if listener is not None else listen(host, port)
    actual = int(bound.getsockname()[1])
    places = Streams(max_streams)
    server = create_server(
        _with_streams(app, places, stop),
        sockets=[bound],
        threads=threads,
        ident=None,
        # select() ends at descriptor 1023.
        asyncore_use_poll=True,
        connection_limit=1000,
        # Gives requests `waitress.client_disconnected`, so that a stream ends with its client.
        channel_request_lookahead=1,
        max_request_body_size=max_body + 1,  # the first size that waitress refuses
    )
    server.channel_class = _Channel

    # Threads wake the loop when they have written; after the end their descriptor may be somebody else's.
    pull_trigger = server.pull_trigger
    open_lock = threading.Lock()
    is_open = True

    def wake_if_open() -> None:
        with open_lock:
            if is_open:
                pull_trigger()

    server.pull_trigger = wake_if_open

    def once(timeout: float) -> None:
        server.asyncore.loop(timeout=timeout, map=server._map, use_poll=True, count=1)

    def wake() -> None:
        stop.wait()
        wake_if_open()

    threading.Thread(target=wake, name="serving-stop", daemon=True).start()
    _wait_for_threads(server)
    if on_ready is not None:
        on_ready(actual)
    try:
        while not stop.is_set():
            once(30.0)
        _finish(server, places, once)
    finally:
        with open_lock:
            is_open = False
        _close(server)
    _log.debug("stopped serving", port=actual)
    return actual


def _wait_for_threads(server: Any) -> None:
    """Until all threads wait for work: a thread that has not got to that counts as busy, and waitress warns of a queue
    for it."""
    deadline = time.monotonic() + READY_SECONDS
    while server.task_dispatcher.active_count and time.monotonic() < deadline:
        time.sleep(0.001)


def _finish(server: Any, places: Streams, once: Callable[[float], None]) -> None:
    """Let ordinary requests end and their answers leave."""
    server.accepting = False
    deadline = time.monotonic() + GRACE
    dispatcher = server.task_dispatcher
    while time.monotonic() < deadline:
        working = len(dispatcher.queue) + dispatcher.active_count - places.endless
        unsent = any(channel.total_outbufs_len for channel in list(server.active_channels.values()))
        if working <= 0 and not unsent:
            return
        once(0.02)


def _close(server: Any) -> None:
    """Cut all connections; a thread that writes to one of them ends with the write."""
    server.task_dispatcher.set_thread_count(0)
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.close()
