"""Whether jobs can run, part by part, and what is missing where not.

The truth about work is on the chain; liveness needs a sign of life each: the node, the store and the broker
are asked, workers keep a key in the broker. Validators have no broker, and an on-demand chain with nothing
to do shows nothing of them. So a coordinator that starts on a settled chain sends one transaction, a
transfer of nothing to itself, which needs no coins: when it becomes final, a quorum of validators lives.
From then on they count as ready unless something that happened on the chain has waited for finality for
`STALLED_SECONDS`. Where this wallet may not send at all (networks with a minimum balance), the past has to
do: a chain on which blocks have become final, and nothing waits for it now, counts as one whose validators
live, until something does wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chain.client import NodeClient, NodeError, NodeRefused
from chain.transactions import Transfer
from coordinator.broker import Broker, BrokerUnavailable
from coordinator.documents import PartReadiness
from coordinator.documents import Readiness as Document
from coordinator.follower import Follower
from coordinator.ledger import Ledger
from coordinator.permission import Permission
from coordinator.serving import Predictors
from ipfs.errors import ContentError
from ipfs.store import ContentStore

#: Seconds without finality after which the validators count as gone.
STALLED_SECONDS = 15.0
#: The empty file as `ipfs add --cid-version=1` names it: asking for it shows whether a store answers.
EMPTY_FILE = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
#: An answer is good for this many seconds, so that polling costs little.
FRESH_SECONDS = 0.2
RETRY_SECONDS = 1.0

Part = Callable[[], str | None]


class Readiness:
    """`broker` None: none was named, and no job can be trained."""

    def __init__(
        self,
        node: NodeClient,
        store: ContentStore,
        broker: Broker | None,
        ledger: Ledger,
        follower: Follower,
        predictors: Predictors,
        permission: Permission,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._store = store
        self._broker = broker
        self._ledger = ledger
        self._follower = follower
        self._predictors = predictors
        self._permission = permission
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, Document] | None = None
        self._alive = threading.Event()
        self._probe: str | None = None
        self._obstacle: str | None = None

    def document(self) -> Document:
        """Every part with the reason if it is not ready."""
        with self._lock:
            now = self._clock()
            if self._last is None or now - self._last[0] > FRESH_SECONDS:
                self._last = (self._clock(), self._ask())
            return self._last[1]

    def _ask(self) -> Document:
        parts: dict[str, Part] = {
            "chain": self._chain,
            "ipfs": self._ipfs,
            "broker": self._has_broker,
            "workers": self._workers,
            "validators": self._validators,
            "predictor": self._predictor,
            "wallet": lambda: self._permission.reason,
        }
        found: dict[str, PartReadiness] = {}
        for name, part in parts.items():
            reason = part()
            found[name] = {"ready": reason is None, "reason": reason}
        return {"ready": all(part["ready"] for part in found.values()), "parts": found}

    def _chain(self) -> str | None:
        try:
            self._node.chain()
        except NodeError as error:
            return str(error)
        return None

    def _ipfs(self) -> str | None:
        try:
            self._store.has(EMPTY_FILE)
        except ContentError as error:
            return str(error)
        return None

    def _has_broker(self) -> str | None:
        if self._broker is None:
            return "no broker was named, so no task can be sent; start the coordinator with --broker URL"
        try:
            self._broker.ping()
        except BrokerUnavailable as error:
            return str(error)
        return None

    def _workers(self) -> str | None:
        if self._broker is None:
            return "workers are seen through the broker, and none was named"
        try:
            workers = self._broker.workers(self._node.genesis_hash())
        except NodeError:
            return "the node, which does not answer, says of which network the workers have to be"
        except BrokerUnavailable:
            return "workers are seen through the broker, which does not answer"
        return (
            None
            if workers
            else "no worker has shown a sign of life on this network in the last 15 s; start one: `assay worker`"
        )

    def _validators(self) -> str | None:
        if not self._alive.is_set():
            if self._obstacle is not None:
                return self._obstacle
            return (
                "no block has become final since this coordinator started; a quorum of validators has to vote"
            )
        since = self._follower.position.unfinal_since
        if since is not None and self._clock() - since > STALLED_SECONDS:
            return f"nothing has become final for {self._clock() - since:.0f} s; a quorum of validators has to vote"
        return None

    def _predictor(self) -> str | None:
        if self._predictors.ready:
            return None
        return self._predictors.failure or "the learning libraries are being loaded"

    def run(self, stop: threading.Event) -> None:
        """Find out once whether a quorum of validators lives; returns when it does, or at `stop`."""
        begun: int | None = None
        while not stop.is_set():
            position = self._follower.position
            if position.ticks > 0:
                begun = position.final_height if begun is None else begun
                if position.final_height > begun:
                    self._alive.set()
                    return
                if self._probe is None and position.unfinal_since is None:
                    self._send_probe(position.final_height)
                if self._alive.is_set():
                    return
            self._follower.wait(position.ticks, RETRY_SECONDS, stop)

    def _send_probe(self, final_height: int) -> None:
        try:
            self._probe = self._ledger.send(Transfer(recipient=self._ledger.address, amount=0))
            self._obstacle = None
        except NodeRefused as refused:
            if refused.code != "insufficient_balance":
                self._obstacle = f"cannot tell whether validators live: {refused.detail}"
                return
            if final_height > 0:
                self._alive.set()
            self._obstacle = (
                "cannot tell whether validators live, as nothing has ever become final here and the wallet "
                f"{self._ledger.address} may not send ({refused.detail}); the first transaction of anybody's that "
                "becomes final will show it"
            )
        except NodeError as error:
            self._obstacle = f"cannot tell whether validators live: {error}"
