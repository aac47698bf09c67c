"""Ports that a test gives out to the programs that it starts.

A port that was free a moment ago may be somebody else's when it is wanted. One that is bound here, without listening,
is given to nobody who asks for any free port; who asks for this one can listen on it all the same, since both set
SO_REUSEADDR (socket(7) of Linux; `runtime.serving.listen` sets it, and Redis does).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except BaseException:
        bound.close()
        raise
    return bound


@contextmanager
def held(count: int = 1) -> Iterator[int]:
    """The first of so many ports in a row, free for the programs of this test as long as the block lasts."""
    while True:
        with ExitStack() as stack:
            first: int = stack.enter_context(_bound(0)).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    stack.enter_context(_bound(port))
            except (OSError, OverflowError):  # taken, or above 65,535
                continue
            yield first
            return
