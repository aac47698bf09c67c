"""Content that is damaged or gone: workers and validators refuse it by its CID, and the job says why."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ipfs.cid import parse_cid

IRIS = Path(__file__).parents[2] / "datasets" / "iris.csv"
BAYES = "sklearn.naive_bayes.GaussianNB"

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]


def registered(fleet, tmp_path: Path, name: str) -> tuple[str, Path]:
    """A dataset of its own, registered with a model of the same name; its CID and its one block's file."""
    lines = IRIS.read_text().splitlines(keepends=True)
    path = tmp_path / f"{name}.csv"
    path.write_text("".join(lines) + "".join(lines[1 : 2 + len(name)]))
    cid = fleet.dataset(name, path)
    fleet.client.register_model(name, [name])
    digest = parse_cid(cid).digest.hex()
    block = fleet.folder.store / "blocks" / digest[:2] / digest
    assert block.read_bytes() == path.read_bytes()
    return cid, block


def flip(block: Path) -> None:
    """Flip one bit of a block's middle; doing it again mends it."""
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)


def test_workers_refuse_a_dataset_with_one_byte_flipped(fleet, tmp_path):
    cid, block = registered(fleet, tmp_path, "flipped")
    flip(block)
    job = fleet.client.train("flipped", "flipped", BAYES, partitions=1)
    document = fleet.closed(job)
    assert document["state"] == "failed"
    assert cid in document["reason"]
    assert f"asked embedded store {fleet.folder.store}" in document["reason"]
    assert "do not hash to" in document["reason"] or "corrupt" in document["reason"]
    workers = {line.split("worker=")[1].split()[0] for line in log_of(fleet, job, "failure_reported")}
    assert len(workers) == 2, "both tried, neither trained"


def test_validators_refuse_it_and_vote_when_it_is_mended(fleet, tmp_path):
    cid, block = registered(fleet, tmp_path, "judged")
    job = fleet.client.train("judged", "judged", BAYES, partitions=1)
    # While the worker trains, the validators have read nothing yet: they are held until it is done.
    fleet.when(job, lambda document: bool(fleet.trained(job)))
    validators = [process for name, process in fleet.look().items() if name.startswith("validator")]
    assert len(validators) == 4
    for validator in validators:
        validator.send_signal(signal.SIGSTOP)
    try:
        fleet.when(job, lambda document: document["state"] == "voting")
        flip(block)
    finally:
        for validator in validators:
            validator.send_signal(signal.SIGCONT)
    document = fleet.when(job, lambda found: len(found["votes"]) == 4)
    for vote in document["votes"]:
        assert vote["decision"] == "unavailable"
        assert cid in vote["reason"]
        assert str(fleet.folder.store) in vote["reason"]
    assert document["state"] == "voting", "nothing is adopted on data that nobody could check"
    flip(block)
    document = fleet.closed(job)
    assert (document["state"], document["adopted"]) == ("adopted", True)


def test_a_dataset_that_is_gone_is_named_while_the_job_waits_and_when_it_ends(fleet, tmp_path):
    cid, block = registered(fleet, tmp_path, "vanished")
    block.unlink()
    job = fleet.client.train("vanished", "vanished", BAYES, partitions=2, deadline=10)
    document = fleet.when(job, lambda found: all(part["error"] for part in found["partitions"]))
    assert document["state"] == "training"
    assert document["waiting_for"] is not None
    for part in document["partitions"]:
        assert cid in part["error"]
        assert str(fleet.folder.store) in part["error"]
    document = fleet.closed(job)
    assert document["state"] == "expired"
    assert cid in document["reason"]
    assert str(fleet.folder.store) in document["reason"]


def log_of(fleet, job: str, event: str) -> list[str]:
    """The lines of blockchain.log about a job's events of a kind."""
    lines = fleet.folder.blockchain_log.read_text().splitlines()
    return [line for line in lines if f"event={event}" in line and job in line]
