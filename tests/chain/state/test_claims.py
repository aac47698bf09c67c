"""Leases on partitions and reports of failure."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import Conflict, Forbidden, InvalidField, NotYet
from chain.params import DEVELOPMENT
from chain.transactions import ClaimPartition, ReportFailure, Transfer

LEASE = DEVELOPMENT.lease_ms


def failing(chain: Any, job: str, partition: int | None = 0, **fields: Any) -> ReportFailure:
    values: dict[str, Any] = {"code": "invalid_data", "message": "no column flower", "cids": (), "asked": ""}
    return ReportFailure(**({**chain.at(job), "partition": partition} | values | fields))


def lease(chain: Any, job: str, partition: int = 0) -> Any:
    return chain.get(job).round_list[-1].partitions[partition].lease


def test_a_claim_is_a_lease_for_thirty_seconds_of_block_time(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    held = lease(registered, job)
    assert (held.worker, held.since, held.until) == (
        registered.address("alice"), registered.time, registered.time + 30_000,
    )  # fmt: skip


def test_a_job_is_claimed_from_the_block_on_that_draws_its_seed(registered: Any) -> None:
    job = registered.do("owner", registered.job())
    registered.claim("alice", job, 0)  # the next block draws it, and then takes its transactions
    assert lease(registered, job) is not None


def test_a_job_of_the_same_block_cannot_be_claimed_yet(registered: Any) -> None:
    opening = registered.sign("owner", registered.job())
    draft = registered.draft()
    draft.add(opening)
    claim = registered.sign("alice", ClaimPartition(opening.id, 0, 0, 0))
    with pytest.raises(NotYet, match="seed is drawn"):
        draft.add(claim)


def test_a_held_partition_is_not_taken(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.refuse(Conflict, "bob", registered.claiming(job, 0))
    registered.refuse(Conflict, "bob", registered.claiming(job, 0), after=LEASE - 1)


def test_the_holder_renews_also_a_lapsed_lease(registered: Any) -> None:
    job = registered.open(round_ms=10 * LEASE)
    registered.claim("alice", job, 0)
    first = lease(registered, job)
    registered.claim("alice", job, 0, after=LEASE + 5)
    renewed = lease(registered, job)
    assert renewed.since == first.since
    assert renewed.until == registered.time + LEASE
    assert registered.kinds().count("partition_claimed") == 1


def test_taking_a_lapsed_lease_bars_its_holder_and_releases_its_others(registered: Any) -> None:
    job = registered.open(round_ms=10 * LEASE)
    registered.claim("alice", job, 0)
    registered.claim("alice", job, 1)
    registered.claim("bob", job, 0, after=LEASE)
    assert lease(registered, job, 0).worker == registered.address("bob")
    assert lease(registered, job, 1) is None
    assert registered.get(job).barred == (registered.address("alice"),)
    registered.refuse(Forbidden, "alice", registered.claiming(job, 1))
    registered.refuse(Forbidden, "alice", registered.update(job, 0))


def test_a_worker_holds_few_leases_of_a_job(registered: Any) -> None:
    most = DEVELOPMENT.leases_per_worker
    job = registered.open(partitions=most + 1, minimum_updates=1, round_ms=10 * LEASE)
    for partition in range(most):
        registered.claim("alice", job, partition)
    registered.refuse(Forbidden, "alice", registered.claiming(job, most))
    registered.claim("alice", job, 0)
    registered.do("alice", registered.update(job, 0))
    registered.claim("alice", job, most)


def test_lapsed_leases_are_not_counted(registered: Any) -> None:
    most = DEVELOPMENT.leases_per_worker
    job = registered.open(partitions=most + 1, minimum_updates=1, round_ms=10 * LEASE)
    for partition in range(most):
        registered.claim("alice", job, partition)
    registered.claim("alice", job, most, after=LEASE + most)


def test_only_listed_workers_claim(chain: Any) -> None:
    chain.register(workers=(chain.address("alice"),))
    job = chain.open()
    chain.refuse(Forbidden, "bob", chain.claiming(job, 0))
    chain.claim("alice", job, 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"partition": 2}, InvalidField),
        ({"attempt": 1}, NotYet),
        ({"round": 1}, NotYet),
    ],
)
def test_a_claim_is_for_a_partition_of_the_present_attempt_and_round(
    registered: Any, fields: dict[str, int], error: type[Exception]
) -> None:
    job = registered.open(rounds=2)
    registered.refuse(error, "alice", registered.claiming(job, 0, **fields))


def test_a_round_that_is_over_is_not_claimed(registered: Any) -> None:
    job = registered.open(rounds=2)
    registered.train("alice", job, 0)
    registered.refuse(Conflict, "bob", registered.claiming(job, 0))
    registered.train("alice", job, 1)
    registered.refuse(Conflict, "bob", registered.claiming(job, 0))
    registered.do("alice", registered.aggregate(job))
    registered.refuse(Conflict, "bob", registered.claiming(job, 0, round=0))
    registered.claim("bob", job, 0)


def test_only_the_holder_reports_a_failure_and_so_releases_the_lease(registered: Any, content: Any) -> None:
    job = registered.open()
    registered.refuse(NotYet, "alice", failing(registered, job))
    registered.claim("alice", job, 0)
    registered.refuse(Forbidden, "bob", failing(registered, job))
    lost = content("lost block")
    registered.do("alice", failing(registered, job, code="unavailable", cids=(lost,), asked="127.0.0.1:5001"))
    partition = registered.get(job).round_list[0].partitions[0]
    assert partition.lease is None
    assert (partition.failures[0].cids, partition.failures[0].asked) == ((lost,), "127.0.0.1:5001")
    assert registered.events[-1].fields["asked"] == "127.0.0.1:5001"


def test_what_was_unavailable_may_be_tried_again_by_the_same_worker(registered: Any) -> None:
    job = registered.open()
    for _ in range(3):
        registered.claim("alice", job, 0)
        registered.do("alice", failing(registered, job, code="unavailable"))
    assert len(registered.get(job).round_list[0].partitions[0].failures) == 1, "only the newest is kept"
    assert registered.get(job).state == "training"


def test_a_worker_that_failed_for_good_leaves_the_partition_to_others(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.do("alice", failing(registered, job))
    registered.refuse(Forbidden, "alice", registered.claiming(job, 0))
    registered.claim("alice", job, 1)
    registered.train("bob", job, 0)


def test_two_workers_failing_for_good_on_one_partition_fail_the_job(registered: Any) -> None:
    job = registered.open()
    for worker in ("alice", "bob"):
        registered.claim(worker, job, 0)
        registered.do(worker, failing(registered, job))
    failed = registered.get(job)
    assert failed.state == "failed"
    assert "partition 0 of round 0 cannot be done" in failed.reason
    assert "no column flower" in failed.reason


def test_failures_on_different_partitions_do_not_add_up(registered: Any) -> None:
    job = registered.open()
    for partition, worker in enumerate(("alice", "bob")):
        registered.claim(worker, job, partition)
        registered.do(worker, failing(registered, job, partition))
    assert registered.get(job).state == "training"


def test_the_only_listed_worker_s_failure_fails_the_job(chain: Any) -> None:
    chain.register(workers=(chain.address("alice"),))
    job = chain.open()
    chain.claim("alice", job, 0)
    chain.do("alice", failing(chain, job))
    assert chain.get(job).state == "failed"


def test_holders_of_updates_report_that_a_round_cannot_be_aggregated(registered: Any) -> None:
    job = registered.open()
    registered.refuse(NotYet, "alice", failing(registered, job, None))
    registered.train("alice", job, 0)
    registered.train("bob", job, 1)
    registered.refuse(Forbidden, "carol", failing(registered, job, None))
    registered.do("alice", failing(registered, job, None, message="merge failed"))
    assert registered.get(job).state == "training"
    registered.do("bob", failing(registered, job, None, message="merge failed"))
    assert registered.get(job).state == "failed"
    assert "aggregation of round 0" in registered.get(job).reason


def test_a_balance_passed_from_account_to_account_does_not_make_a_job_grow(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.do("alice", failing(registered, job))  # for good: is kept
    sender = "bob"
    for number in range(12):
        registered.claim(sender, job, 0)
        registered.do(sender, failing(registered, job, code="unavailable", message=f"{number}"))
        following = f"sybil {number}"
        registered.do(sender, Transfer(registered.address(following), 1_000))
        sender = following
    kept = registered.get(job).round_list[0].partitions[0].failures
    assert [failure.message for failure in kept[1:]] == [f"{number}" for number in range(4, 12)]
    assert kept[0].worker == registered.address("alice")


def test_the_update_of_who_lost_the_lease_in_the_same_block_is_refused(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.wait(30_000)
    late = registered.sign("alice", registered.update(job, 0))
    claim = registered.sign("bob", registered.claiming(job, 0))
    with pytest.raises(Forbidden) as caught:
        registered.mine(claim, late)
    assert caught.value.index == 1
    registered.mine(late)  # before anybody claims, it counts
    registered.refuse_signed(Conflict, claim)


def test_a_report_after_the_lapse_releases_the_lease_and_bars_nobody(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.wait(30_000)
    registered.do("alice", failing(registered, job, code="unavailable"))
    registered.claim("bob", job, 0)
    assert registered.get(job).barred == ()


def test_who_is_barred_neither_renews_nor_reports(registered: Any) -> None:
    job = registered.open()
    registered.claim("alice", job, 0)
    registered.wait(30_000)
    registered.claim("bob", job, 0)
    for payload in (registered.claiming(job, 0), registered.claiming(job, 1), failing(registered, job)):
        registered.refuse(Forbidden, "alice", payload)
