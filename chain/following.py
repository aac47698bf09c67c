"""How a client hears of what happens at a node: events by long poll, and the lines of its log."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import requests

from chain.answers import EventPage, NodeRefused, NodeUnavailable, to_page
from chain.errors import InvalidEncoding
from chain.transport import Transport

#: Seconds of one long poll; the node answers at its end with what there is.
POLL_SECONDS = 20.0
#: Seconds between two tries to reach a node that does not answer.
RETRY_SECONDS = 0.5


class Following(Transport):
    """The part of `chain.client.NodeClient` that follows the chain."""

    def events(self, after: int | None = None, wait: float = 0, limit: int = 500) -> EventPage:
        """Events with a number above ``after``; waits up to ``wait`` seconds for the first one.

        Without ``after`` the page is empty and ``next`` is where the future begins.
        """
        answer = self._json(
            "/events", {"after": after, "wait": f"{wait:.3f}", "limit": limit}, timeout=wait + self.timeout
        )
        try:
            return to_page(answer)
        except InvalidEncoding as error:
            raise self.strange("/events", f"no events ({error})") from error

    def follow(
        self, stop: threading.Event, after: int | None = None, wait: float = POLL_SECONDS
    ) -> Iterator[EventPage]:
        """Pages of events until ``stop`` is set; never raises for an absent node, it waits for it.

        The first page (without ``after``) has no events: look at the state then.  So has the first page of
        another run, and the first one after the node was away.
        """
        run: str | None = None
        look = True  # the follower has to look at the state whatever the events say
        while not stop.is_set():
            try:
                page = self.events(after, 0 if look else wait)
            except NodeUnavailable:
                look = True
                stop.wait(RETRY_SECONDS)
                continue
            except NodeRefused as refused:
                if refused.code != "unknown_event":
                    raise
                after, look = None, True  # the node never had that many events: another run
                continue
            if run is not None and page.run != run and after is not None:
                run, after, look = page.run, None, True
                continue
            run, after = page.run, page.next
            if page.events or look:
                look = False
                yield page

    def log(self, stop: threading.Event, tail: int = 10) -> Iterator[str]:
        """Lines of ``blockchain.log``: the last ``tail`` ones, then each as it is written, until ``stop``.

        Where the connection broke it goes on behind the last line that came.
        """
        for _, line in self.numbered_log(stop, tail):
            yield line

    def numbered_log(self, stop: threading.Event, tail: int = 10, last: str = "") -> Iterator[tuple[str, str]]:
        """The same with each line's number before it; behind line ``last``, where the node has had that many."""
        params = {"tail": tail}
        while not stop.is_set():
            try:
                with self._request("GET", "/log", params=params, stream=True, timeout=30, resume=last) as response:
                    response.encoding, event = "utf-8", ""
                    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
                        if stop.is_set():
                            return
                        if line.startswith("id: "):
                            event = line[len("id: ") :]
                        elif line.startswith("data: "):
                            last, params = event, {"tail": 0}
                            yield event, line[len("data: ") :]
            except (NodeUnavailable, requests.RequestException):
                stop.wait(RETRY_SECONDS)
