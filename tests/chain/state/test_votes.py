"""Votes on candidates and what a quorum of them does."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from chain.encoding import Link, encode
from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, NotYet
from chain.state import next_deadline, record_digest


def test_three_of_four_approvals_adopt_the_candidate(registered: Any) -> None:
    job = registered.candidate()
    registered.votes(job, "approve", 2)
    assert registered.get(job).state == "voting"
    registered.do(registered.validators[2], registered.vote(job))
    adopted = registered.get(job)
    version = registered.state.versions["flowers@1"]
    assert (adopted.state, adopted.version, adopted.reason) == ("adopted", 1, None)
    assert version.candidate == adopted.candidate.artifact
    assert version.approvals == tuple(key.address for key in registered.validators[:3])
    assert (version.rows, version.replaces, version.baseline, version.verified_by) == (120, 0, None, "replay")
    assert (registered.policy().in_service, registered.policy().versions) == (1, 1)
    assert next_deadline(registered.state) is None


def test_a_late_vote_is_refused(registered: Any) -> None:
    job = registered.candidate()
    late = registered.vote(job)
    registered.votes(job, "approve")
    registered.refuse(Conflict, registered.validators[3], late)


def test_who_is_no_validator_has_no_vote(registered: Any) -> None:
    job = registered.candidate()
    for nobody in ("owner", "alice", "mallory"):
        registered.refuse(Forbidden, nobody, registered.vote(job))


def test_a_validator_votes_once(registered: Any) -> None:
    job = registered.candidate()
    registered.do(registered.validators[0], registered.vote(job))
    registered.refuse(Duplicate, registered.validators[0], registered.vote(job))
    registered.refuse(Conflict, registered.validators[0], registered.vote(job, "reject"))
    registered.refuse(Conflict, registered.validators[0], registered.vote(job, "unavailable"))


@pytest.mark.parametrize("later", ["approve", "reject"])
def test_unavailable_is_replaced_by_one_later_vote(registered: Any, later: str) -> None:
    job = registered.candidate()
    registered.do(registered.validators[0], registered.vote(job, "unavailable"))
    registered.refuse(Duplicate, registered.validators[0], registered.vote(job, "unavailable"))
    registered.do(registered.validators[0], registered.vote(job, later))
    assert [vote.decision for vote in registered.get(job).votes] == [later]


def test_a_vote_waits_for_its_candidate(registered: Any) -> None:
    vote = registered.vote(registered.candidate())
    registered.refuse(NotYet, registered.validators[0], replace(vote, job=registered.open()))
    other = registered.candidate()
    registered.refuse(NotYet, registered.validators[0], registered.vote(other, attempt=1))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"record": "0" * 64}, Conflict),
        ({"score": 930_001}, InvalidField),
        ({"replayed": "fewer"}, InvalidField),
        ({"replayed": "reversed"}, InvalidField),
        ({"replayed": "strange"}, InvalidField),
        ({"environment": "f" * 64}, InvalidField),
        ({"compared": 1, "baseline": 0}, NotYet),
        ({"mode": "none"}, InvalidField),
        ({"score": None}, InvalidField),
        ({"baseline": 1}, InvalidField),
    ],
)
def test_an_approval_is_of_exactly_what_stands(
    registered: Any, content: Any, fields: dict[str, Any], error: type[Exception]
) -> None:
    job = registered.candidate()
    ids = registered.get(job).update_ids
    lists = {"fewer": ids[:1], "reversed": ids[::-1], "strange": (*ids, content("strange"))}
    if "replayed" in fields:
        fields = {"replayed": lists[fields["replayed"]]}
    registered.refuse(error, registered.validators[0], registered.vote(job, **fields))


def test_a_vote_names_the_candidate_that_is_up(registered: Any, content: Any) -> None:
    job = registered.candidate()
    registered.refuse(Conflict, registered.validators[0], registered.vote(job, candidate=content("other")))


def test_only_items_of_the_job_are_disproved(registered: Any, content: Any) -> None:
    job = registered.candidate()
    strange = (content("strange"),)
    registered.refuse(InvalidField, registered.validators[0], registered.vote(job, "reject", disproved=strange))


@pytest.mark.parametrize(
    ("direction", "score", "improvement", "accepted"),
    [
        (1, 930_000, 30_000, True),
        (1, 930_000, 30_001, False),
        (-1, 930_000, -30_000, True),
        (-1, 930_000, -29_999, False),
    ],
)
def test_an_approval_needs_the_minimum_improvement_over_the_baseline(
    chain: Any, direction: int, score: int, improvement: int, accepted: bool
) -> None:
    chain.register(direction=direction, minimum_improvement=improvement)
    chain.votes(chain.candidate(), "approve")  # without a baseline: always
    job = chain.candidate()
    vote = chain.vote(job, baseline=900_000)
    assert vote.score == score
    if accepted:
        chain.do(chain.validators[0], vote)
    else:
        chain.refuse(InvalidField, chain.validators[0], vote)


def test_versions_count_up_and_say_what_they_replace(registered: Any) -> None:
    for number in (1, 2, 3):
        registered.votes(registered.candidate(), "approve")
        version = registered.state.versions[f"flowers@{number}"]
        assert (version.number, version.replaces) == (number, number - 1)
        assert version.baseline == (None if number == 1 else 900_000)
    assert registered.policy().in_service == 3


def test_when_another_version_goes_into_service_the_candidate_is_voted_on_again(registered: Any) -> None:
    first, second = registered.candidate(), registered.candidate()
    old = registered.vote(second)
    registered.votes(second, "approve", 2)
    registered.votes(first, "approve")
    again = registered.get(second)
    assert (again.state, again.votes) == ("voting", ())
    assert again.vote_deadline == registered.time + 60_000
    registered.refuse(NotYet, registered.validators[3], old)
    registered.votes(second, "approve")
    assert registered.get(second).version == 2


def test_votes_on_other_models_are_not_touched(registered: Any) -> None:
    registered.do("owner", registered.model("others"))
    first, second = registered.candidate(), registered.candidate(model="others")
    registered.votes(second, "approve", 2)
    registered.votes(first, "approve")
    assert len(registered.get(second).votes) == 2


def test_a_quorum_of_rejections_ends_the_job_with_their_reasons(registered: Any) -> None:
    registered.votes(registered.candidate(), "approve")
    job = registered.candidate(attempts=8)
    registered.votes(job, "reject")
    rejected = registered.get(job)
    assert rejected.state == "rejected"
    assert rejected.reason == "3 of 4 validators rejected the candidate: reject because"
    assert registered.policy().in_service == 1, "the earlier version stays"


def test_split_votes_wait_for_the_deadline_which_says_who_voted_how(registered: Any, content: Any) -> None:
    job = registered.candidate()
    registered.votes(job, "approve", 2)
    registered.do(registered.validators[2], registered.vote(job, "unavailable"))
    registered.wait(70_000)
    expired = registered.get(job)
    assert expired.state == "expired"
    assert f"no vote from {registered.validators[3].address}" in expired.reason
    assert content("lost") in expired.reason
    assert "asked here" in expired.reason
    assert len(expired.update_ids) == 2, "updates are kept"


def disprove(chain: Any, job: str, *items: str) -> None:
    chain.votes(job, "reject", disproved=items, replayed=())


def test_what_a_quorum_disproves_is_removed_and_its_sender_barred(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    bad, good = registered.get(job).update_ids
    disprove(registered, job, bad)
    retried = registered.get(job)
    assert (retried.state, retried.attempt, retried.candidate) == ("training", 1, None)
    partitions = retried.round_list[0].partitions
    assert (partitions[0].update, partitions[0].removed) == (None, (bad,))
    assert partitions[1].update.id == good, "the rest is kept"
    assert retried.barred == (registered.address("alice"),)
    assert retried.round_list[0].deadline == registered.time + 60_000
    registered.refuse(Forbidden, "alice", registered.claiming(job, 0))
    registered.train("carol", job, 0)
    registered.refuse(Forbidden, "alice", registered.aggregate(job))
    registered.do("bob", registered.aggregate(job, "second"))
    registered.votes(job, "approve")
    assert registered.state.versions["flowers@1"].attempt == 1


def test_what_less_than_a_quorum_names_is_not_removed(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    bad, _ = registered.get(job).update_ids
    for number, items in enumerate([(bad,), (bad,), ()]):
        registered.do(registered.validators[number], registered.vote(job, "reject", disproved=items))
    rejected = registered.get(job)
    assert (rejected.state, rejected.barred) == ("rejected", ())
    assert rejected.update_ids == registered.get(job).update_ids


def test_in_the_last_attempt_what_was_disproved_is_shown_as_removed(registered: Any) -> None:
    job = registered.candidate()
    bad, _ = registered.get(job).update_ids
    disprove(registered, job, bad)
    rejected = registered.get(job)
    partition = rejected.round_list[0].partitions[0]
    assert rejected.state == "rejected"
    assert (partition.update.id, partition.removed) == (bad, (bad,))
    assert rejected.barred == (registered.address("alice"),)


def test_the_next_standing_aggregate_becomes_the_candidate(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    bad = registered.get(job).candidate
    registered.do("bob", registered.aggregate(job, "another"))
    assert registered.get(job).candidate == bad
    disprove(registered, job, bad.id)
    voting = registered.get(job)
    assert (voting.state, voting.attempt, voting.candidate.sender) == ("voting", 1, registered.address("bob"))
    assert voting.round_list[0].removed == (bad.id,)
    assert voting.vote_deadline == registered.time + 60_000
    registered.votes(job, "approve")
    assert registered.get(job).state == "adopted"


def test_without_another_aggregate_one_is_awaited_anew(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    bad = registered.get(job).candidate
    disprove(registered, job, bad.id)
    waiting = registered.get(job)
    assert waiting.state == "training"
    assert (waiting.round_list[0].closed, waiting.round_list[0].aggregates) == (registered.time, ())
    registered.do("bob", registered.aggregate(job, "another"))
    assert registered.get(job).state == "voting"


def test_a_disproved_update_takes_with_it_all_that_was_built_on_it(registered: Any) -> None:
    job = registered.candidate(rounds=3, attempts=2)
    before = registered.get(job)
    bad = before.round_list[1].updates[0].id
    disprove(registered, job, bad)
    after = registered.get(job)
    assert len(after.round_list) == 2, "the third round begins again after the second"
    assert after.round_list[0] == before.round_list[0]
    assert after.round_list[1].aggregates == ()
    assert [update.id for update in after.round_list[1].updates] == [before.round_list[1].updates[1].id]
    assert after.barred == (registered.address("alice"),)


def test_a_disproved_aggregate_takes_the_updates_based_on_it_and_leaves_the_others(registered: Any) -> None:
    job = registered.open(rounds=2, attempts=2)
    registered.train("alice", job, 0)
    registered.train("bob", job, 1)
    good = registered.aggregate(job, "good")
    registered.do("alice", registered.aggregate(job, "bad"))
    registered.do("bob", good)
    registered.train("alice", job, 0)  # on the first aggregate
    registered.claim("bob", job, 1)
    kept = registered.do("bob", registered.update(job, 1, base=good.artifact))
    registered.do("bob", registered.aggregate(job))
    disprove(registered, job, registered.get(job).round_list[0].aggregates[0].id)
    after = registered.get(job)
    assert after.state == "training"
    assert [update.id for update in after.round_list[1].updates] == [kept]
    assert after.round_list[1].closed is None
    assert len(after.round_list[0].aggregates) == 1
    registered.train("carol", job, 0)
    registered.do("carol", registered.aggregate(job, "fresh"))
    registered.votes(job, "approve")
    assert registered.get(job).state == "adopted"


def test_votes_of_an_earlier_attempt_count_no_more(registered: Any) -> None:
    job = registered.candidate(attempts=3)
    registered.do(registered.validators[3], registered.vote(job))
    old = registered.vote(job)
    disprove(registered, job, registered.get(job).candidate.id)
    registered.do("bob", registered.aggregate(job, "another"))
    registered.refuse(Conflict, registered.validators[0], old)
    registered.votes(job, "approve", 2)
    assert registered.get(job).state == "voting"
    assert len(registered.get(job).votes) == 6, "and are kept"


def test_the_record_binds_seed_updates_bases_and_candidate(registered: Any) -> None:
    job = registered.get(registered.candidate(rounds=2))
    base = Link(job.round_list[0].aggregates[0].artifact)
    first, second = ([Link(update.id) for update in round_.updates] for round_ in job.round_list)
    record = [
        job.seed,
        [[[item, None] for item in first], [[item, base] for item in second]],
        Link(job.candidate.id),
    ]
    assert record_digest(job) == hashlib.sha256(encode(record)).hexdigest()
    with pytest.raises(ValueError, match="no candidate"):
        record_digest(replace(job, candidate=None))


def test_who_repeats_what_was_disproved_gets_no_attempt_of_its_own(registered: Any) -> None:
    job = registered.candidate(attempts=3)
    false = registered.get(job).candidate
    registered.do("bob", registered.aggregate(job))  # the same artifact and score as the candidate
    disprove(registered, job, false.id)
    waiting = registered.get(job)
    assert (waiting.state, waiting.round_list[0].aggregates) == ("training", ())
    assert len(waiting.round_list[0].removed) == 2


def test_a_true_aggregate_outlives_one_that_lied_about_its_score(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    boast = registered.get(job).candidate
    registered.do("bob", registered.aggregate(job, score=boast.score - 1))
    disprove(registered, job, boast.id)
    voting = registered.get(job)
    assert (voting.state, voting.candidate.artifact) == ("voting", boast.artifact)


def test_one_validator_s_baseline_does_not_become_the_version_s(registered: Any) -> None:
    registered.votes(registered.candidate(), "approve")
    job = registered.candidate()
    for validator, baseline in zip(registered.validators, (1, 900_000, 900_000), strict=False):
        registered.do(validator, registered.vote(job, baseline=baseline))
    assert registered.state.versions["flowers@2"].baseline == 900_000


def test_a_vote_that_names_thousands_of_items_is_a_short_event(registered: Any) -> None:
    job = registered.candidate(partitions=20, minimum_updates=20)
    registered.do(registered.validators[0], registered.vote(job, "reject", disproved=registered.get(job).update_ids))
    (event,) = [event for event in registered.events if event.kind == "vote"]
    assert event.fields["disproved"].endswith(",+4")
    assert event.fields["disproved"].count(",") == 16


def test_a_vote_whose_record_has_changed_counts_nowhere(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    stale = registered.vote(job)
    disprove(registered, job, registered.get(job).update_ids[0])
    registered.train("carol", job, 0)
    registered.do("bob", registered.aggregate(job))
    registered.refuse(Conflict, registered.validators[3], stale)
    registered.refuse(Conflict, registered.validators[3], registered.vote(job, record=stale.record))
    assert registered.get(job).votes[-1].attempt == 0


def test_no_block_adopts_with_less_than_a_quorum_however_votes_are_ordered_or_repeated(registered: Any) -> None:
    job = registered.candidate()
    first, second = registered.validators[:2]
    registered.mine(registered.sign(second, registered.vote(job)), registered.sign(first, registered.vote(job)))
    for validator in (first, second):
        registered.refuse(Duplicate, validator, registered.vote(job))
    for sender in ("owner", "alice"):
        registered.refuse(Forbidden, sender, registered.vote(job))
    assert (registered.get(job).state, registered.policy().in_service) == ("voting", 0)


def test_attempts_run_out(registered: Any) -> None:
    job = registered.candidate(attempts=2)
    disprove(registered, job, registered.get(job).candidate.id)
    registered.do("bob", registered.aggregate(job, "again"))
    disprove(registered, job, registered.get(job).candidate.id)
    assert (registered.get(job).state, registered.get(job).attempt) == ("rejected", 1)


def test_when_everybody_who_could_aggregate_is_barred_the_deadline_ends_the_job(registered: Any) -> None:
    job = registered.candidate(attempts=3)
    disprove(registered, job, registered.get(job).candidate.id)
    registered.do("bob", registered.aggregate(job, "again"))
    disprove(registered, job, registered.get(job).candidate.id)
    for worker in ("alice", "bob", "carol"):
        registered.refuse(Forbidden, worker, registered.aggregate(job, "once more"))
    registered.wait(59_999)
    assert registered.get(job).state == "training"
    registered.wait(1)
    assert registered.get(job).state == "expired"
    assert next_deadline(registered.state) is None
