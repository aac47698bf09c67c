"""Nothing but genesis makes coins, and nothing loses any: whatever happens, the supply is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chain.errors import InvalidTransaction
from chain.misconduct import accuse
from chain.params import NETWORKS
from chain.schema import Hash
from chain.state import State
from chain.state.supply import supply
from chain.transactions import AdmitValidator, CancelJob, Payload, Stake, Transfer, Unstake, VoteCheckpoint

AMOUNTS = st.sampled_from([1, 7, 400, 1_000, 3_333, 9_999, 10_000])


def test_supply_is_conserved_and_blocks_replay_to_the_same_state(new_chain: Any) -> None:
    class Economy(RuleBasedStateMachine):
        """Everybody spends, stakes, opens jobs, votes and is slashed, at random, where stake votes."""

        @initialize()
        def start(self) -> None:
            self.chain = new_chain(NETWORKS["stake"]).register()
            self.everybody = [*self.chain.people.values(), *self.chain.validators]
            self.whole = supply(self.chain.state)
            self.last: State = self.chain.state

        def attempt(self, key: Any, payload: Payload | None) -> None:
            """Into a block if the state has nothing against it."""
            if payload is not None:
                try:
                    self.chain.do(key, payload)
                except InvalidTransaction:
                    return

        @rule(sender=st.integers(0, 9), recipient=st.integers(0, 9), amount=AMOUNTS)
        def transfer(self, sender: int, recipient: int, amount: int) -> None:
            self.attempt(self.everybody[sender], Transfer(self.everybody[recipient].address, amount))

        @rule(sender=st.integers(0, 9), amount=AMOUNTS, up=st.booleans())
        def stake(self, sender: int, amount: int, up: bool) -> None:
            self.attempt(self.everybody[sender], (Stake if up else Unstake)(amount))

        @rule(milliseconds=st.sampled_from([60_000, 12 * 3_600_000, 24 * 3_600_000, 7 * 24 * 3_600_000]))
        def wait(self, milliseconds: int) -> None:
            self.chain.wait(milliseconds)

        @rule(reward=st.sampled_from([0, 1, 1_000, 5_001]), train=st.booleans())
        def job(self, reward: int, train: bool) -> None:
            try:
                (self.chain.candidate if train else self.chain.open)(reward=reward)
            except InvalidTransaction:
                return  # who is needed for it has become poor

        @rule(decision=st.sampled_from(["approve", "reject", "cancel"]), voter=st.integers(0, 3))
        def decide(self, decision: str, voter: int) -> None:
            for job in self.chain.state.open_jobs:
                voting = self.chain.get(job).state == "voting"
                if decision == "cancel":
                    self.attempt("owner", CancelJob(job))
                elif voting:
                    self.attempt(self.chain.validators[voter], self.chain.vote(job, decision))

        @rule(liar=st.integers(0, 9))
        def report(self, liar: int) -> None:
            votes = [
                self.chain.sign(self.everybody[liar], VoteCheckpoint(self.chain.ids[0], 0, Hash(each * 64), 9))
                for each in "ab"
            ]
            self.attempt("mallory", accuse(*votes))

        @rule(who=st.integers(0, 9), power=st.sampled_from([0, 1, 5_000]))
        def admit(self, who: int, power: int) -> None:
            """All validators sign that somebody votes, with so much, or votes no longer."""
            address = self.everybody[who].address
            serial = self.chain.state.validators.serial
            change = AdmitValidator(serial, address if power else None, None if power else address, power, ())
            digest = change.digest(self.chain.ids[0])
            voting = [key for key in self.everybody if self.chain.state.validators.weight(key.address)]
            signatures = tuple((key.address, key.sign(digest)) for key in sorted(voting, key=lambda key: key.address))
            self.attempt("alice", replace(change, signatures=signatures))

        @rule(late=st.booleans())
        def settle(self, late: bool) -> None:
            """A change of the set goes through, its last block past every deadline or not."""
            for _ in range(12):
                pending = self.chain.state.pending_set
                if pending is None:
                    return
                self.finalise(4)
                state = self.chain.state
                now = state.pending_set
                if late and now and now.phase == "joint" and state.finality.final_height >= now.height:
                    self.chain.wait(60_000)

        @rule(voters=st.integers(3, 4))
        def finalise(self, voters: int) -> None:
            finality, head = self.chain.state.finality, self.chain.state.height
            link = VoteCheckpoint(finality.justified_hash, finality.justified_height, self.chain.ids[head], head)
            members = {member for each in self.chain.state.voting_sets for member in each.members}
            voting = [key for key in self.everybody if key.address in members]
            self.chain.mine(*(self.chain.sign(key, link) for key in (voting if voters == 4 else voting[1:])))

        @invariant()
        def conserved(self) -> None:
            if hasattr(self, "chain"):
                state = self.chain.state
                assert supply(state) == self.whole
                for account in state.accounts.values():
                    assert account.balance >= 0
                    assert account.stake >= 0
                    assert all(amount > 0 for amount, _ in account.unbonding)
                weights = state.validators.weights
                assert weights
                assert all(weight > 0 for weight in weights)

        def teardown(self) -> None:
            if hasattr(self, "chain"):
                assert self.chain.replay() == self.chain.state
                assert State.from_snapshot(self.chain.state.snapshot()) == self.chain.state

    run_state_machine_as_test(Economy, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))
