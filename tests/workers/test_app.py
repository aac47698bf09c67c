"""The Celery application: what it takes and what it leaves to the scheduler."""

from __future__ import annotations

import subprocess
import sys

from coordinator import scheduler
from workers.app import AGGREGATE, TRAIN, make_app, own_queue, shared_queue

APP = make_app("redis://127.0.0.1:1/0")


def test_nothing_but_json_is_read_or_written() -> None:
    assert APP.conf.accept_content == ["json"]
    assert APP.conf.task_serializer == "json"


def test_a_task_is_acknowledged_late_one_at_a_time_and_without_a_result() -> None:
    assert APP.conf.task_acks_late
    assert APP.conf.worker_prefetch_multiplier == 1
    assert APP.conf.task_ignore_result
    assert APP.conf.result_backend is None
    assert not APP.conf.task_reject_on_worker_lost, "the scheduler sends it again; a task may not loop by itself"
    assert not APP.conf.worker_enable_remote_control


def test_the_scheduler_s_names_are_the_workers_own() -> None:
    genesis, other = "0123456789abcdef" * 4, "f" * 64
    task = scheduler.Task("job", 0, 0, None, "0xabc")
    assert (scheduler.TRAIN, scheduler.AGGREGATE) == (TRAIN, AGGREGATE)
    assert task.queue(genesis) == own_queue(genesis, "0xabc") == "assay.0123456789abcdef.0xabc"
    assert scheduler.Task("job", 0, 0, 1).queue(genesis) == shared_queue(genesis) == "assay.0123456789abcdef"
    assert not {shared_queue(genesis), own_queue(genesis, "0xabc")} & {shared_queue(other), own_queue(other, "0xabc")}


def test_a_broker_s_url_may_be_a_socket_s() -> None:
    app = make_app("redis+socket:///tmp/assay/broker.sock")
    assert app.connection_for_write().as_uri() == "redis+socket:///tmp/assay/broker.sock"


def test_importing_it_loads_no_learning_library() -> None:
    code = (
        "import sys, workers.service, workers.tasks;"
        "print([m for m in ('numpy', 'pandas', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout.strip() == "[]"
