"""The Celery tasks, and the pool process that runs them."""

from __future__ import annotations

import json
import os
import signal
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import Celery, signals

from chain.client import NodeUnavailable
from runtime import guard
from runtime.logs import get_logger
from workers import failures
from workers.aggregate import aggregate_round
from workers.app import AGGREGATE, TRAIN
from workers.asked import Asked, NoTask, asked_of
from workers.context import WorkerContext
from workers.requests import Request
from workers.settings import WorkerSettings
from workers.train import train_partition

log = get_logger("workers.tasks")

#: What the pool's process sends the service when it cannot even begin.
CANNOT_TRAIN = signal.SIGUSR1


def register(app: Celery, settings: WorkerSettings, genesis: str) -> None:
    """Register both tasks on `app`, for the network with this genesis hash. Their process makes its `WorkerContext`
    after the fork, once."""
    held: list[WorkerContext] = []

    def context() -> WorkerContext:
        if not held:
            held.append(settings.open_context())
        return held[0]

    @app.task(name=TRAIN, Request=Request)  # type: ignore[untyped-decorator]  # Celery has no types
    def train(*args: object, **kwargs: object) -> None:
        run(TRAIN, args, kwargs)

    @app.task(name=AGGREGATE, Request=Request)  # type: ignore[untyped-decorator]
    def aggregate(*args: object, **kwargs: object) -> None:
        run(AGGREGATE, args, kwargs)

    def run(task: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        try:
            asked = asked_of([*args, kwargs] if args else kwargs, partition=task == TRAIN)
        except NoTask as error:
            log.warning("what the broker handed over is no task; it is left", task=task, error=str(error))
            return
        outcome = _unless_away(lambda: _do(context(), asked))
        name = "aggregate" if asked.partition is None else "train"
        log.info(name, job=asked.job, attempt=asked.attempt, round=asked.round, partition=asked.partition,
                 outcome=outcome)  # fmt: skip

    losses = Losses()

    def on_pool_process(**_: Any) -> None:
        guard.watch_parent_in_child()
        try:
            settings.warm_up(genesis)
        except BaseException:
            # Celery would log this and train on, unbounded or with other numerics: end the worker instead.
            log.critical("worker cannot train here", exc_info=True)
            os.kill(os.getppid(), CANNOT_TRAIN)
            os._exit(1)

    def on_failure(kwargs: dict[str, Any] | None = None, exception: BaseException | None = None, **_: Any) -> None:
        # Runs in the service when the pool's process is gone: nobody else is left to say so.
        if isinstance(exception, WorkerLostError) and kwargs:
            asked = asked_of(kwargs, partition="partition" in kwargs)  # Celery logs a NoTask: nobody is told of that
            _report_lost(settings, asked, losses.count(kwargs))

    signals.worker_process_init.connect(on_pool_process, weak=False)
    signals.task_failure.connect(on_failure, weak=False)


class Losses:
    """How often a task ended the process that ran it: once may be chance, or an operator."""

    #: Tasks that are remembered.
    KEPT = 1000

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def count(self, kwargs: dict[str, Any]) -> int:
        """Note one more loss of a task; how many there were of it."""
        task = json.dumps(kwargs, sort_keys=True, default=str)
        self._counts[task] = self._counts.pop(task, 0) + 1
        while len(self._counts) > self.KEPT:
            self._counts.popitem(last=False)
        return self._counts[task]


def _do(context: WorkerContext, asked: Asked) -> str:
    if asked.partition is None:
        return aggregate_round(context, asked.job, asked.attempt, asked.round)
    return train_partition(context, asked.job, asked.attempt, asked.round, asked.partition)


def _unless_away(run: Callable[[], str]) -> str:
    try:
        return run()
    except NodeUnavailable as away:
        return f"left: {away}; the scheduler will send it again"


def _report_lost(settings: WorkerSettings, asked: Asked, times: int) -> None:
    how = "the process that trained was killed, as a system does that runs out of memory"
    first = failures.Failed(failures.UNAVAILABLE, how)
    again = failures.Failed("worker_lost", f"{how}, {times} times in a row: this worker does not try again")
    failures.report(
        settings.open_client(),
        settings.load_key(),
        job=asked.job,
        attempt=asked.attempt,
        round_=asked.round,
        partition=asked.partition,
        failed=first if times == 1 else again,
    )
