"""Reports of validators that contradicted themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from chain.errors import Conflict, Duplicate, InvalidField
from chain.misconduct import accuse
from chain.params import NETWORKS
from chain.schema import Hash
from chain.state.supply import supply
from chain.transactions import ReportMisconduct, Stake, Unstake, VoteCheckpoint


def double(chain: Any, liar: Any, **second: Any) -> ReportMisconduct:
    one = chain.sign(liar, VoteCheckpoint(chain.ids[0], 0, Hash("a" * 64), 9))
    other = chain.sign(liar, VoteCheckpoint(chain.ids[0], 0, Hash("b" * 64), 9))
    report = accuse(one, other)
    assert report is not None
    return report


def test_anybody_may_report_and_the_validator_leaves(chain: Any) -> None:
    liar = chain.validators[0]
    chain.do("mallory", double(chain, liar))
    assert liar.address not in chain.state.admissions
    slashed = chain.state.slashed[liar.address]
    assert (slashed.reporter, slashed.burned, slashed.height) == (chain.address("mallory"), 0, 1)
    assert "targets at height 9" in slashed.reason
    assert chain.kinds() == ["misconduct", "validators"]
    assert liar.address not in chain.state.pending_set.set.members
    assert liar.address in chain.state.validators.members, "until the change is through"


def test_votes_on_another_branch_prove_as_much(chain: Any) -> None:
    liar = chain.validators[0]
    around = accuse(
        chain.sign(liar, VoteCheckpoint(Hash("c" * 64), 3, Hash("a" * 64), 9)),
        chain.sign(liar, VoteCheckpoint(Hash("d" * 64), 4, Hash("b" * 64), 7)),
    )
    chain.do("alice", around)
    assert "lies inside" in chain.state.slashed[liar.address].reason


def test_once_is_enough(chain: Any) -> None:
    report = double(chain, chain.validators[0])
    chain.do("alice", report)
    chain.refuse(Duplicate, "bob", report)
    chain.refuse(Duplicate, "bob", double(chain, chain.validators[0]))


def test_who_is_no_validator_and_has_no_stake_has_nothing_to_lose(chain: Any) -> None:
    chain.refuse(Conflict, "bob", double(chain, chain.who("alice")))
    chain.do("alice", Stake(10))
    chain.do("bob", double(chain, chain.who("alice")))
    assert chain.state.burned == 10


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("signature", "1b" * 65), ("salt", "9" * 32), ("expires", 5)],
)
def test_evidence_is_what_the_validator_signed(chain: Any, field: str, wrong: Any) -> None:
    report = double(chain, chain.validators[0])
    forged = dataclasses.replace(report.checkpoints[1], **{field: wrong})
    report = dataclasses.replace(report, checkpoints=(report.checkpoints[0], forged))
    chain.refuse(InvalidField, "alice", report)


def test_another_s_votes_another_network_s_votes_and_honest_votes_prove_nothing(chain: Any) -> None:
    liar, honest = chain.validators[:2]
    report = double(chain, liar)
    chain.refuse(InvalidField, "alice", dataclasses.replace(report, validator=honest.address))
    elsewhere = [
        chain.sign(honest, VoteCheckpoint(chain.ids[0], 0, Hash(target * 64), 9), genesis=Hash("9" * 64))
        for target in "ab"
    ]
    chain.refuse(InvalidField, "alice", accuse(*elsewhere))
    for source, target in ((0, 10), (2, 10), (3, 11)):
        other = VoteCheckpoint(chain.ids[0], source, Hash("b" * 64), target)
        evidence = dataclasses.replace(report.checkpoints[1], vote=other, signature=chain.sign(liar, other).signature)
        pair = (report.checkpoints[0], evidence)
        chain.refuse(InvalidField, "alice", dataclasses.replace(report, checkpoints=pair))


def test_a_report_holds_two_votes_of_one_kind(chain: Any) -> None:
    report = double(chain, chain.validators[0])
    chain.refuse(InvalidField, "alice", dataclasses.replace(report, checkpoints=report.checkpoints[:1]))
    chain.refuse(InvalidField, "alice", dataclasses.replace(report, checkpoints=()))


def test_approval_beside_rejection_of_one_candidate(registered: Any) -> None:
    chain, liar = registered, registered.validators[0]
    job = chain.candidate()
    votes = [chain.sign(liar, chain.vote(job, decision)) for decision in ("approve", "reject", "unavailable")]
    assert accuse(votes[0], votes[2]) is None
    assert accuse(votes[1], votes[2]) is None
    report = accuse(votes[1], votes[0])
    chain.mine(votes[0])
    chain.do("alice", report)
    assert "both approved and rejected" in chain.state.slashed[liar.address].reason


@pytest.mark.parametrize("field", ["compared", "attempt", "candidate", "record", "job"])
def test_approval_and_rejection_of_different_things_are_no_contradiction(registered: Any, field: str) -> None:
    chain, liar = registered, registered.validators[0]
    job = chain.candidate()
    approval, rejection = chain.vote(job, "approve"), chain.vote(job, "reject")
    different = {"compared": 7, "attempt": 3, "candidate": approval.replayed[0], "record": "f" * 64}
    other = dataclasses.replace(rejection, **{field: different.get(field, approval.candidate)})
    assert accuse(chain.sign(liar, approval), chain.sign(liar, other)) is None


def test_all_its_stake_is_burned_also_what_it_gave_up(new_chain: Any) -> None:
    chain = new_chain(NETWORKS["stake"])
    liar, before = chain.validators[0], supply(chain.state)
    chain.do(liar, Unstake(400))
    chain.do("alice", double(chain, liar))
    account = chain.state.accounts[liar.address]
    assert (account.stake, account.unbonding) == (0, ())
    assert chain.state.burned == chain.state.slashed[liar.address].burned == 1_000
    assert supply(chain.state) == before
