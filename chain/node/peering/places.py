"""Bounds on what peers, and those who want to be peers, take of a node's server."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from chain.node.http import Refused
from chain.node.peering.limits import Bucket
from chain.node.peering.links import Link

#: Messages of peers at a time; and those of one peer.
MESSAGES = 24
OF_ONE_PEER = 6
#: Greetings at a time, which may each be waiting to be called back; and those of one host.
GREETINGS = 8
OF_ONE_HOST = 4
#: Greetings of one host: each second, and at once. Hosts remembered.
RATE = (2.0, 40.0)
HOSTS = 1024


class Places:
    """For any thread. Greetings have places of their own: who only greets costs peers nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages = 0
        self._greeting: Counter[str] = Counter()
        self._hosts: OrderedDict[str, Bucket] = OrderedDict()

    @contextmanager
    def message(self, link: Link) -> Iterator[None]:
        """A place for a peer's request; raises 503 where there is none."""
        with self._lock:
            if self._messages >= MESSAGES:
                raise _busy("requests of peers")
            if link.serving >= OF_ONE_PEER:
                raise _busy("requests of this peer")
            self._messages += 1
            link.serving += 1
        try:
            yield
        finally:
            with self._lock:
                self._messages -= 1
                link.serving -= 1

    @contextmanager
    def greeting(self, host: str, now: int) -> Iterator[None]:
        """A place for a greeting from a host; raises 429 for too many in a while, 503 for too many at a time."""
        with self._lock:
            bucket = self._hosts.pop(host, None) or Bucket(*RATE, now)
            self._hosts[host] = bucket
            while len(self._hosts) > HOSTS:
                self._hosts.popitem(last=False)
            if not bucket.take(now):
                raise Refused(429, "too_many_greetings", "too many greetings from this host", {"Retry-After": "5"})
            if self._greeting[host] >= OF_ONE_HOST:
                raise _busy("greetings from this host")
            if self._greeting.total() >= GREETINGS:
                raise _busy("greetings")
            self._greeting[host] += 1
        try:
            yield
        finally:
            with self._lock:
                self._greeting[host] -= 1
                self._greeting += Counter()  # forgets the hosts that are at zero


def _busy(what: str) -> Refused:
    return Refused(503, "busy", f"too many {what} at a time", {"Retry-After": "1"})


def group_of(address: str | None) -> str:
    """Who counts as one host: an IPv4 address, or the network of an IPv6 address, of which one machine has many."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False)) if not found.is_loopback else str(found)
