"""Jobs' lives under random transactions, right and wrong, against the invariants that hold whatever happens.

The machine draws who sends what about which job; most of it makes no sense at the moment and must be refused without
a trace, the rest moves jobs on. Nothing here knows in advance which is which, save for the forgeries, which must never
be accepted.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)  # fmt: skip

from chain.errors import (
    ChainError,
    Duplicate,
    Expired,
    Forbidden,
    InsufficientBalance,
    InvalidSignature,
    InvalidTransaction,
    Unknown,
    WrongNetwork,
)  # fmt: skip
from chain.state import State
from chain.transactions import (
    CancelJob,
    ClaimPartition,
    ReportFailure,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    Transfer,
    VoteCheckpoint,
    VoteModel,
)  # fmt: skip
from tests.chain.state.sound import Sound

PEOPLE = ("owner", "alice", "bob", "carol", "dave", "mallory")
people = st.sampled_from(PEOPLE)
workers = st.sampled_from(("alice", "bob", "carol", "dave"))
picks = st.integers(0, 1_000_000)
small = st.integers(0, 2)
sure = st.integers(0, 9).map(bool)


def machine(new_chain: Any, content: Any) -> type[RuleBasedStateMachine]:
    """The state machine over chains made by `new_chain`."""

    class JobLife(Sound, RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.chain = new_chain().register(minimum_improvement=-1_000_000)
            self.chain.do("owner", self.chain.model("second", minimum_improvement=0))
            self.supply = self.total()
            self.sent: list[Signed] = []
            self.accepted = 0

        def total(self) -> int:
            return sum(account.balance for account in self.chain.state.accounts.values())

        def send(self, sender: Any, payload: Any, after: int = 1, **envelope: Any) -> bool:
            """Whether it was accepted; if not, the block without it is the same as one that never saw it."""
            signed = self.chain.sign(sender, payload, **envelope)
            draft = self.chain.draft(after)
            try:
                draft.add(signed)
            except InvalidTransaction:
                assert draft.finish()[0].digest == self.chain.draft(after).finish()[0].digest
                return False
            self.chain.mine(signed, after=after)
            assert draft.finish()[0] == self.chain.state
            self.sent.append(signed)
            self.accepted += 1
            return True

        def may_send(self, name: str) -> bool:
            account = self.chain.state.accounts[self.chain.address(name)]
            return bool(account.balance >= self.chain.params.minimum_balance)

        def job(self, pick: int, *, running: bool = True) -> Any:
            """Some job; one that is open where there is one, if asked."""
            state: State = self.chain.state
            open_ids = sorted(state.open_jobs)
            ids = open_ids if running and open_ids else sorted(self.chain.jobs)
            return self.chain.get(ids[pick % len(ids)])

        @initialize(rounds=st.integers(1, 2), attempts=st.integers(1, 3), model=st.sampled_from(("flowers", "second")))
        def first_job(self, rounds: int, attempts: int, model: str) -> None:
            self.open(rounds, attempts, 2, 2, model, "owner")
            self.chain.mine()

        @precondition(lambda self: len(self.chain.state.open_jobs) < 3)
        @rule(
            rounds=st.integers(1, 2), attempts=st.integers(1, 3), partitions=st.integers(1, 3), least=st.integers(1, 3),
            model=st.sampled_from(("flowers", "second")), opener=people,
        )  # fmt: skip
        def open(self, rounds: int, attempts: int, partitions: int, least: int, model: str, opener: str) -> None:
            accepted = self.send(
                opener,
                self.chain.job(
                    rounds=rounds,
                    attempts=attempts,
                    partitions=partitions,
                    minimum_updates=least,
                    model=model,
                    round_ms=300_000,
                    vote_ms=300_000,
                ),
            )
            assert accepted == (least <= partitions and self.may_send(opener))

        @rule(worker=people, pick=picks, attempt=small, round_=small, partition=st.integers(0, 3))
        def claim_anything(self, worker: str, pick: int, attempt: int, round_: int, partition: int) -> None:
            self.send(worker, ClaimPartition(self.job(pick, running=False).id, attempt, round_, partition))

        @rule(worker=workers, pick=picks, submit=sure, artifact=small)
        def train(self, worker: str, pick: int, submit: bool, artifact: int) -> None:
            """Claim something that is free and, mostly, submit it."""
            job = self.job(pick)
            free = [p.index for p in job.round_list[-1].partitions if p.update is None] if job.round_list else []
            if free:
                partition = free[pick % len(free)]
                at = self.chain.at(job.id)
                if self.send(worker, ClaimPartition(partition=partition, **at)) and submit:
                    self.send(worker, self.chain.update(job.id, partition, f"{job.id} {partition} {artifact}"))

        @rule(pick=picks, first=workers, second=workers, third=workers, aggregators=st.integers(0, 2))
        def finish_round(self, pick: int, first: str, second: str, third: str, aggregators: int) -> None:
            """Train what is missing and aggregate, as far as these workers may."""
            job = self.job(pick)
            if job.state == "training" and job.round_list:
                for partition, worker in enumerate((first, second, third)[: job.partitions]):
                    self.send(worker, ClaimPartition(partition=partition, **self.chain.at(job.id)))
                    self.send(worker, self.chain.update(job.id, partition, f"{job.id} {partition}"))
                aggregate = self.chain.aggregate(job.id)
                if aggregate.updates:
                    for worker in (first, second)[:aggregators]:
                        self.send(worker, aggregate)

        @rule(pick=picks, decision=st.sampled_from(("approve", "reject")), blame=picks)
        def agree(self, pick: int, decision: str, blame: int) -> None:
            """All validators vote alike."""
            self.vote(pick, {0, 1, 2, 3}, decision, blame)

        @rule(worker=people, pick=picks, partition=small, wrong=st.sampled_from(("seed", "base", "round", "attempt")))
        def submit_wrongly(self, worker: str, pick: int, partition: int, wrong: str) -> None:
            job = self.job(pick)
            if job.round_list:
                values: dict[str, Any] = {
                    "seed": "0" * 64,
                    "base": content("no base"),
                    "round": len(job.round_list),
                    "attempt": job.attempt + 1,
                }
                update: SubmitUpdate = self.chain.update(job.id, partition, f"wrong {wrong}")
                assert not self.send(worker, dataclasses.replace(update, **{wrong: values[wrong]}))

        @rule(pick=picks, thief=st.sampled_from(("mallory", "owner")))
        def submit_for_another_s_claim(self, pick: int, thief: str) -> None:
            job = self.job(pick)
            for partition in job.round_list[-1].partitions if job.round_list else ():
                if partition.lease is not None and partition.lease.worker != self.chain.address(thief):
                    update = self.chain.update(job.id, partition.index, "stolen")
                    if self.chain.state.open_jobs.get(job.id, 0) > self.chain.time + 1:
                        self.chain.refuse(Forbidden, thief, update)

        @rule(worker=people, pick=picks, partition=st.none() | small, code=st.sampled_from(("unavailable", "broken")))
        def fail(self, worker: str, pick: int, partition: int | None, code: str) -> None:
            job = self.job(pick)
            at = self.chain.at(job.id)
            if partition is not None and job.round_list and pick % 2:
                self.send(worker, ClaimPartition(partition=partition, **at))
            self.send(
                worker,
                ReportFailure(partition=partition, code=code, message="it broke", cids=(), asked="here", **at),
            )

        @rule(worker=workers, pick=picks, artifact=small, altered=st.integers(0, 9))
        def aggregate(self, worker: str, pick: int, artifact: int, altered: int) -> None:
            job = self.job(pick)
            rounds = [round_ for round_ in job.round_list if round_.closed is not None]
            if rounds:
                round_ = rounds[pick % len(rounds)]
                updates = tuple(update.id for update in round_.updates)
                if altered == 0:
                    updates = (content("another"), *updates[1:])
                accepted = self.send(
                    worker,
                    SubmitAggregate(
                        job.id, job.attempt, round_.index, updates, content(f"{job.id} {round_.index} {artifact}"),
                        900_000 + artifact, "e" * 64,
                    ),
                )  # fmt: skip
                assert not (accepted and altered == 0)

        @rule(
            pick=picks, voters=st.sets(st.integers(0, 3), min_size=1), blame=picks,
            decision=st.sampled_from(("approve", "approve", "reject", "unavailable")),
        )  # fmt: skip
        def vote(self, pick: int, voters: set[int], decision: str, blame: int) -> None:
            voting = [job for job in self.chain.state.jobs.values() if job.state == "voting"]
            for number in sorted(voters) if voting else ():
                job = self.chain.get(sorted(job.id for job in voting)[pick % len(voting)])
                if job.state != "voting":
                    return
                items = [*job.update_ids, *(one.id for round_ in job.round_list for one in round_.aggregates), None]
                item = items[blame % len(items)]
                named = (item,) if decision == "reject" and item is not None else ()
                vote = self.chain.vote(job.id, decision, disproved=named, baseline=self.baseline(job, decision))
                self.send(self.chain.validators[number], vote)

        def baseline(self, job: Any, decision: str) -> int | None:
            return 900_000 if decision == "approve" and self.chain.policy(job.model).in_service else None

        @rule(pick=picks, forger=people, decision=st.sampled_from(("approve", "reject", "unavailable")))
        def forge_a_vote(self, pick: int, forger: str, decision: str) -> None:
            job = self.job(pick)
            if job.state == "voting":
                vote: VoteModel = self.chain.vote(job.id, decision, baseline=self.baseline(job, decision))
                if decision == "approve" and job.votes:
                    vote = dataclasses.replace(vote, reason="as a validator")
                self.chain.refuse(Forbidden, forger, vote)
                taken = self.chain.sign(forger, vote)
                body = dataclasses.replace(taken.body, sender=self.chain.validators[0].address)
                self.chain.refuse_signed(InvalidSignature, Signed(body, taken.signature))

        @rule(pick=picks, number=st.integers(0, 3), wrong=st.sampled_from(("record", "compared", "score", "candidate")))
        def vote_on_something_else(self, pick: int, number: int, wrong: str) -> None:
            job = self.job(pick)
            if job.state == "voting":
                values: dict[str, Any] = {
                    "record": "0" * 64, "compared": 99, "score": job.candidate.score - 1, "candidate": content("other"),
                }  # fmt: skip
                vote = self.chain.vote(
                    job.id, baseline=900_000 if wrong == "compared" else self.baseline(job, "approve")
                )
                assert not self.send(self.chain.validators[number], dataclasses.replace(vote, **{wrong: values[wrong]}))

        @rule(sender=people, pick=picks, rarely=st.integers(0, 5))
        def cancel(self, sender: str, pick: int, rarely: int) -> None:
            if rarely == 0:
                job = self.job(pick, running=False)
                accepted = self.send(sender, CancelJob(job.id))
                assert not (accepted and job.state != "training")
                assert not (accepted and self.chain.address(sender) not in (job.opener, self.chain.address("owner")))

        @rule(sender=people, recipient=people, amount=st.integers(1, 12_000))
        def transfer(self, sender: str, recipient: str, amount: int) -> None:
            owned = self.chain.state.accounts[self.chain.address(sender)].balance
            accepted = self.send(sender, Transfer(self.chain.address(recipient), amount))
            assert accepted == (amount <= owned and owned >= self.chain.params.minimum_balance)

        @rule(sender=people, recipient=people)
        def overdraw(self, sender: str, recipient: str) -> None:
            owned = self.chain.state.accounts[self.chain.address(sender)].balance
            self.chain.refuse(InsufficientBalance, sender, Transfer(self.chain.address(recipient), owned + 1))

        @precondition(lambda self: self.sent)
        @rule(pick=picks)
        def repeat(self, pick: int) -> None:
            signed = self.sent[pick % len(self.sent)]
            assert not isinstance(signed.payload, VoteCheckpoint)
            with pytest.raises((Duplicate, Expired)):
                self.chain.draft().add(signed)

        @rule(sender=people, pick=picks)
        def send_expired_or_elsewhere(self, sender: str, pick: int) -> None:
            if self.may_send(sender):
                payload = CancelJob(self.job(pick).id)
                self.chain.refuse(Expired, sender, payload, expires=self.chain.time)
                self.chain.refuse(WrongNetwork, sender, payload, genesis="1" * 64)

        @rule(milliseconds=st.sampled_from((1, 1_000, 29_000, 31_000, 301_000)))
        def time_passes(self, milliseconds: int) -> None:
            self.chain.wait(milliseconds)

        @rule(number=st.integers(0, 3), up=small, down=small)
        def vote_on_checkpoints(self, number: int, up: int, down: int) -> None:
            state = self.chain.state
            above, below = state.height - down, state.finality.justified_height + up
            if 0 <= below < above:
                vote = VoteCheckpoint(self.chain.ids[below], below, self.chain.ids[above], above)
                signed = self.chain.sign(self.chain.validators[number], vote)
                try:
                    self.chain.mine(signed)
                except ChainError:
                    assert self.chain.state is state

        @rule(worker=people, pick=picks)
        def come_too_late(self, worker: str, pick: int) -> None:
            """Whatever is said of a job that has left the state is refused, and says so."""
            if self.chain.archive and self.may_send(worker):
                ids = sorted(self.chain.archive)
                job = ids[pick % len(ids)]
                for payload in (CancelJob(job), self.chain.claiming(job, 0), self.chain.update(job, 0)):
                    refused = self.chain.refuse(Unknown, worker, payload)
                    assert "a job that is open, or closed and not yet final" in str(refused)

        @rule()
        def everything_becomes_final(self) -> None:
            self.chain.finalise()

        @invariant()
        def what_is_closed_and_final_has_left_the_state_and_nothing_else_has(self) -> None:
            before, state = self.chain.states[-2], self.chain.state
            final = before.finality.final_height
            assert set(state.jobs) == {*state.open_jobs, *state.closed_jobs}
            assert not {*state.jobs} & {*self.chain.archive}
            assert all(state.jobs[key].closed_height == height > final for key, height in state.closed_jobs.items())
            for job in self.chain.archive.values():
                assert job.closed_height is not None
                assert job.closed_height <= final

        @invariant()
        def the_supply_is_conserved(self) -> None:
            assert self.total() == self.supply

        @invariant()
        def adopted_only_by_a_quorum_of_approvals_of_what_was_replayed(self) -> None:
            state = self.chain.state
            for version in state.versions.values():
                job = self.chain.get(version.job)
                approvals = {
                    vote.validator
                    for vote in job.votes
                    if vote.decision == "approve" and vote.attempt == version.attempt
                    and vote.candidate == version.candidate and vote.compared == version.replaces
                    and vote.replayed == job.update_ids
                }  # fmt: skip
                assert state.validators.weight_of(approvals) >= state.validators.quorum()
                assert set(version.approvals) == approvals
                assert (job.state, job.version) == ("adopted", version.number)

        @invariant()
        def justified_and_final_blocks_are_of_this_chain(self) -> None:
            finality = self.chain.state.finality
            assert finality.final_height <= finality.justified_height < max(1, self.chain.state.height)
            assert finality.final_hash == self.chain.ids[finality.final_height]
            assert finality.justified_hash == self.chain.ids[finality.justified_height]

        def teardown(self) -> None:
            state = self.chain.state
            again = self.chain.replay()
            assert again.digest == state.digest
            assert again == state
            assert State.from_snapshot(state.snapshot()) == state

    return JobLife


def test_jobs_live_by_the_rules(new_chain: Any, content: Any) -> None:
    run_state_machine_as_test(
        machine(new_chain, content),
        settings=settings(
            max_examples=40,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
