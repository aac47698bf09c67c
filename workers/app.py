"""The Celery application: JSON only, acknowledged late, one task at a time, no results.

Tasks carry ids; everything else a worker reads from the chain, so that a task taken twice, or sent by
somebody who should not, does nothing that the chain would not allow. Redelivery after a worker's death is
the scheduler's work, not the visibility time-out's: Celery alone loses tasks for tens of seconds when a
worker is killed.
"""

from __future__ import annotations

from celery import Celery

#: The names under which the scheduler sends tasks.
TRAIN = "assay.train"
AGGREGATE = "assay.aggregate"


def shared_queue(genesis: str) -> str:
    """The queue that every worker of a network reads. It is named by the genesis block's hash, so that networks on
    one broker do not take each other's tasks."""
    return f"assay.{genesis[:16]}"


def own_queue(genesis: str, address: str) -> str:
    """The queue of one worker: what only the holder of an accepted update may do is sent there."""
    return f"{shared_queue(genesis)}.{address}"


def make_app(broker: str) -> Celery:
    """An application on ``broker``, a URL of the Redis protocol as Celery writes it (``redis://`` or
    ``redis+socket://``). It has no queue of its own: whoever sends names one."""
    app = Celery("assay", broker=broker, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"visibility_timeout": 24 * 3600, "socket_keepalive": True},
    )
    return app
