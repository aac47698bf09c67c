"""The validator as a service: on a real node, and when something in it cannot go on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from chain.schema import Hash
from chain.transactions import VoteCheckpoint
from chain.voting import VoteFileError
from chain.wallets import Wallets
from runtime.files import Files
from validators import service
from validators.service import ValidatorSettings


class Disk(Files):
    """The system's disk, which remembers what was synced, and fails at one file."""

    def __init__(self) -> None:
        self.synced: list[Path] = []
        self.broken: Path | None = None

    def sync(self, path: Path) -> None:
        if path == self.broken:
            raise OSError("no disk")
        super().sync(path)
        self.synced.append(path)


def test_four_of_them_adopt_a_job_and_make_it_final(network: Any) -> None:
    job = network.job()
    network.work(job)
    adopted = network.final(job)
    assert adopted.state == "adopted"
    assert {vote.decision for vote in adopted.votes} == {"approve"}
    assert network.node.version("iris", adopted.version).candidate == adopted.candidate.artifact
    for number in range(4):
        assert (network.folder / f"validator-{number}" / "checkpoints.json").exists()


def settings_of(network: Any, folder: Path, wallet: str = "validator-0") -> ValidatorSettings:
    return ValidatorSettings(
        "other", network.node.url, network.lab.where, network.folder / "wallets", wallet, folder, folder / "cache"
    )


def test_a_key_votes_in_one_process(network: Any) -> None:
    with pytest.raises(VoteFileError, match="in use by process"):
        service.run(settings_of(network, network.folder / "validator-0"), threading.Event())


def test_a_key_that_voted_does_not_vote_without_its_file(network: Any, tmp_path: Path) -> None:
    with pytest.raises(VoteFileError, match="is missing"):
        service.run(settings_of(network, tmp_path), threading.Event())


@pytest.mark.parametrize("again", [False, True])
def test_that_a_key_votes_is_on_the_disk_before_it_can(tmp_path: Path, again: bool) -> None:
    key, wallets = Wallets(tmp_path / "wallets").create("a"), tmp_path / "wallets"
    settings = ValidatorSettings("a", "", "", wallets, "a", tmp_path / "a", tmp_path / "cache")
    settings.folder.mkdir()
    marker = wallets / ".a.voted"
    if again:  # a crash has lost the marker, and left the file
        service._vote_file(settings, key).close()
        marker.unlink()
    disk = Disk()
    service._vote_file(settings, key, disk).close()
    assert disk.synced[-2:] == [marker, wallets]

    marker.unlink()
    disk.broken = marker
    with pytest.raises(OSError, match="no disk"):
        service._vote_file(settings, key, disk)
    service._vote_file(settings, key).close()  # and it is not left locked


@pytest.mark.parametrize("thread", ["_judge", "_follow"])
def test_when_judging_or_following_ends_the_service_ends_and_says_why(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, thread: str
) -> None:
    Wallets(network.folder / "wallets").ensure(f"another-{thread}")

    def ends(*_: object) -> None:
        raise RuntimeError("it came to an end")

    monkeypatch.setattr(service, thread, ends)
    stop = threading.Event()
    assert service.run(settings_of(network, tmp_path, f"another-{thread}"), stop) == 1
    assert stop.is_set()
    assert "it came to an end" in caplog.text


def test_a_node_of_another_network_ends_it_with_the_reason_alone(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Wallets(network.folder / "wallets").ensure("of-another-network")
    settings = settings_of(network, tmp_path, "of-another-network")
    settings.folder.mkdir(exist_ok=True)
    with service._vote_file(settings, Wallets(settings.wallets).load(settings.wallet)) as votes:
        votes.bind("ef" * 32)
        votes.record(VoteCheckpoint(Hash("ef" * 32), 0, Hash("ab" * 32), 1))
    monkeypatch.setattr(service, "_judge", lambda *given: given[-1].wait())
    assert service.run(settings, threading.Event()) == 1
    (ended,) = [each.getMessage() for each in caplog.records if each.levelname == "CRITICAL"]
    assert "name the node of that network" in ended
    assert "Traceback" not in ended
