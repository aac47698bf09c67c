"""Whether the hosted wallet may send transactions at all: where sending needs a balance, one that nobody paid may not.

Readiness says so, and the log once: everything else about such a coordinator works, until the first thing that it is
to sign.
"""

from __future__ import annotations

import threading

from chain.client import NodeClient, NodeError
from chain.schema import Address
from coordinator.follower import Follower
from runtime.logs import get_logger

#: Seconds between two looks while it may not send, and while it may; at most one look for each page of events.
POOR_SECONDS = 1.0
FINE_SECONDS = 10.0

_log = get_logger(__name__)


class Permission:
    """`reason`: why the wallet may not send, None when it may; kept up by `run`, so that asking costs nothing."""

    def __init__(self, node: NodeClient, name: str, address: Address) -> None:
        self._node = node
        self._name = name
        self._address = address
        self.reason: str | None = "the node has not said yet whether the wallet may send"

    def look(self) -> None:
        """Ask the node. Raises `NodeError`."""
        why = self._node.may_not_send(self._address)
        told = None if why is None else (
            f"the wallet {self._name!r} may not send anything: {why}. Send it that (`assay wallet send FROM "
            f"{self._address} AMOUNT`), or start the coordinator with --wallet NAME, a validator's for one"
        )  # fmt: skip
        if told is not None and told != self.reason:
            _log.warning("registers nothing and opens no job", reason=told)
        self.reason = told

    def run(self, follower: Follower, stop: threading.Event) -> None:
        """Look at the start and when the chain has moved, until `stop`; a node that is away is waited for."""
        while not stop.is_set():
            ticks = follower.position.ticks
            try:
                self.look()
            except NodeError as error:
                _log.debug("cannot tell whether the wallet may send", error=str(error))
                stop.wait(POOR_SECONDS)
                continue
            stop.wait(FINE_SECONDS if self.reason is None else POOR_SECONDS)
            while follower.position.ticks == ticks and not stop.is_set():
                follower.wait(ticks, FINE_SECONDS, stop)
