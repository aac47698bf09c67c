"""A validator's memory of its votes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from chain.transactions import VoteCheckpoint
from chain.voting import VoteFile, VoteFileError, VoteRefusedError
from tests.chain.simulation.drive import STEPS, Drive
from tests.chain.simulation.members import Crash

VALIDATOR = "0x" + "a" * 40


def vote(source: int, target: int) -> VoteCheckpoint:
    return VoteCheckpoint(f"{source:064x}", source, f"{target:064x}", target)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    VoteFile(tmp_path / "votes.json", VALIDATOR, create=True).close()
    return tmp_path / "votes.json"


def test_a_vote_is_on_the_disk_when_record_returns(path: Path) -> None:
    with VoteFile(path, VALIDATOR) as file:
        assert file.last is None
        file.record(vote(0, 1))
        assert json.loads(path.read_text())["vote"]["target_height"] == 1
    with VoteFile(path, VALIDATOR) as file:
        assert file.last == vote(0, 1)


def test_it_is_synced_before_record_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), sync(descriptor))[1])
    with VoteFile(path, VALIDATOR) as file:
        synced.clear()
        file.record(vote(0, 1))
    assert len(synced) == 2, "the file and its folder"


@pytest.mark.parametrize("second", [(1, 3), (2, 3), (0, 9), (2, 2), (5, 4)])
def test_a_vote_that_breaks_the_rules_is_refused_and_not_written(path: Path, second: tuple[int, int]) -> None:
    with VoteFile(path, VALIDATOR) as file:
        file.record(vote(1, 3))
        if second == (1, 3):
            file.record(vote(1, 3))  # the same again is the same vote, and may be sent again
        else:
            with pytest.raises(VoteRefusedError, match="higher target"):
                file.record(vote(*second))
        assert file.last == vote(1, 3)
    with VoteFile(path, VALIDATOR) as file:
        assert file.last == vote(1, 3)


def test_what_cannot_be_written_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError("no space left")

    with VoteFile(path, VALIDATOR) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(OSError, match="no space left"):
                file.record(vote(0, 1))
        assert file.last is None


def test_one_process_holds_the_file(path: Path) -> None:
    script = "import sys; from chain.voting import VoteFile; VoteFile(sys.argv[1], sys.argv[2])"
    with VoteFile(path, VALIDATOR):
        with pytest.raises(VoteFileError, match=f"in use by process {os.getpid()}"):
            VoteFile(path, VALIDATOR)
        root = Path(__file__).resolve().parents[2]
        other = subprocess.run(
            [sys.executable, "-c", script, path, VALIDATOR], capture_output=True, text=True, check=False, cwd=root
        )
        assert other.returncode == 1
        assert f"in use by process {os.getpid()}" in other.stderr
    VoteFile(path, VALIDATOR).close()


def test_a_lost_file_means_a_new_key(path: Path) -> None:
    path.unlink()
    with pytest.raises(VoteFileError, match="make a new key"):
        VoteFile(path, VALIDATOR)


def test_a_file_is_not_started_anew_over_an_old_one(path: Path) -> None:
    with pytest.raises(VoteFileError, match="exists"):
        VoteFile(path, VALIDATOR, create=True)


def test_another_key_s_file_is_refused(path: Path) -> None:
    with pytest.raises(VoteFileError, match="expected the votes of 0xbbbb"):
        VoteFile(path, "0x" + "b" * 40)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 2, "validator": "x", "genesis": null, "vote": 3}', "\0"]
)
def test_a_damaged_file_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(VoteFileError, match="is not this validator's vote file"):
        VoteFile(path, VALIDATOR)


def test_after_closing_nothing_is_recorded(path: Path) -> None:
    file = VoteFile(path, VALIDATOR)
    file.close()
    with pytest.raises(VoteFileError, match="closed"):
        file.record(vote(0, 1))


@pytest.mark.parametrize("step", STEPS)
def test_what_was_sent_is_remembered_whenever_the_process_and_the_power_go(step: str) -> None:
    """A vote cut short at each step, by a kill; sent by the next process, where it finds it; then the power goes."""
    for seed in range(40):
        drive, path = Drive(random.Random(seed)), Path("/votes.json")
        VoteFile(path, VALIDATOR, create=True, files=drive).close()
        with VoteFile(path, VALIDATOR, files=drive) as file:
            file.record(vote(0, 1))
        drive.restart(power=False)
        file = VoteFile(path, VALIDATOR, files=drive)
        drive.dies = step
        with pytest.raises(Crash):
            file.record(vote(1, 2))
        drive.restart(power=False)
        sent = VoteFile(path, VALIDATOR, files=drive).last
        drive.restart(power=True)
        assert VoteFile(path, VALIDATOR, files=drive).last == sent


@pytest.mark.parametrize("step", STEPS)
def test_a_write_cut_short_by_the_power_leaves_the_old_vote_or_the_new_one(step: str) -> None:
    found = set()
    for seed in range(40):
        drive, path = Drive(random.Random(seed)), Path("/votes.json")
        VoteFile(path, VALIDATOR, create=True, files=drive).close()
        with VoteFile(path, VALIDATOR, files=drive) as file:
            file.record(vote(0, 1))
            drive.dies = step
            with pytest.raises(Crash):
                file.record(vote(1, 2))
        drive.restart(power=True)
        found.add(VoteFile(path, VALIDATOR, files=drive).last)
    assert found == {"named": {vote(0, 1), vote(1, 2)}, "kept": {vote(1, 2)}}.get(step, {vote(0, 1)})


def test_votes_of_one_network_are_not_taken_for_those_of_another(path: Path) -> None:
    one, other = "a" * 64, "b" * 64
    with VoteFile(path, VALIDATOR) as file:
        file.bind(one)
        file.record(vote(0, 1))
        with pytest.raises(VoteFileError, match="on the network of genesis aaa"):
            file.bind(other)
    with VoteFile(path, VALIDATOR) as file:
        file.bind(one)
        with pytest.raises(VoteFileError, match="a folder of its own"):
            file.bind(other)
    path.write_text(path.read_text().replace(one, "nothing"))
    with pytest.raises(VoteFileError, match="id of a genesis block"):
        VoteFile(path, VALIDATOR)
