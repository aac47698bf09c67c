"""The coordinator's pen: what it signs with its hosted wallet, kept and sent again until it is final."""

from __future__ import annotations

import threading
import time
from typing import Any

from chain.client import NodeClient, NodeError, NodeRefused, NodeUnavailable, TransactionRefused
from chain.keys import Key
from chain.schema import Address
from chain.transactions import Signed
from coordinator.follower import Follower
from coordinator.outbox import Outbox, Pending
from runtime.logs import get_logger

#: Seconds between two looks at what is not final yet; an event of the chain comes first as a rule.
RESEND_SECONDS = 5.0
#: Seconds for a transaction that the next one builds on to enter a block.
INCLUDE_SECONDS = 20.0
#: Codes of refusals that pass: a mempool that is full, a node whose clock or head is behind.
PASSING = ("mempool_full", "expires_too_late")

_log = get_logger(__name__)


class Ledger:
    """Signs with `key`; `outbox` remembers."""

    def __init__(self, node: NodeClient, key: Key, outbox: Outbox) -> None:
        self.node = node
        self.key = key
        self.outbox = outbox

    @property
    def address(self) -> Address:
        """The hosted wallet's address."""
        return self.key.address

    def send(self, payload: Any, *, idempotency_key: str | None = None, digest: str = "") -> str:
        """Sign, keep, submit; the transaction's id once the node has it on disk.

        A refusal (`NodeRefused`) is forgotten and raised. `NodeUnavailable` after the transaction was kept
        is not forgotten where an `idempotency_key` stands for it, since a repeated request must find it;
        otherwise it is.
        """
        signed = self.node.prepare(payload, self.key)
        pending = Pending(signed.id, signed.data, signed.body.kind, signed.body.expires)
        self.outbox.put(pending, idempotency_key, digest, int(time.time() * 1000))
        try:
            self.node.submit(signed)
        except NodeRefused:
            self.refused(signed.id)
            raise
        except NodeUnavailable:
            if idempotency_key is None:
                self.outbox.forget(signed.id)
            raise
        return signed.id

    def send_and_wait(self, payload: Any) -> str:
        """`send`, then wait until it is in a block: for what the next transaction builds on. Raises what
        `send` raises, `TransactionRefused` and `WaitTimeout`."""
        transaction = self.send(payload)
        try:
            self.node.wait_transaction(transaction, "included", INCLUDE_SECONDS)
        except TransactionRefused:
            self.refused(transaction)
            raise
        return transaction

    def refused(self, transaction: str) -> None:
        """The chain will not have it: forget it, and free the Idempotency-Key that stood for it."""
        self.outbox.forget(transaction)
        self.outbox.forget_key(transaction)

    def settle(self) -> None:
        """One look at everything that is not final: forget what is, send again what the node does not have.

        An expired transaction is given up when the node's final block is past its expiry: until then it may
        still turn up in a block. Raises `NodeUnavailable`.
        """
        for pending in self.outbox.pending():
            known = self.node.transaction(pending.id)
            status = None if known is None else known["status"]
            if status == "final":
                self.outbox.forget(pending.id)
            elif status in (None, "dropped"):
                self._again(pending, known)

    def _again(self, pending: Pending, known: dict[str, Any] | None) -> None:
        try:
            self.node.submit(Signed.decode(pending.data))
            _log.info("transaction sent again", transaction=pending.id, kind=pending.kind)
        except NodeRefused as refused:
            if refused.code in PASSING:
                _log.debug("transaction refused for now", transaction=pending.id, code=refused.code)
                return
            # Dropped once does not mean for good: only an expiry, or a refusal of the same bytes now, does.
            reason = refused.detail or (known or {}).get("reason", "")
            _log.warning("transaction given up", transaction=pending.id, kind=pending.kind, reason=reason)
            self.refused(pending.id)

    def run(self, follower: Follower, stop: threading.Event) -> None:
        """Settle at the start, when the chain moves and every few seconds, until `stop`."""
        seen = -1
        while not stop.is_set():
            try:
                self.settle()
            except NodeError as error:
                _log.debug("cannot settle the outbox now", error=str(error))
            if self.outbox.pending():
                seen = follower.wait(seen, RESEND_SECONDS, stop)
            else:
                stop.wait(RESEND_SECONDS)
