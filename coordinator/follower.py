"""One long poll of the node for the whole coordinator: everybody else waits here for the chain to move."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from chain.client import EventPage, NodeClient

#: Seconds of one long poll; a stop waits for its end at most as long as the process's other threads do.
POLL_SECONDS = 10.0

#: Kinds of event that are about checkpoints alone: nobody waits for those to become final.
_CHECKPOINTS = frozenset({"justified", "final", "block"})


@dataclass(frozen=True)
class Position:
    """Where the chain stands, as the newest page of events tells it.

    `ticks` grows with every page; `seq` numbers the node's events (in `run`); `unfinal_since` is the
    monotonic time at which the oldest event that is not final yet was heard of, None when everything is
    final.
    """

    ticks: int = 0
    seq: int = 0
    run: str = ""
    height: int = 0
    final_height: int = -1
    unfinal_since: float | None = None


class Follower:
    """Follows `node` in a thread of its own; `position` may be read by any thread."""

    def __init__(self, node: NodeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._condition = threading.Condition()
        self._position = Position()
        self._open: dict[int, float] = {}  # heights with events that are not final -> when heard of

    @property
    def position(self) -> Position:
        """The newest."""
        with self._condition:
            return self._position

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop`; a node that is away is waited for."""
        for page in self._node.follow(stop, wait=POLL_SECONDS):
            self.take(page)

    def take(self, page: EventPage) -> None:
        """One page of events."""
        now = self._clock()
        with self._condition:
            if page.run != self._position.run:
                self._open.clear()
            for event in page.events:
                if event.undone:
                    self._open.pop(event.height, None)
                elif event.kind not in _CHECKPOINTS:
                    self._open.setdefault(event.height, now)
            for height in [height for height in self._open if height <= page.final_height]:
                del self._open[height]
            self._position = Position(
                ticks=self._position.ticks + 1,
                seq=page.next,
                run=page.run,
                height=page.height,
                final_height=page.final_height,
                unfinal_since=min(self._open.values(), default=None),
            )
            self._condition.notify_all()

    def wait(self, ticks: int, timeout: float, stop: threading.Event | None = None) -> int:
        """Wait until `position.ticks` is not `ticks`, for `timeout` seconds, or until `stop`; the ticks then."""
        deadline = self._clock() + timeout
        with self._condition:
            while self._position.ticks == ticks and not (stop is not None and stop.is_set()):
                left = deadline - self._clock()
                if left <= 0:
                    break
                self._condition.wait(min(left, 1.0))
            return self._position.ticks

    def wake(self) -> None:
        """Let everybody who waits look again (at the stop, for one)."""
        with self._condition:
            self._condition.notify_all()
