"""The walk-through of docs/consortium.md, as it is printed there: four organisations, then a fifth."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chain.client import NodeClient
from coordinator.client import Client, CoordinatorUnavailable
from tests.fleet.conftest import ASSAY, READY_WITHIN, STOP_WITHIN, until
from tests.ports import held

ROOT = Path(__file__).parents[2]
SERVICES = ("node", "validator", "coordinator", "worker")
#: For one command, or for something to come about: fifteen processes share the machine.
SECONDS = 120.0
#: Ports of the page, and how many nodes there are.
NODES, COORDINATORS = range(7001, 7006), range(5000, 5002)

pytestmark = [pytest.mark.fleet, pytest.mark.redis, pytest.mark.timeout(600)]


def lines() -> list[str]:
    """The commands of the page's first part, in order."""
    text = (ROOT / "docs" / "consortium.md").read_text().partition("## On machines")[0]
    return [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]


@dataclass
class Trial:
    """A folder in which lines are run, with `ports` in place of the page's and another Redis."""

    folder: Path
    redis: str
    ports: dict[int, int]
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def words(self, line: str) -> list[str]:
        for told, free in self.ports.items():
            line = line.replace(f":{told}", f":{free}").replace(f"--port {told}", f"--port {free}")
        words = shlex.split(line.replace("redis://127.0.0.1:6379/", self.redis.removesuffix("0")))
        assert words[0] == "assay"
        if words[1] == "coordinator" and "--port" not in words:
            words += ["--port", str(self.ports[5000])]
        return [*ASSAY, *words[1:]]

    def start(self, line: str) -> None:
        with (self.folder / f"{len(self.services)}.log").open("wb") as log:
            self.services.append(
                subprocess.Popen(self.words(line), cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
            )

    def run(self, line: str) -> str:
        command = self.words(line)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, (line, done.stdout, done.stderr, self.said())
        return done.stdout

    def node(self, number: int) -> NodeClient:
        return NodeClient(f"http://127.0.0.1:{self.ports[7000 + number]}")

    def certified(self) -> bool:
        view = self.node(1).attested_view("iris", 1)
        return view is not None and view.final and view.value.certified is not None

    def served(self) -> bool:
        """Whether the second organisation's node has seen the version final."""
        view = self.node(2).version_view("iris", 1)
        return view is not None and view.final

    def all_run(self) -> bool:
        assert all(each.poll() is None for each in self.services), self.said()
        return True

    def said(self) -> str:
        ends = [(self.folder / f"{number}.log").read_text()[-600:] for number in range(len(self.services))]
        return "\n".join(f"{each.args} {each.poll()}\n{end}" for each, end in zip(self.services, ends, strict=True))

    def ready(self, coordinator: int) -> None:
        url = f"http://127.0.0.1:{self.ports[coordinator]}"

        def is_ready() -> bool:
            self.all_run()
            try:
                with Client(url) as client:
                    return bool(client.ready()["ready"])
            except CoordinatorUnavailable:
                return False

        until(is_ready, 2 * READY_WITHIN, self.said)


@pytest.fixture
def trial(tmp_path: Path, redis_url: str) -> Iterator[Trial]:
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    told = [*NODES, *COORDINATORS]
    with held(len(told)) as first:
        found = Trial(tmp_path, redis_url, {number: first + index for index, number in enumerate(told)})
        yield found
        for each in found.services:
            each.send_signal(signal.SIGTERM)
        for each in found.services:
            each.wait(STOP_WITHIN)


def test_the_walk_through_works_as_it_is_printed(trial: Trial) -> None:
    todo = lines()
    assert sum(line.split()[1] in SERVICES for line in todo) == 14
    printed = json.loads(trial.run(todo.pop(0) + f" --json --port {trial.ports[7001]}"))["next"]
    shown = [shlex.join(trial.words(line)[len(ASSAY) :]) for line in todo[: len(printed)]]
    assert [re.sub(r" --broker.*", "", line) for line in shown] == [
        re.sub(r" --broker.*", "", line.removeprefix("assay ")) for line in printed
    ], "the page shows what `network init` prints"
    answered: dict[str, str] = {}
    for number, line in enumerate(todo):
        command = " ".join(line.split()[1:3])
        if line.split()[1] in SERVICES:
            trial.start(line)
            if todo[number + 1].split()[1] not in SERVICES and len(trial.services) == 12:
                trial.ready(5000)
                trial.ready(5001)
            continue
        if command == "validators admit":
            until(lambda: trial.node(5).ready() and trial.node(5).chain()["height"] > 0, SECONDS, trial.said)
        if command == "model certificate":
            until(trial.certified, SECONDS, trial.said)
        if command == "model predict":
            until(trial.served, SECONDS, trial.said)
        answered[command] = trial.run(line)
    assert "adopted     iris version 1" in answered["train --dataset"]
    assert "setosa" in answered["model predict"]
    assert "VERIFIED: iris version 1" in answered["audit iris"]
    until(lambda: len(trial.node(5).validators().members) == 5, SECONDS, trial.said)
    members = trial.node(5).validators()
    assert (members.quorum(), members.weights) == (4, (1,) * 5)
    assert not any(trial.node(1).account(member).balance for member in members.members), "nobody had a coin"
    trial.all_run()
