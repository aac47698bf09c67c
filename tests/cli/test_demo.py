"""The demo, run for real: what it shows is checked, and that nothing of it is left however it ends."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

COMMAND = [sys.executable, "-P", "-m", "cli.main", "demo", "--json"]
#: Demo, sweeper, broker, node with its miner, four validators, two workers with a pool process each, coordinator.
PROCESSES = 14


@dataclass
class Demo:
    """A demo that runs, and what was seen of it."""

    process: subprocess.Popen[str]
    seen: dict[int, psutil.Process]

    def look(self) -> list[psutil.Process]:
        """Its processes now; all that were ever seen are remembered."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen.update({process.pid: process for process in found})
        return found

    def arguments(self, option: str) -> set[str]:
        """The values of an option in its services' command lines."""
        lines: list[list[str]] = []
        for process in self.look():
            with suppress(psutil.NoSuchProcess):  # some are there for a moment only
                lines.append(process.cmdline())
        return {line[at + 1] for line in lines for at, word in enumerate(line) if word == option}


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[Demo]:
    (tmp_path / "elsewhere").mkdir()
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        where = tmp_path / "elsewhere"
        process = subprocess.Popen([*COMMAND, *arguments], stdout=out, stderr=err, text=True, cwd=where)
        demo = Demo(process, {})
        try:
            yield demo
        finally:
            for other in [psutil.Process(process.pid)] if process.poll() is None else []:
                other.kill()
                process.wait()


def until(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it became so in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def running(processes: Iterator[psutil.Process] | list[psutil.Process]) -> list[str]:
    """The command lines of those that still run."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def answers(url: str) -> bool:
    where = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((where.hostname, where.port)) == 0


def folders(demo: Demo) -> set[Path]:
    """The data folder and the broker's."""
    data = {Path(text) for text in demo.arguments("--data")}
    brokers = {Path(text.removeprefix("redis+socket://")).parent for text in demo.arguments("--broker")}
    assert len(data) == len(brokers) == 1
    assert all(folder.is_dir() for folder in data | brokers)
    return data | brokers


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """One demo from its beginning to its end: its document, and the story."""
    folder = tmp_path_factory.mktemp("demo")
    with started(folder) as demo:
        while demo.process.poll() is None:
            if psutil.pid_exists(demo.process.pid):
                try:
                    demo.look()
                except psutil.NoSuchProcess:
                    break
            time.sleep(0.2)
        assert demo.process.wait(10) == 0, (folder / "err").read_text()
        assert len(demo.seen) >= PROCESSES - 1
        assert until(lambda: not running(list(demo.seen.values())), 5), running(list(demo.seen.values()))
    assert not list((folder / "elsewhere").iterdir()), "the demo writes into no folder but its own"
    return json.loads((folder / "out").read_text()), (folder / "err").read_text()


def test_the_dataset_is_the_published_one(told):
    facts, story = told
    # `ipfs add --cid-version=1 datasets/iris.csv`
    assert facts["dataset"]["cid"] == "bafkreie4yhbulry3zsnuq23uzp3amp5gn5f3lyhwaoslhq2hd3bol2hdku"
    assert (facts["dataset"]["rows"], facts["dataset"]["target"]) == (150, "species")
    assert facts["dataset"]["cid"] in story


def test_four_random_partitions_were_trained_by_two_workers_on_rows_that_the_chain_drew(told):
    facts, story = told
    job, accounts = facts["job"], facts["accounts"]
    assert [p["index"] for p in job["partitions"]] == [0, 1, 2, 3]
    assert {p["worker"] for p in job["partitions"]} <= {accounts["worker-1"], accounts["worker-2"]}
    assert len({p["update"] for p in job["partitions"]}) == 4
    assert all(p["rows"] > 20 and 0 <= p["score"] <= 1 for p in job["partitions"])
    assert sum(p["rows"] for p in job["partitions"]) < 150, "some rows are held out"
    seed = job["seed"]
    assert seed["value"] == hashlib.sha256((job["job"] + seed["block"]).encode()).hexdigest()
    assert facts["seed"]["computed_again"]
    for shown in [job["job"], seed["value"], seed["block"], *(p["update"] for p in job["partitions"])]:
        assert shown in story


def test_a_quorum_of_validators_trained_again_and_approved(told):
    facts, story = told
    job, accounts = facts["job"], facts["accounts"]
    validators = {accounts[f"validator-{number}"] for number in (1, 2, 3, 4)}
    approving = [vote for vote in job["votes"] if vote["decision"] == "approve"]
    assert len(validators) == 4
    assert {vote["validator"] for vote in approving} <= validators
    assert len(approving) >= job["quorum"]["weight"] == 3
    updates = [p["transaction"] for p in job["partitions"]]
    assert all(vote["replayed"] == updates and vote["mode"] == "bytes" for vote in approving)
    assert all(vote["reason"] in story for vote in job["votes"])
    assert (job["state"], job["adopted"], job["final"], job["version"]) == ("adopted", True, True, 1)
    assert job["candidate"]["cid"] in story


def test_when_it_was_adopted_and_final_is_told(told):
    facts, story = told
    assert facts["final"]["height"] > facts["version"]["height"] > facts["seed"]["height"]
    assert facts["final"]["time"] in story
    assert 0 < facts["seconds"]["submitted_to_adopted"] <= facts["seconds"]["submitted_to_final"] < 10


def test_the_combined_model_is_the_one_that_all_rows_at_once_give(told):
    facts, _ = told
    assert facts["whole"] == {
        "cid": facts["job"]["candidate"]["cid"],
        "score": facts["job"]["candidate"]["score"],
        "same": True,
    }


def test_the_adopted_version_predicts(told):
    facts, _ = told
    answer = facts["prediction"]
    assert answer["predictions"] == ["versicolor"]
    assert (answer["version"], answer["cid"]) == (1, facts["version"]["cid"])


def test_the_cheat_is_disproved_and_the_version_before_stays(told):
    facts, story = told
    caught = facts["rejected"]
    job, cheat = caught["job"], caught["cheat"]
    partition = job["partitions"][caught["partition"]]
    assert facts["accounts"]["worker-3"] == cheat == partition["worker"]
    assert (job["state"], job["version"], job["adopted"], job["final"]) == ("rejected", None, False, True)
    assert partition["state"] == "removed"
    assert partition["update"] == facts["version"]["cid"], "it copied the model in service"
    rejecting = [vote for vote in job["votes"] if vote["decision"] == "reject"]
    assert len(rejecting) >= 3
    for vote in rejecting:
        assert vote["disproved"] == [partition["transaction"]]
        assert cheat in vote["reason"]
        assert f"partition {caught['partition']}" in vote["reason"]
        assert partition["transaction"] not in vote["replayed"]
    assert vote["reason"] in job["reason"]
    assert caught["in_service"] == {"before": 1, "after": 1, "cid": facts["version"]["cid"]}
    assert f"partition {caught['partition']} by worker-3 was disproved" in story


def test_the_audit_verifies_the_version(told):
    facts, _ = told
    audit = facts["audit"]
    assert (audit["verdict"], audit["version"], audit["final"], audit["undecided"]) == ("verified", 1, True, [])
    assert audit["job"] == facts["job"]["job"]
    trained = [check for check in audit["updates"] if check["kind"] == "update"]
    assert [check["stated"] for check in trained] == [p["update"] for p in facts["job"]["partitions"]]
    assert all(check["matches"] and check["found"] == check["stated"] for check in audit["updates"])


def test_the_log_says_the_end_of_it(told):
    facts, story = told
    assert any("event=final" in line for line in facts["log"])
    assert "Try next" in story
    assert "assay up" in story


def test_it_stays_within_its_bounds_and_leaves_nothing(told):
    facts, _ = told
    assert facts["seconds"]["total"] < 60
    assert facts["memory"] is None or 500 < facts["memory"]["mib"] < 1536
    assert not Path(facts["data"]).exists()
    assert not Path(facts["endpoints"]["broker"].removeprefix("redis+socket://")).parent.exists()
    assert not answers(facts["endpoints"]["coordinator"])
    assert not answers(facts["endpoints"]["node"])


@pytest.mark.kubo
@pytest.mark.redis
def test_the_same_on_a_running_kubo_and_redis(tmp_path, kubo, redis_url):
    with started(tmp_path, "--ipfs", kubo.api, "--broker", redis_url) as demo:
        assert demo.process.wait(120) == 0, (tmp_path / "err").read_text()
    facts = json.loads((tmp_path / "out").read_text())
    assert (facts["job"]["state"], facts["rejected"]["job"]["state"]) == ("adopted", "rejected")
    assert facts["audit"]["verdict"] == "verified"
    iris = Path(__file__).parents[2] / "datasets" / "iris.csv"
    assert kubo.run("cat", facts["dataset"]["cid"]) == iris.read_bytes()
    for model in [facts["version"]["cid"], *(p["update"] for p in facts["job"]["partitions"])]:
        assert b"sklearn.naive_bayes.GaussianNB" in kubo.run("block", "get", model)
    assert kubo.run("cat", facts["dataset"]["manifest_cid"]).startswith(b"{")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_whatever_ends_it_ends_all_of_it(tmp_path, number, status):
    with started(tmp_path) as demo:
        assert until(lambda: demo.process.poll() is not None or len(demo.look()) >= PROCESSES - 1)
        assert demo.process.poll() is None, (tmp_path / "err").read_text()
        left, urls = folders(demo), demo.arguments("--node")
        os.kill(demo.process.pid, number)
        assert demo.process.wait(20) == status
        everything = list(demo.seen.values())
        assert until(lambda: not running(everything), 10), running(everything)
        assert until(lambda: not any(folder.exists() for folder in left), 10)
        assert not any(answers(url) for url in urls)
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert (tmp_path / "out").read_text() == ""
