"""From a replay to a vote: every vote that comes out is one that the chain accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InvalidTransaction
from chain.state import Vote
from ipfs.errors import ContentCorrupt, ContentMissing, InvalidCid, StoreUnavailable
from learning.errors import InvalidData, InvalidSpec, LearningError, WrongEnvironment
from validators.judge import Judgement, due, judge, plain, stands, unable
from validators.replay import Check, Replay, Unworkable

texts = st.text(max_size=1500) | st.text("\x00\n\t\ud800…é", max_size=300)


@pytest.fixture(scope="module")
def stage(lab_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab with a job that is voting: two rounds, a second aggregate beside the candidate, a version in service."""
    lab = lab_module.Lab(tmp_path_factory.mktemp("stage")).register(
        environments=(lab_module.Hash(lab_module.environment_id()), lab_module.OTHER_ENVIRONMENT)
    )
    first = lab.work(lab.open())
    lab.adopt(first)
    job = lab.work(lab.open(lab_module.LOGISTIC, rounds=2))
    lab.send(lab.honest_aggregate(job, 1), lab.bob)
    lab.voting = lab.now(job)
    return lab


@st.composite
def judgements(draw: st.DrawFn, job: Any) -> Judgement:
    """What a replay could bring: any statement true, false, foreign or never reached."""
    checks, foreign = list[Check](), list[str]()
    for round_ in job.round_list:
        for place in round_.partitions:
            fate = draw(st.sampled_from(["true", "true", "true", "false", "foreign"]))
            update = place.update
            problem = draw(texts.filter(bool)) if fate == "false" else ""
            if fate == "foreign":
                foreign.append(update.id)
            else:
                checks.append(
                    Check(update.id, "update", update.worker, round_.index, place.index, update.artifact, None, problem)
                )
        for one in round_.aggregates:
            fate = draw(st.sampled_from(["true", "true", "true", "false", "beside", "foreign"]))
            problem = draw(texts.filter(bool)) if fate in ("false", "beside") else ""
            if fate == "foreign":
                foreign.append(one.id)
            else:
                counts = fate != "beside"
                checks.append(
                    Check(one.id, "aggregate", one.sender, round_.index, None, one.artifact, None, problem, counts)
                )
        if draw(st.integers(0, 9)) == 0:
            break
    true = not foreign and all(check.matches for check in checks)
    score = job.candidate.score if true else draw(st.none() | st.just(job.candidate.score))
    baseline = draw(st.none() | st.integers(-(10**9), 10**9))
    return Judgement(Replay(tuple(checks), tuple(foreign), b"" if score is not None else None, score), baseline)


errors = st.one_of(
    st.builds(ContentMissing, st.sampled_from(["", "no cid", "bafkqaaa"]), texts, texts),
    st.builds(ContentCorrupt, st.just("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"), texts, texts),
    st.builds(ContentMissing, st.just("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"), texts, texts),
    st.builds(InvalidCid, texts, texts, texts),
    st.builds(StoreUnavailable, st.just(""), texts, texts),
    *(st.builds(kind, texts) for kind in (InvalidData, InvalidSpec, WrongEnvironment, Unworkable)),
)


def accepted(lab: Any, vote: Any) -> Vote:
    """The vote as the chain takes it; fails where it does not."""
    signed = lab.prepare(vote, lab.validators[0])
    signed = type(signed).decode(signed.data)
    before, ids = lab.state, list(lab.ids)
    try:
        lab.block(signed)
        return next(v for v in lab.now(lab.voting).votes if v.validator == lab.validators[0].address)
    except InvalidTransaction as error:
        raise AssertionError(f"the chain refuses {vote}: {error}") from error
    finally:
        lab.state, lab.ids = before, ids


def vote_of(lab: Any, examine: Callable[[], Judgement], environment: str | None = None) -> Any:
    return judge(lab.voting, lab.state.models["iris"], environment or lab.environment, examine)


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_whatever_a_replay_brings_the_chain_accepts_the_vote(stage: Any, data: st.DataObject) -> None:
    judgement = data.draw(judgements(stage.voting))
    vote = vote_of(stage, lambda: judgement)
    accepted(stage, vote)
    replay = judgement.replay
    if vote.decision == "approve":
        assert vote.replayed == stage.voting.update_ids
        assert not replay.disproved
        assert not replay.foreign
        assert vote.score - vote.baseline >= stage.state.models["iris"].minimum_improvement
    if replay.disproved:
        assert vote.decision == "reject"
        assert set(vote.disproved) == {check.id for check in replay.false}


@given(error=errors)
@settings(deadline=None, max_examples=100)
def test_whatever_keeps_it_from_a_replay_the_chain_accepts_the_vote(stage: Any, error: Exception) -> None:
    def examine() -> Judgement:
        raise error

    vote = vote_of(stage, examine)
    accepted(stage, vote)
    about_the_job = isinstance(error, Unworkable | LearningError) and not isinstance(error, WrongEnvironment)
    assert vote.decision == ("reject" if about_the_job else "unavailable")
    assert vote.disproved == (), "the workers are not who registered it"


@given(message=texts)
@settings(deadline=None, max_examples=50)
def test_a_validator_that_is_unable_says_so_in_the_job(stage: Any, message: str) -> None:
    for error in (MemoryError(message), RuntimeError(message), MemoryError()):
        vote = unable(stage.voting, stage.state.models["iris"], stage.environment, error)
        assert accepted(stage, vote).reason.startswith(f"this validator could not judge: {type(error).__name__}")


def test_an_environment_that_is_none_of_the_model_s_makes_no_judgement(stage: Any) -> None:
    vote = vote_of(stage, lambda: pytest.fail("it must not try"), "0" * 64)
    assert accepted(stage, vote).decision == "unavailable"


def test_missing_content_is_named_with_who_was_asked(stage: Any) -> None:
    cid = stage.state.models["iris"].statistics

    def examine() -> Judgement:
        raise ContentMissing(cid, "embedded store /srv", "it is not here")

    vote = accepted(stage, vote_of(stage, examine))
    assert (vote.decision, vote.missing, vote.asked) == ("unavailable", (cid,), "embedded store /srv")
    assert cid in vote.reason


def honest(stage: Any, baseline: int | None) -> Judgement:
    checks = [
        Check(u.id, "update", u.worker, r.index, p.index, u.artifact, u.artifact, "")
        for r in stage.voting.round_list
        for p in r.partitions
        if (u := p.update)
    ]
    return Judgement(Replay(tuple(checks), (), b"", stage.voting.candidate.score), baseline)


@pytest.mark.parametrize(("gain", "decision"), [(0, "approve"), (1, "approve"), (-1, "reject")])
def test_the_version_in_service_is_the_bar(stage: Any, gain: int, decision: str) -> None:
    vote = vote_of(stage, lambda: honest(stage, stage.voting.candidate.score - gain))
    assert accepted(stage, vote).decision == decision
    assert vote.disproved == ()
    assert f"needed at least {0:+.6f}" in vote.reason


def test_without_its_score_nothing_is_approved(stage: Any) -> None:
    assert vote_of(stage, lambda: honest(stage, None)).decision == "unavailable"


def test_a_vote_is_due_until_one_stands_that_decides(stage: Any) -> None:
    job, model, me = stage.voting, stage.state.models["iris"], stage.validators[0].address
    assert due(job, model, me)

    def examine() -> Judgement:
        raise ContentMissing("", "", "")

    unavailable = accepted(stage, vote_of(stage, examine))
    assert due(replace(job, votes=(unavailable,)), model, me), "it may be replaced"
    decided = accepted(stage, vote_of(stage, lambda: honest(stage, 0)))
    assert not due(replace(job, votes=(decided,)), model, me)
    assert due(replace(job, votes=(decided,)), model, stage.validators[1].address)
    assert due(replace(job, votes=(replace(decided, attempt=1),)), model, me)
    assert due(replace(job, votes=(replace(decided, compared=0),)), model, me)
    assert not stands(replace(decided, candidate="bafkqaaa"), job, model)
    assert not due(replace(job, state="training"), model, me)


@given(text=st.text(), limit=st.integers(1, 40))
def test_a_reason_is_one_line_that_can_be_encoded(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert len(line) <= limit
    assert "\n" not in line
    line.encode()
