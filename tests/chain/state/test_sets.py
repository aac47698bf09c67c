"""Changes of the set: one at a time, jointly, each phase told from the parent's state."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from chain.errors import Forbidden
from chain.misconduct import accuse
from chain.params import DEVELOPMENT
from chain.rules import Rules
from chain.state import State
from chain.state.supply import supply
from chain.state.tables import ONLY, PHASES
from chain.transactions import AdmitValidator, Transfer, VoteCheckpoint


def admission(chain: Any, add: str | None = None, remove: Any = None, signers: int = 3) -> AdmitValidator:
    serial = chain.state.validators.serial
    added = None if add is None else chain.address(add)
    change = AdmitValidator(serial, added, remove and remove.address, 0 if add is None else 1, ())
    keys = sorted(chain.validators[:signers], key=lambda key: key.address)
    digest = change.digest(chain.ids[0])
    return dataclasses.replace(change, signatures=tuple((key.address, key.sign(digest)) for key in keys))


def vote(chain: Any, *voters: Any) -> State:
    """A block with votes of these for the head, from the highest justified block."""
    finality, head = chain.state.finality, chain.state.height
    link = VoteCheckpoint(finality.justified_hash, finality.justified_height, chain.ids[head], head)
    return chain.mine(*(chain.sign(voter, link) for voter in voters))


@pytest.fixture
def adding(chain: Any) -> Any:
    """Carol's admission is in the head, in block 1."""
    chain.do("owner", admission(chain, "carol"))
    return chain


@pytest.fixture
def joint(adding: Any) -> Any:
    """The head is the first joint block, at height 4."""
    for _ in range(3):
        vote(adding, *adding.validators[:3])
    return adding


def test_a_change_waits_until_its_block_is_final(adding: Any) -> None:
    pending = adding.state.pending_set
    assert (pending.phase, pending.height, pending.set.serial) == ("waiting", 1, 1)
    assert adding.address("carol") in pending.set.members
    assert adding.state.validators.serial == 0
    vote(adding, *adding.validators[:3])  # block 2 justifies 1
    assert vote(adding, *adding.validators[:3]).finality.final_height == 1  # block 3
    assert adding.state.pending_set.phase == "waiting", "this block's parent did not show it"
    assert len(adding.state.voting_sets) == 1


def test_then_links_need_both_sets(joint: Any) -> None:
    state = joint.state
    assert (state.pending_set.phase, state.pending_set.height) == ("joint", 4)
    assert [each.serial for each in state.voting_sets] == [0, 1]
    assert state.validators.serial == 0
    assert [each.serial for each in state.sets_at(3)] == [0], "a link's set is its target's"
    # Three of the old four are no quorum of the new five, which is four: not three and one of both.
    before = state.finality.justified_height
    assert vote(joint, *joint.validators[:3]).finality.justified_height == before
    link = VoteCheckpoint(state.finality.justified_hash, before, joint.ids[4], 4)
    assert joint.mine(joint.sign("carol", link)).finality.justified_height == 4


def test_a_quorum_of_the_new_set_alone_is_not_enough(chain: Any) -> None:
    leaver = chain.validators[3]
    chain.do("owner", admission(chain, "carol", leaver))
    for _ in range(3):
        vote(chain, *chain.validators[:3])
    before = chain.state.finality.justified_height
    link = VoteCheckpoint(chain.state.finality.justified_hash, before, chain.ids[-1], chain.state.height)
    chain.mine(*(chain.sign(key, link) for key in (*chain.validators[:2], chain.who("carol"))))
    assert chain.state.finality.justified_height == before, "three of the new four, two of the old four"
    assert chain.mine(chain.sign(leaver, link)).finality.justified_height == link.target_height


def test_alone_once_a_joint_block_is_final(joint: Any) -> None:
    everybody = (*joint.validators, joint.who("carol"))
    vote(joint, *everybody)
    vote(joint, *everybody)
    assert joint.state.finality.final_height == 4
    assert joint.state.pending_set is not None
    state = vote(joint, *everybody)  # the first block whose parent shows it
    assert state.pending_set is None
    assert (state.validators.serial, len(state.validators.members)) == (1, 5)
    assert [each.serial for each in state.voting_sets] == [1]
    phases = [event.fields["phase"] for event in joint.events if event.kind == "validators"]
    assert phases == ["waiting", "joint", "alone"]


def test_the_chain_is_not_settled_before_the_change_is_through(chain: Any) -> None:
    chain.do("owner", admission(chain, "carol"))
    blocks = 0
    while not chain.state.finality.settled:
        vote(chain, *chain.validators, chain.who("carol")) if chain.state.height >= 4 else vote(
            chain, *chain.validators
        )
        blocks += 1
        assert blocks < 12
    assert (chain.state.validators.serial, chain.state.pending_set) == (1, None)
    assert chain.state.finality.final_height >= 7


def test_who_left_has_no_vote_on_later_targets(chain: Any) -> None:
    leaver = chain.validators[3]
    chain.do("owner", admission(chain, None, leaver))
    while chain.state.pending_set is not None:
        vote(chain, *chain.validators[:3])
    assert len(chain.state.validators.members) == 3
    finality, head = chain.state.finality, chain.state.height
    link = VoteCheckpoint(finality.justified_hash, finality.justified_height, chain.ids[head], head)
    chain.refuse(Forbidden, leaver, link)
    chain.do(leaver, VoteCheckpoint(finality.final_hash, finality.final_height, chain.ids[head - 1], head - 1))


def test_a_newcomer_has_no_vote_before_the_joint_blocks(adding: Any) -> None:
    adding.refuse(Forbidden, "carol", VoteCheckpoint(adding.ids[0], 0, adding.ids[1], 1))


def test_what_comes_meanwhile_is_the_next_change(joint: Any) -> None:
    """A slash while Carol's admission is joint: it waits its turn."""
    liar = joint.validators[3]
    votes = [joint.sign(liar, VoteCheckpoint(joint.ids[0], 0, target * 64, 9)) for target in "ab"]
    joint.do("owner", accuse(*votes))
    assert liar.address in joint.state.slashed
    assert liar.address in joint.state.pending_set.set.members
    while joint.state.validators.serial == 0:
        vote(joint, *joint.validators[:3], joint.who("carol"))
    pending = joint.state.pending_set
    assert (pending.phase, pending.set.serial, pending.height) == ("waiting", 2, joint.state.height)
    assert liar.address in joint.state.validators.members
    assert liar.address not in pending.set.members


def test_phases_below_the_final_block_are_forgotten(joint: Any) -> None:
    while joint.state.validators.serial == 0:
        vote(joint, *joint.validators, joint.who("carol"))
    for _ in range(3):
        vote(joint, *joint.validators, joint.who("carol"))
    phases = joint.state.table(PHASES)[ONLY].phases
    assert [(phase.first.serial, phase.second) for phase in phases] == [(1, None)]


def test_at_once_where_a_test_switched_the_joint_phase_off(new_chain: Any) -> None:
    chain = new_chain(dataclasses.replace(DEVELOPMENT, rules=Rules(joint_sets=False)))
    chain.do("owner", admission(chain, "carol"))
    assert chain.mine().validators.serial == 1
    assert [each.serial for each in chain.state.voting_sets] == [1]


def test_the_set_in_force_is_what_votes_on_models_count_by(registered: Any) -> None:
    """Three of five are no quorum; of the four that are left they are, without another vote."""
    chain = registered
    chain.do("owner", admission(chain, "carol"))
    while chain.state.pending_set is not None:
        vote(chain, *chain.validators, chain.who("carol")) if len(chain.state.voting_sets) == 2 else vote(
            chain, *chain.validators
        )
    job = chain.candidate(vote_ms=3_600_000)
    chain.votes(job, "approve", 3)
    assert chain.get(job).state == "voting"
    change = AdmitValidator(1, None, chain.address("carol"), 0, ())
    keys = sorted(chain.validators, key=lambda key: key.address)
    signatures = tuple((key.address, key.sign(change.digest(chain.ids[0]))) for key in keys)
    chain.do("owner", dataclasses.replace(change, signatures=signatures))
    while chain.state.pending_set is not None:
        assert chain.get(job).state == "voting"
        vote(chain, *chain.validators, chain.who("carol"))
    assert chain.get(job).state == "adopted"
    assert len(chain.state.versions["flowers@1"].approvals) == 3


def test_a_set_that_comes_into_force_does_not_decide_what_is_over_by_then(registered: Any) -> None:
    """The block past a vote's deadline ends the job; that another set would have a quorum there pays nothing again."""
    chain = registered
    validators = chain.validators
    whole = supply(chain.state)
    job = chain.candidate(reward=5_000)
    chain.votes(job, "approve", 2)
    chain.do("owner", admission(chain, None, validators[3]))
    while chain.state.pending_set is not None:
        vote(chain, *validators)
    chain.do("owner", admission(chain, None, validators[2]))
    pending = chain.state.pending_set
    while pending.phase != "joint" or chain.state.finality.final_height < pending.height:
        vote(chain, *validators[:3])
        pending = chain.state.pending_set
    assert (chain.get(job).state, chain.state.validators.total) == ("voting", 3)
    chain.mine(after=chain.get(job).vote_deadline - chain.time)
    assert chain.state.validators.total == 2, "two approvals are a quorum of these two"
    assert (chain.get(job).state, chain.policy().in_service) == ("expired", 0)
    assert supply(chain.state) == whole


def test_transfers_change_no_set(chain: Any) -> None:
    chain.do("alice", Transfer(chain.address("bob"), 1))
    assert chain.state.pending_set is None
    assert chain.replay() == chain.state
