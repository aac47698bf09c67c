"""The thread that sends tasks: it follows the chain, asks the scheduler what is due, and hands that to the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chain.client import NodeClient, NodeError
from coordinator.broker import Broker, BrokerUnavailable
from coordinator.follower import Follower
from coordinator.metrics import TASKS
from coordinator.scheduler import Policy, Sent, Task, plan
from runtime.logs import get_logger

#: Seconds after which the plan is made anew though nothing happened on the chain: workers come and go, which
#: matters while jobs are open.
LOOK_SECONDS = 1.0
IDLE_SECONDS = 5.0
#: Seconds between two tries while node or broker is away.
RETRY_SECONDS = 0.5

_log = get_logger(__name__)


class Dispatcher:
    """`step` is one turn; `run` turns until it is told to stop. What was sent is remembered in memory alone."""

    def __init__(
        self,
        node: NodeClient,
        follower: Follower,
        broker: Broker,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._follower = follower
        self._broker = broker
        self._policy = policy or Policy()
        self._clock = clock
        self._sent: dict[Task, Sent] = {}

    def step(self) -> float:
        """Send what is due; the seconds until it is worth another look. Raises `NodeError`, `BrokerUnavailable`."""
        views = self._node.job_views("open")
        if not views:
            self._sent = {}
            return IDLE_SECONDS
        genesis = self._node.genesis_hash()
        workers = {worker.address: worker.since for worker in self._broker.workers(genesis)}
        now = int(self._clock() * 1000)
        jobs, final = [view.value for view in views], views[0].final_height
        found = plan(jobs, final, now, self._sent, workers.keys(), self._policy, since=workers)
        # What is due counts as sent only when the broker has it; of closed jobs nothing is kept.
        self._sent = {task: sent for task, sent in self._sent.items() if task in found.sent}
        for task in found.tasks:
            self._broker.send(task, genesis)
            self._sent[task] = found.sent[task]
            TASKS.labels(task.name, "again" if found.sent[task].count > 1 else "first").inc()
            queue = task.queue(genesis)
            _log.info("task sent", task=task.name, count=found.sent[task].count, queue=queue, **task.kwargs)
        if found.wake is None:
            return LOOK_SECONDS
        return min(max((found.wake - now) / 1000, 0.01), LOOK_SECONDS)

    def _look(self) -> str:
        """Say at the start that the broker is away, and not with the first task; what was said, else nothing."""
        try:
            self._broker.ping()
        except BrokerUnavailable as error:
            _log.warning("no broker: tasks wait until it answers", reason=str(error))
            return str(error)
        return ""

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; node and broker may go away and come back."""
        away = self._look()
        while not stop.is_set():
            ticks = self._follower.position.ticks
            try:
                wait = self.step()
                away = ""
            except (NodeError, BrokerUnavailable) as error:
                if str(error) != away:
                    _log.warning("cannot send tasks now", reason=str(error))
                away = str(error)
                stop.wait(RETRY_SECONDS)
                continue
            self._follower.wait(ticks, wait, stop)
