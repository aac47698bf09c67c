"""The record of votes on candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from validators.ballots import Ballots
from validators.judge import unable


@pytest.fixture
def voting(iris: Any) -> Any:
    return iris.work(iris.open())


def signed(lab: Any, job: Any) -> Any:
    vote = unable(job, lab.state.models["iris"], lab.environment, MemoryError())
    return lab.prepare(vote, lab.validators[0])


def test_a_vote_that_was_recorded_comes_back_byte_for_byte_also_after_a_restart(iris: Any, voting: Any) -> None:
    ballots = Ballots(iris.folder / "ballots")
    assert ballots.cast(voting, 0) is None
    vote = signed(iris, voting)
    ballots.record(vote)
    again = Ballots(iris.folder / "ballots").cast(voting, 0)
    assert again is not None
    assert again.data == vote.data


def test_it_is_a_vote_on_exactly_this_candidate_and_its_record(iris: Any, voting: Any) -> None:
    ballots = Ballots(iris.folder / "ballots")
    ballots.record(signed(iris, voting))
    assert ballots.cast(voting, 1) is None
    assert ballots.cast(replace(voting, attempt=1), 0) is None
    assert ballots.cast(replace(voting, seed="0" * 64), 0) is None, "another record"
    assert ballots.cast(replace(voting, candidate=None), 0) is None


def test_a_damaged_file_counts_as_none(iris: Any, voting: Any) -> None:
    ballots = Ballots(iris.folder / "ballots")
    ballots.record(signed(iris, voting))
    (file,) = (iris.folder / "ballots").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert ballots.cast(voting, 0) is None


def test_only_votes_on_models_are_ballots(iris: Any) -> None:
    from chain.transactions import Transfer

    transfer = iris.prepare(Transfer(iris.bob.address, 1), iris.alice)
    with pytest.raises(TypeError, match="transfer"):
        Ballots(iris.folder / "ballots").record(transfer)
