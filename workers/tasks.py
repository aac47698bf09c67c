"""The Celery tasks, and the pool process that runs them."""

from __future__ import annotations

from typing import Any

from billiard.exceptions import WorkerLostError
from celery import Celery, signals

from chain.client import NodeUnavailable
from runtime import guard
from runtime.logs import get_logger
from workers import failures
from workers.aggregate import aggregate_round
from workers.app import AGGREGATE, TRAIN
from workers.context import WorkerContext
from workers.settings import WorkerSettings
from workers.train import train_partition

log = get_logger("workers.tasks")


def register(app: Celery, settings: WorkerSettings) -> None:
    """Register both tasks on `app`. Their process makes its `WorkerContext` after the fork, once."""
    held: list[WorkerContext] = []

    def context() -> WorkerContext:
        if not held:
            held.append(settings.open_context())
        return held[0]

    @app.task(name=TRAIN)  # type: ignore[untyped-decorator]  # Celery has no types
    def train(job: str, attempt: int, round: int, partition: int) -> None:
        outcome = _unless_away(lambda: train_partition(context(), job, attempt, round, partition))
        log.info("train", job=job, attempt=attempt, round=round, partition=partition, outcome=outcome)

    @app.task(name=AGGREGATE)  # type: ignore[untyped-decorator]
    def aggregate(job: str, attempt: int, round: int) -> None:
        outcome = _unless_away(lambda: aggregate_round(context(), job, attempt, round))
        log.info("aggregate", job=job, attempt=attempt, round=round, outcome=outcome)

    def on_pool_process(**_: Any) -> None:
        guard.watch_parent_in_child()
        settings.warm_up()

    def on_failure(kwargs: dict[str, Any] | None = None, exception: BaseException | None = None, **_: Any) -> None:
        # Runs in the service when the pool's process is gone: nobody else is left to say so.
        if isinstance(exception, WorkerLostError) and kwargs:
            _report_lost(settings, kwargs)

    signals.worker_process_init.connect(on_pool_process, weak=False)
    signals.task_failure.connect(on_failure, weak=False)


def _unless_away(run: Any) -> str:
    try:
        return str(run())
    except NodeUnavailable as away:
        return f"left: {away}; the scheduler will send it again"


def _report_lost(settings: WorkerSettings, kwargs: dict[str, Any]) -> None:
    error = failures.WorkerDied("the process that trained was killed, as a system does that runs out of memory")
    failures.report(
        settings.open_client(),
        settings.load_key(),
        job=str(kwargs["job"]),
        attempt=int(kwargs["attempt"]),
        round_=int(kwargs["round"]),
        partition=kwargs.get("partition"),
        error=error,
    )
