"""The fleet's processes: order, restarts, stops and what is said about them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runtime import supervisor as module
from runtime.supervisor import Child, ChildFailedError, Supervisor

pytestmark = pytest.mark.fleet

#: Writes when it starts and when it is told to stop.
RECORDER = """
import os, signal, sys, time
name, journal = sys.argv[1:3]
def note(what):
    with open(journal, "a") as file:
        file.write(f"{what} {name}\\n")
def stop(*_):
    note("stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("start")
print("hello from", name, flush=True)
open(f"{journal}.{name}", "w").close()
while True:
    signal.pause()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def fleet(tmp_path: Path, said: list[str]):
    made = Supervisor(tmp_path / "logs", say=said.append)
    yield made
    made.stop()


def _recorder(name: str, journal: Path, **options) -> Child:
    mark = Path(f"{journal}.{name}")
    options.setdefault("ready", mark.exists)
    return Child(name, [sys.executable, "-c", RECORDER, name, str(journal)], **options)


def test_children_start_in_order_and_stop_in_reverse(fleet, journal):
    for name in ("node", "worker", "coordinator"):
        fleet.add(_recorder(name, journal))
    fleet.start()
    pids = fleet.pids()
    assert list(pids) == ["node", "worker", "coordinator"]
    fleet.stop()
    assert journal.read_text().split("\n")[:-1] == [
        "start node", "start worker", "start coordinator",
        "stop coordinator", "stop worker", "stop node",
    ]  # fmt: skip
    assert fleet.pids() == {}


def test_each_child_leads_a_group_and_writes_a_log(fleet, journal, tmp_path):
    fleet.add(_recorder("node", journal))
    fleet.start()
    pid = fleet.pids()["node"]
    assert os.getpgid(pid) == pid
    fleet.stop()
    assert (tmp_path / "logs" / "node.log").read_text() == "hello from node\n"


def test_a_stage_starts_and_stops_together(fleet, journal):
    for name in ("a", "b"):
        fleet.add(_recorder(name, journal, stage="both"))
    fleet.add(_recorder("last", journal))
    fleet.start()
    fleet.stop()
    lines = journal.read_text().splitlines()
    assert set(lines[:2]) == {"start a", "start b"}
    assert lines[2:4] == ["start last", "stop last"]
    assert set(lines[4:]) == {"stop a", "stop b"}


def test_a_child_that_dies_is_started_again_and_said_so(fleet, journal, said, eventually, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.01)
    fleet.add(_recorder("worker", journal))
    fleet.start()
    first = fleet.pids()["worker"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: fleet.pids().get("worker", first) != first)
    eventually(lambda: journal.read_text().count("start worker") == 2)
    assert len(said) == 1
    assert "worker ended unexpectedly with signal SIGKILL" in said[0]
    assert "starting it again" in said[0]


def test_a_child_that_keeps_dying_waits_longer_each_time(fleet, said, eventually, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.01)
    gate = tmp_path / "gate"
    code = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.005)\nsys.exit(3)"
    fleet.add(Child("flaky", [sys.executable, "-c", code, str(gate)]))
    fleet.start()
    gate.touch()
    eventually(lambda: len(said) >= 4)
    pauses = [float(line.rsplit(" ", 2)[1]) for line in said[:4]]
    assert pauses == [0.01, 0.02, 0.04, 0.08]
    assert "exit status 3" in said[0]


def test_the_group_of_a_dead_child_is_ended_too(fleet, journal, tmp_path, eventually, alive):
    """A service killed with SIGKILL leaves no pool behind, guarded or not."""
    mark = tmp_path / "grandchild"
    code = (
        "import subprocess, sys, os, time\n"
        "p = subprocess.Popen(['sleep', '600'])\n"
        "open(sys.argv[1] + '.new', 'w').write(str(p.pid)); os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(600)"
    )
    fleet.add(Child("pool", [sys.executable, "-c", code, str(mark)], restart=False, ready=mark.exists))
    fleet.start()
    grandchild = int(mark.read_text())
    os.kill(fleet.pids()["pool"], signal.SIGKILL)
    eventually(lambda: not alive(grandchild))
    assert fleet.broken.wait(10)
    assert "pool ended unexpectedly" in fleet.why_broken


def test_a_child_that_ignores_sigterm_is_killed(fleet, said, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "STOP_EACH", 0.2)
    mark = tmp_path / "deaf"
    code = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').close()\ntime.sleep(600)"
    )
    fleet.add(Child("deaf", [sys.executable, "-c", code, str(mark)], ready=mark.exists))
    fleet.start()
    before = time.monotonic()
    fleet.stop()
    assert time.monotonic() - before < 5
    assert fleet.pids() == {}
    assert "deaf did not stop" in said[0]


def test_the_bounds_promised_to_scripts():
    assert module.STOP_EACH == 8.0
    assert module.STOP_ALL < 20.0


def test_a_child_that_fails_while_starting_stops_the_rest_and_shows_its_log(fleet, journal):
    fleet.add(_recorder("node", journal))
    fleet.add(Child("broken", [sys.executable, "-c", "raise SystemExit('port 5000 is taken')"], ready=lambda: False))
    with pytest.raises(ChildFailedError, match=r"broken ended with exit status 1(.|\n)*port 5000 is taken"):
        fleet.start()
    assert fleet.pids() == {}
    assert journal.read_text().endswith("stop node\n")


def _killed(name: str, tmp_path: Path, times: int, **options) -> Child:
    """Kills itself so many times, then lives and is ready."""
    lives, mark = tmp_path / f"{name}.lives", tmp_path / f"{name}.mark"
    code = (
        "import os, signal, sys\n"
        "with open(sys.argv[1], 'a+') as lives:\n"
        "    lives.write('x')\n"
        "if os.path.getsize(sys.argv[1]) <= int(sys.argv[3]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "open(sys.argv[2], 'w').close()\n"
        "signal.pause()"
    )
    return Child(name, [sys.executable, "-c", code, str(lives), str(mark), str(times)], ready=mark.exists, **options)


def test_a_child_that_is_killed_while_the_fleet_starts_is_started_again(fleet, journal, said, tmp_path):
    fleet.add(_recorder("node", journal))
    fleet.add(_killed("worker", tmp_path, module.STARTS_AGAIN))
    fleet.add(_recorder("last", journal))
    fleet.start()
    assert list(fleet.pids()) == ["node", "worker", "last"]
    assert len(said) == module.STARTS_AGAIN
    assert all("worker ended with signal SIGKILL while starting" in line for line in said)
    assert all("starting it again" in line for line in said)
    assert not fleet.broken.is_set()


def test_a_child_of_an_earlier_stage_is_started_again_too_and_waited_for(fleet, journal, said):
    fleet.add(_recorder("node", journal))
    mark = Path(f"{journal}.node")

    def node_was_killed() -> bool:
        if not said:
            if mark.exists():
                mark.unlink()
                os.kill(fleet.pids()["node"], signal.SIGKILL)
            return False
        return mark.exists()

    fleet.add(_recorder("late", journal, ready=node_was_killed))
    fleet.start()
    assert journal.read_text().splitlines().count("start node") == 2
    assert set(fleet.pids()) == {"node", "late"}
    assert len(said) == 1


def test_a_child_that_is_killed_again_and_again_while_starting_ends_the_fleet(fleet, journal, said, tmp_path):
    fleet.add(_recorder("node", journal))
    fleet.add(_killed("worker", tmp_path, module.STARTS_AGAIN + 1))
    with pytest.raises(ChildFailedError, match="worker ended with signal SIGKILL"):
        fleet.start()
    assert len(said) == module.STARTS_AGAIN
    assert fleet.pids() == {}


def test_a_child_that_is_not_to_be_restarted_is_not_while_the_fleet_starts(fleet, said, tmp_path):
    fleet.add(_killed("once", tmp_path, 1, restart=False))
    with pytest.raises(ChildFailedError, match="once ended with signal SIGKILL"):
        fleet.start()
    assert said == []


def test_a_program_that_does_not_exist_is_an_error_at_start(fleet):
    fleet.add(Child("nothing", ["/nonexistent/program"]))
    with pytest.raises(FileNotFoundError):
        fleet.start()


def test_a_child_that_is_never_ready(fleet, journal, monkeypatch):
    monkeypatch.setattr(module, "READY_WITHIN", 0.1)
    fleet.add(_recorder("slow", journal, ready=lambda: False))
    with pytest.raises(ChildFailedError, match="slow was not ready"):
        fleet.start()


def test_start_is_interrupted_by_the_stop_event(fleet, journal):
    stop = threading.Event()
    asked = threading.Event()

    def never() -> bool:
        asked.set()
        return False

    fleet.add(_recorder("node", journal))
    fleet.add(_recorder("slow", journal, ready=never))
    threading.Thread(target=lambda: (asked.wait(), stop.set())).start()
    fleet.start(stop)
    assert fleet.pids() == {}


def test_two_children_of_one_name_are_refused(fleet, journal):
    fleet.add(_recorder("node", journal))
    with pytest.raises(ValueError, match="node"):
        fleet.add(_recorder("node", journal))


def test_all_children_die_with_a_supervisor_that_is_killed(start_python, eventually, alive, tmp_path):
    code = """
import subprocess, sys, pathlib
from runtime.supervisor import Child, Supervisor
fleet = Supervisor(pathlib.Path(sys.argv[1]))
service = "import time\\nfrom runtime import guard\\nguard.watch_parent()\\ntime.sleep(600)"
for name in "abc":
    fleet.add(Child(name, [sys.executable, "-c", service]))
fleet.start()
print(*fleet.pids().values(), flush=True)
fleet.broken.wait()
"""
    process: subprocess.Popen[str] = start_python(code, str(tmp_path))
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 3
    process.kill()
    eventually(lambda: not any(alive(pid) for pid in pids))
