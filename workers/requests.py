"""Tasks as the worker's service holds them, for what Celery does not notice: that the broker was replaced."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request as CeleryRequest
from kombu.asynchronous import get_event_loop

from runtime.logs import get_logger

log = get_logger("workers.requests")


class Request(CeleryRequest):  # type: ignore[misc]  # Celery has no types
    """A task that is acknowledged when it is done, with one task at a time.

    Until then nothing is read from the broker, so nobody notices when it goes. The acknowledgement does, and Celery
    logs that and waits on for its place to be free: the worker lives, connected, and never takes a task again. Here
    the consumer is told instead, and connects anew.
    """

    acknowledged: bool

    def acknowledge(self) -> None:
        """Tell the broker that the task is done; where the connection is gone, make another."""
        if self.acknowledged:
            return
        self.acknowledged = True
        try:
            self.message.ack()
        except self._connection_errors as error:
            log.warning("the broker that a task came from is gone; connecting again", reason=str(error))
            get_event_loop().call_soon(_fail, error)


def _fail(error: Exception) -> Any:
    """Inside the consumer's loop, which begins anew with whatever it counts among the connection's errors."""
    raise error
