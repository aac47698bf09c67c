"""A claim on a partition, kept alive while the partition is trained."""

from __future__ import annotations

import threading
from types import TracebackType

from chain.client import NodeClient, NodeError, TransactionRefused
from chain.keys import Key
from chain.transactions import ClaimPartition
from runtime.logs import get_logger

#: Seconds between renewals: a third of the lease (`chain.params.Params.lease_ms`), so that two may fail.
RENEW_SECONDS = 10.0

log = get_logger("workers.lease")


class LeaseLost(Exception):  # noqa: N818 - a turn of events, not a mistake
    """The chain gave the partition to somebody else, or does not give it to this worker."""


class Lease:
    """Claims on entry, claims again every `RENEW_SECONDS` until exit.

    Training begins beside the first claim instead of after it: which worker gets a partition is nearly always
    settled by the scheduler's sending it to one. `confirm` must be called before anything is submitted.
    """

    def __init__(self, client: NodeClient, key: Key, claim: ClaimPartition) -> None:
        self._client = client
        self._key = key
        self._claim = claim
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._first = ""

    def __enter__(self) -> Lease:
        """Send the claim. Raises `NodeRefused` when the node can tell at once that it is not to be had."""
        self._first = self._client.send(self._claim, self._key)
        self._thread.start()
        return self

    def confirm(self, timeout: float = 30.0) -> None:
        """Wait until the claim is in a block. Raises `LeaseLost` when the chain refused it."""
        try:
            self._client.wait_transaction(self._first, "included", timeout)
        except TransactionRefused as refused:
            raise LeaseLost(
                f"partition {self._claim.partition} of job {self._claim.job} is not ours: {refused.reason}"
            ) from refused

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._done.wait(RENEW_SECONDS):
            try:
                self._client.send(self._claim, self._key)
            except NodeError as error:  # the next renewal may pass, and `confirm` or the update tells for sure
                log.warning(
                    "lease not renewed",
                    job=self._claim.job,
                    partition=self._claim.partition,
                    error=str(error),
                )
