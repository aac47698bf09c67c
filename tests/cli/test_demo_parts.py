"""What the demo is made of: its words, its cheat, its measure of memory, and who tidies up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.client import NodeRefused, TransactionRefused
from cli.demo import cheat, memory
from cli.demo.command import Interrupt
from cli.demo.progress import happened, stamped
from cli.demo.sweeper import Sweeper
from cli.demo.tell import LOG_WIDTH, cropped

NAMES = {"0xaa": "worker-1", "0xbb": "worker-2", "0xcc": "validator-1"}


def job(**changes: Any) -> Any:
    empty = {"seed": None, "partitions": [], "candidate": None, "votes": [], "state": "training", "version": None}
    return {**empty, "closed": None, "final": False, **changes}


def partition(index: int, state: str, worker: str | None, error: str | None = None) -> dict[str, Any]:
    return {"index": index, "state": state, "worker": worker, "error": error}


class TestProgress:
    def test_nothing_has_happened_to_a_new_job(self):
        assert happened(job(), NAMES) == []

    def test_people_are_called_by_name_and_strangers_by_address(self):
        parts = [partition(0, "done", "0xaa"), partition(1, "claimed", "0xdd"), partition(2, "waiting", None)]
        assert [text for _, text in happened(job(partitions=parts), NAMES)] == [
            "worker-1 claims partition 0",
            "worker-1 submits its model of partition 0",
            "0xdd claims partition 1",
        ]

    def test_a_life_is_told_in_its_order(self):
        votes = [{"validator": "0xcc", "decision": "approve"}, {"validator": "0xee", "decision": "reject"}]
        whole = job(
            seed={"height": 7},
            partitions=[partition(0, "done", "0xaa")],
            candidate={"cid": "bafy"},
            votes=votes,
            state="adopted",
            version=3,
            closed="now",
            final=True,
        )
        keys = [key.split()[0] for key, _ in happened(whole, NAMES)]
        assert keys == ["seed", "claim", "update", "candidate", "vote", "vote", "closed", "final"]
        assert len(set(happened(whole, NAMES))) == len(keys)

    def test_trouble_is_told(self):
        parts = [partition(0, "failed", "0xaa", "no such CID")]
        assert ("error 0 no such CID", "partition 0: no such CID") in happened(job(partitions=parts), NAMES)

    def test_a_line_keeps_the_time_at_which_it_was_first_seen(self):
        now = [10.0]
        told = stamped(NAMES, lambda: now[0])
        now[0] = 11.5
        first = told(job(seed={"height": 7}))
        now[0] = 19.0
        assert told(job(seed={"height": 7})) == first
        assert " 1.50 s" in first[0][1]


def test_long_lines_of_the_log_are_cut():
    assert cropped("short") == "short"
    assert len(cropped("x" * 1000)) == LOG_WIDTH
    assert cropped("x" * 1000).endswith("…")


class FakeNode:
    """A node with one adopted version, whose partitions in `taken` belong to somebody else."""

    def __init__(self, taken: set[int], in_service: int = 1) -> None:
        self.taken, self.in_service, self.sent = taken, in_service, []

    def model(self, name: str) -> Any:
        return SimpleNamespace(in_service=self.in_service)

    def version(self, name: str, number: int) -> Any:
        return SimpleNamespace(job="before", candidate="bafyserved", score=960_000, number=number) if number else None

    def job(self, job: str) -> Any:
        updates = [SimpleNamespace(rows=30 + i, milliseconds=5, environment="e" * 64) for i in range(4)]
        return SimpleNamespace(round_list=[SimpleNamespace(updates=updates)])

    def send(self, payload: Any, key: Any) -> str:
        self.sent.append(payload)
        if getattr(payload, "partition", None) == 3 and 3 in self.taken:
            raise NodeRefused(409, {"code": "conflict"})  # the node can tell at once
        return str(payload.partition)

    def wait_transaction(self, transaction: str) -> None:
        if int(transaction) in self.taken:
            raise TransactionRefused(transaction, "conflict", "taken in the next block")


OPEN: Any = SimpleNamespace(id="job", model="iris", attempt=0, seed="5" * 64, partitions=4)


class TestCheat:
    def test_it_submits_the_model_in_service_as_its_own(self):
        node: Any = FakeNode(set())
        assert cheat.pretend(node, None, OPEN) == "submitted version 1 as partition 3"  # type: ignore[arg-type]
        update = node.sent[-1]
        assert (update.artifact, update.score, update.rows) == ("bafyserved", 960_000, 33)
        assert (update.seed, update.base, update.environment) == (OPEN.seed, None, "e" * 64)

    def test_it_takes_the_next_partition_when_one_is_taken(self):
        node: Any = FakeNode({3, 2})
        assert cheat.claim(node, None, OPEN) == 1  # type: ignore[arg-type]

    def test_it_gives_up_when_all_are_taken(self):
        node: Any = FakeNode({0, 1, 2, 3})
        assert cheat.pretend(node, None, OPEN) == "no partition was left"  # type: ignore[arg-type]

    def test_it_has_nothing_to_copy_before_the_first_version(self):
        node: Any = FakeNode(set(), in_service=0)
        assert cheat.pretend(node, None, OPEN).startswith("no version is in service")  # type: ignore[arg-type]
        assert node.sent == []


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system has no smaps_rollup")
class TestMemory:
    def test_a_process_and_what_it_started_are_summed(self):
        alone = memory.pss()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            both = memory.pss()
            assert memory.family(os.getpid())[0] == os.getpid()
            assert child.pid in memory.family(os.getpid())
            child.communicate(b"\n")
        assert alone is not None
        assert both is not None
        assert both[1] == alone[1] + 1

    def test_the_most_that_was_seen_is_kept(self):
        peak = memory.Peak()
        assert peak.document() is None
        peak.look()
        seen = peak.document()
        assert seen is not None
        assert seen["mib"] > 1
        peak.bytes *= 100
        peak.look()
        assert peak.document()["mib"] == pytest.approx(seen["mib"] * 100, rel=0.01)  # type: ignore[index]


def test_without_proc_nothing_is_claimed(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert memory.pss() is None


class TestSweeper:
    def test_folders_go_when_the_context_is_left(self, tmp_path):
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "file").touch()
        with Sweeper() as sweeper:
            sweeper.remove_later(tmp_path / "one")
            sweeper.remove_later(tmp_path / "never made")
            own = sweeper.folder()
            assert own.is_dir()
            assert own.stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "one").exists()
        assert not own.exists()
        assert tmp_path.exists()

    def test_they_go_when_the_process_is_killed(self, tmp_path):
        (tmp_path / "one").mkdir()
        program = (
            "import sys, time; from pathlib import Path; from cli.demo.sweeper import Sweeper\n"
            "with Sweeper() as sweeper:\n"
            "    sweeper.remove_later(Path(sys.argv[1])); print('ready', flush=True); time.sleep(60)\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "one")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (tmp_path / "one").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


class TestInterrupt:
    @pytest.fixture
    def interrupt(self):
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        yield Interrupt()
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_without_one_the_story_goes_on(self, interrupt):
        interrupt.again()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_one_that_is_lost_on_its_way_comes_again(self, interrupt, number):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
            pytest.fail("it was raised at once")
        with pytest.raises(KeyboardInterrupt):
            interrupt.again()
