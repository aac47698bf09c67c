"""The scheduler as a pure function: what is sent when, for every shape a job can have on the chain."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain.schema import Address, Cid, Hash
from chain.state.objects import Aggregate, Failure, Job, Lease, Partition, Round, Update
from coordinator.scheduler import AGGREGATE, TRAIN, Policy, Sent, Task, plan

NOW = 1_780_000_000_000
SEED = Hash("ab" * 32)
GENESIS = "0123456789abcdef" * 4
ALICE, BOB = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
BOTH = frozenset({ALICE, BOB})
POLICY = Policy()
JOB = Cid("bafyreihjob")


def an_update(partition: int, worker: Address = ALICE) -> Update:
    return Update(Cid(f"bafyupdate{partition}"), worker, SEED, None, Cid("bafkmodel"), 10, 900_000, 20, SEED, 5)


def a_failure(time: int, worker: Address = ALICE, code: str = "unavailable", attempt: int = 0) -> Failure:
    return Failure(worker, attempt, code, "no such block", (), "store", time)


def a_round(partitions: tuple[Partition, ...], closed: int | None = None, **fields: object) -> Round:
    return Round(0, NOW, NOW + 300_000, closed, partitions, **fields)  # type: ignore[arg-type]


def a_job(*rounds: Round, count: int = 2, **fields: object) -> Job:
    base = Job(
        JOB, ALICE, "iris", "iris", "{}", count, 1, "{}", "average", count, 2, 300_000, 300_000, 3, NOW,
        seed=SEED, seed_block=SEED, round_list=rounds,
    )  # fmt: skip
    return replace(base, **fields)  # type: ignore[arg-type]


def fresh(count: int = 2) -> Job:
    return a_job(a_round(tuple(Partition(i) for i in range(count))), count=count)


def with_partition(partition: Partition) -> Job:
    return a_job(a_round((partition,)), count=1)


TASK = Task(JOB, 0, 0, 0)


def test_one_task_per_partition_once_the_job_is_final() -> None:
    found = plan([fresh(3)], 3, NOW, {}, BOTH)
    assert [task.partition for task in found.tasks] == [0, 1, 2]
    assert {task.name for task in found.tasks} == {TRAIN}
    assert found.tasks[0].kwargs == {"job": JOB, "attempt": 0, "round": 0, "partition": 0}
    assert found.tasks[0].queue(GENESIS) == "assay.0123456789abcdef"


@pytest.mark.parametrize("final", [-1, 0, 2])
def test_nothing_for_a_job_that_is_not_final(final: int) -> None:
    assert plan([fresh()], final, NOW, {}, BOTH) == plan([], final, NOW, {}, BOTH)


def test_nothing_without_a_seed_and_nothing_while_voting() -> None:
    for job in (replace(fresh(), seed=None), replace(fresh(), state="voting"), replace(fresh(), round_list=())):
        assert plan([job], 9, NOW, {}, BOTH).tasks == ()


def test_what_is_sent_is_not_sent_again_at_once() -> None:
    first = plan([fresh()], 3, NOW, {}, BOTH)
    again = plan([fresh()], 3, NOW + POLICY.claim_ms - 1, first.sent, BOTH)
    assert again.tasks == ()
    assert again.wake == NOW + POLICY.claim_ms


def test_what_nobody_claims_is_sent_again_ever_more_patiently() -> None:
    sent, now, gaps = {TASK: Sent(NOW)}, NOW, []
    for _ in range(6):
        found = plan([with_partition(Partition(0))], 3, now, sent, BOTH)
        assert found.wake is not None
        gaps.append(found.wake - now)
        now = found.wake
        sent = dict(plan([with_partition(Partition(0))], 3, now, sent, BOTH).sent)
    assert gaps == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


def test_what_waits_behind_busy_workers_is_not_lost() -> None:
    busy = Partition(1, Lease(ALICE, NOW, NOW + 30_000))
    job = a_job(a_round((Partition(0), busy)))
    later = NOW + 20_000
    assert plan([job], 3, later, {TASK: Sent(NOW)}, {ALICE}).tasks == ()
    assert plan([job], 3, later, {TASK: Sent(NOW)}, BOTH).tasks == (TASK,)


def test_without_workers_nothing_is_piled_up() -> None:
    job = with_partition(Partition(0))
    assert plan([job], 3, NOW, {}, frozenset()).tasks == (TASK,)
    assert plan([job], 3, NOW + 600_000, {TASK: Sent(NOW)}, frozenset()).tasks == ()


def test_a_live_lease_is_left_alone_and_looked_at_when_it_lapses() -> None:
    job = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 30_000)))
    found = plan([job], 3, NOW + 29_000, {TASK: Sent(NOW)}, BOTH)
    assert found.tasks == ()
    assert found.wake == NOW + 30_000 + POLICY.lapse_ms


def test_a_lapsed_lease_is_sent_again_once() -> None:
    job = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 30_000)))
    late = NOW + 30_000 + POLICY.lapse_ms
    found = plan([job], 3, late, {TASK: Sent(NOW)}, BOTH)
    assert found.tasks == (TASK,)
    assert found.sent[TASK].lost == 1
    assert plan([job], 3, late + 1, found.sent, BOTH).tasks == ()


def test_what_a_worker_held_when_it_died_is_sent_to_it_again_as_soon_as_it_is_back() -> None:
    job = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 30_000)))
    assert (
        plan([job], 3, NOW + 900, {TASK: Sent(NOW)}, BOTH, since={ALICE: NOW - 1, BOB: NOW + 800}).tasks == ()
    )
    back = {ALICE: NOW + 800, BOB: NOW - 1}
    found = plan([job], 3, NOW + 900, {TASK: Sent(NOW)}, BOTH, since=back)
    assert [(task, task.worker) for task in found.tasks] == [(TASK, ALICE)]
    assert found.sent[TASK].lost == 1
    renewed = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 31_000)))
    assert plan([renewed], 3, NOW + 20_000, found.sent, BOTH, since=back).tasks == ()


def test_a_successor_sends_a_returned_worker_what_it_held() -> None:
    job = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 30_000)))
    (task,) = plan([job], 3, NOW + 900, {}, BOTH, since={ALICE: NOW + 800}).tasks
    assert task.worker == ALICE


def test_a_worker_that_dies_of_the_same_task_again_and_again_is_not_sent_it_for_ever() -> None:
    job = with_partition(Partition(0, Lease(ALICE, NOW, NOW + 30_000)))
    sent, sends = {TASK: Sent(NOW)}, 0
    for second in range(1, 20):
        found = plan([job], 3, NOW + 1000 * second, sent, BOTH, since={ALICE: NOW + 1000 * second - 1})
        sent, sends = dict(found.sent) or sent, sends + len(found.tasks)
    assert sends < POLICY.losses


def test_a_task_that_takes_its_workers_down_is_given_up() -> None:
    sent, now, sends = {TASK: Sent(NOW)}, NOW, 0
    for _ in range(20):
        lease = Lease(ALICE, now, now + 30_000)
        now += 31_000 + POLICY.lapse_ms
        found = plan([with_partition(Partition(0, lease))], 3, now, sent, BOTH)
        sent, sends = dict(found.sent), sends + len(found.tasks)
    assert sends < POLICY.losses


def test_a_failure_that_may_pass_is_tried_again_with_growing_patience() -> None:
    once = with_partition(Partition(0, failures=(a_failure(NOW),)))
    assert plan([once], 3, NOW + POLICY.retry_ms - 1, {TASK: Sent(NOW - 50)}, BOTH).tasks == ()
    found = plan([once], 3, NOW + POLICY.retry_ms, {TASK: Sent(NOW - 50)}, BOTH)
    assert found.tasks == (TASK,)
    then = NOW + POLICY.retry_ms + 100
    twice = with_partition(Partition(0, failures=(a_failure(NOW), a_failure(then))))
    assert plan([twice], 3, then + POLICY.retry_ms, found.sent, BOTH).tasks == ()
    assert plan([twice], 3, then + 2 * POLICY.retry_ms, found.sent, BOTH).tasks == (TASK,)


def test_what_one_worker_cannot_do_is_sent_to_another_at_once() -> None:
    job = with_partition(Partition(0, failures=(a_failure(NOW, BOB, "corrupt_content"),)))
    for before in ({}, {TASK: Sent(NOW - 50)}):
        (task,) = plan([job], 3, NOW, before, BOTH).tasks
        assert (task, task.worker) == (TASK, ALICE)
    (task,) = plan([job], 3, NOW, {}, {BOB}).tasks
    assert task.queue(GENESIS) == "assay.0123456789abcdef", "whoever comes"


def test_what_one_worker_cannot_do_goes_to_one_that_has_nothing_to_do() -> None:
    carol = Address("0x" + "cc" * 20)
    failed = Partition(0, failures=(a_failure(NOW, BOB, "corrupt_content"),))
    held = Partition(1, lease=Lease(ALICE, NOW, NOW + 30_000))
    for turn in range(3):
        sent = {TASK: Sent(NOW - 50, turn), Task(JOB, 0, 0, 1): Sent(NOW)}
        (task,) = plan([a_job(a_round((failed, held)))], 3, NOW, sent, {ALICE, BOB, carol}).tasks
        assert task.worker == carol


def test_failures_of_an_earlier_attempt_do_not_count() -> None:
    job = replace(with_partition(Partition(0, failures=(a_failure(NOW, attempt=0),))), attempt=1)
    assert plan([job], 3, NOW, {}, BOTH).tasks == (Task(JOB, 1, 0, 0),)


def closed_round(**fields: object) -> Job:
    done = tuple(Partition(i, update=an_update(i, worker)) for i, worker in enumerate((ALICE, BOB)))
    return a_job(a_round(done, closed=NOW, **fields))


def test_a_closed_round_wants_its_aggregate_from_a_holder_of_an_update() -> None:
    (task,) = plan([closed_round()], 3, NOW, {}, BOTH).tasks
    assert (task.name, task.kwargs) == (AGGREGATE, {"job": JOB, "attempt": 0, "round": 0})
    assert task.queue(GENESIS) == f"assay.0123456789abcdef.{ALICE}"


def test_the_aggregate_is_asked_of_who_lives_and_of_the_next_one_after_that() -> None:
    (task,) = plan([closed_round()], 3, NOW, {}, {BOB}).tasks
    assert task.worker == BOB
    first = plan([closed_round()], 3, NOW, {}, BOTH)
    (again,) = plan([closed_round()], 3, NOW + POLICY.aggregate_ms, first.sent, BOTH).tasks
    assert again.worker == BOB


def test_who_is_barred_is_not_asked() -> None:
    (task,) = plan([replace(closed_round(), barred=(ALICE,))], 3, NOW, {}, BOTH).tasks
    assert task.worker == BOB


def test_an_aggregate_that_stands_is_not_wanted_again() -> None:
    standing = Aggregate(Cid("bafyagg"), ALICE, (), Cid("bafkmodel"), 1, SEED, 9)
    assert plan([closed_round(aggregates=(standing,))], 3, NOW, {}, BOTH).tasks == ()


def test_an_aggregation_is_sent_a_bounded_number_of_times() -> None:
    sent: dict[Task, Sent] = {}
    now, sends = NOW, 0
    for _ in range(40):
        found = plan([closed_round()], 3, now, sent, BOTH)
        sent, sends, now = dict(found.sent), sends + len(found.tasks), now + 120_000
    assert sends == POLICY.aggregations


def test_nothing_is_remembered_of_closed_jobs() -> None:
    assert plan([], 3, NOW, {TASK: Sent(NOW)}, BOTH).sent == {}


def test_a_successor_sends_everything_open_once_and_no_more() -> None:
    taken = Partition(1, Lease(ALICE, NOW, NOW + 30_000))
    job = a_job(a_round((Partition(0), taken, Partition(2, update=an_update(2)))), count=3)
    found = plan([job], 3, NOW + 1, {}, BOTH)
    assert [task.partition for task in found.tasks] == [0]
    assert plan([job], 3, NOW + 2, found.sent, BOTH).tasks == ()


partitions = st.builds(
    Partition,
    index=st.just(0),
    lease=st.none() | st.builds(Lease, st.just(ALICE), st.just(NOW), st.integers(NOW - 60_000, NOW + 60_000)),
    update=st.none() | st.just(an_update(0)),
    failures=st.lists(st.integers(NOW - 60_000, NOW).map(a_failure), max_size=3).map(tuple),
)


@given(partitions, st.integers(0, 6), st.sampled_from(["training", "voting"]), st.none() | st.just(NOW))
def test_plan_never_raises_and_never_sends_what_is_not_wanted(
    partition: Partition, final: int, state: str, closed: int | None
) -> None:
    job = a_job(a_round((partition,), closed), count=1, state=state)
    found = plan([job], final, NOW, {}, BOTH)
    if final < job.height or state == "voting":
        assert found.tasks == ()
    for task in found.tasks:
        assert closed is None or task.partition is None
        if task.partition is not None:
            assert partition.update is None
            assert partition.lease is None or partition.lease.until <= NOW
    assert found.wake is None or found.wake > NOW


@dataclass
class Slot:
    """A partition as the chain would show it."""

    lease: Lease | None = None
    update: Update | None = None
    failures: tuple[Failure, ...] = ()
    sends: list[int] = field(default_factory=list)


class Life(RuleBasedStateMachine):
    """A job's life with workers that claim, finish, fail and vanish, messages that get lost and coordinators that are
    replaced. `step` is what the dispatcher does: it plans whenever something happened or the clock says so."""

    COUNT = 3

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.slots = [Slot() for _ in range(self.COUNT)]
        self.sent: dict[Task, Sent] = {}
        self.step()

    def job(self) -> Job:
        parts = tuple(Partition(i, s.lease, s.update, s.failures) for i, s in enumerate(self.slots))
        closed = self.now if all(s.update is not None for s in self.slots) else None
        return a_job(a_round(parts, closed), count=self.COUNT)

    def step(self) -> int | None:
        found = plan([self.job()], 3, self.now, self.sent, BOTH, POLICY)
        self.sent = dict(found.sent)
        for task in found.tasks:
            if task.partition is not None:
                self.slots[task.partition].sends.append(self.now)
        return found.wake

    @rule(index=st.integers(0, 2), worker=st.sampled_from([ALICE, BOB]))
    def claim(self, index: int, worker: Address) -> None:
        slot = self.slots[index]
        if slot.sends and slot.update is None and (slot.lease is None or slot.lease.until <= self.now):
            slot.lease = Lease(worker, self.now, self.now + 30_000)
        self.step()

    @rule(index=st.integers(0, 2))
    def finish(self, index: int) -> None:
        slot = self.slots[index]
        if slot.lease is not None and slot.lease.until > self.now:
            slot.update = an_update(index, slot.lease.worker)
        self.step()

    @rule(index=st.integers(0, 2))
    def fail(self, index: int) -> None:
        slot = self.slots[index]
        if slot.lease is not None and slot.lease.until > self.now and slot.update is None:
            slot.failures = (*slot.failures, a_failure(self.now, slot.lease.worker))
            slot.lease = None
        self.step()

    @rule(milliseconds=st.integers(1, 90_000))
    def wait(self, milliseconds: int) -> None:
        until = self.now + milliseconds
        while self.now < until:
            wake = self.step()
            self.now = until if wake is None else min(until, max(wake, self.now + 1))
        self.step()

    @rule()
    def replace_coordinator(self) -> None:
        self.sent = {}
        for slot in self.slots:
            slot.sends.clear()
        self.step()

    @invariant()
    def no_two_sends_in_the_overdue_window(self) -> None:
        for slot in self.slots:
            taken_up = slot.lease is not None or slot.failures
            for earlier, later in zip(slot.sends, slot.sends[1:], strict=False):
                assert later - earlier >= (POLICY.lapse_ms if taken_up else POLICY.claim_ms)

    @invariant()
    def whatever_is_stuck_is_sent_again(self) -> None:
        """Unless it took its workers down too often, an open partition that nobody holds is sent within a minute."""
        if all(slot.update is not None for slot in self.slots):
            return
        now, sent, job = self.now, dict(self.sent), self.job()
        for index, slot in enumerate(self.slots):
            task = Task(JOB, 0, 0, index)
            record = sent.get(task)
            if slot.update is not None or (record is not None and record.lost + 1 >= POLICY.losses):
                continue
            held = slot.lease.until - now if slot.lease is not None else 0
            horizon = now + max(held, 0) + 30_000 + POLICY.longest_ms + POLICY.lapse_ms
            found = plan([job], 3, horizon, sent, BOTH, POLICY)
            assert task in found.tasks


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
