"""Who may be a validator: quorum signatures bound to genesis, serial and the exact change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from chain.errors import Conflict, Duplicate, Forbidden, InsufficientBalance, InvalidField, NotYet
from chain.keys import Key
from chain.misconduct import accuse
from chain.params import DEVELOPMENT, NETWORKS
from chain.schema import Hash
from chain.transactions import AdmitValidator, Transfer, VoteCheckpoint


def signed(change: AdmitValidator, keys: Sequence[Key], genesis: Hash) -> AdmitValidator:
    ordered = sorted(keys, key=lambda key: key.address)
    digest = change.digest(genesis)
    return dataclasses.replace(change, signatures=tuple((key.address, key.sign(digest)) for key in ordered))


def change(chain: Any, add: str | None = "carol", remove: str | None = None, power: int = 1, serial: int = 0) -> Any:
    return AdmitValidator(serial, add and chain.address(add), remove, power if add else 0, ())


def admission(chain: Any, signers: int = 3, **fields: Any) -> AdmitValidator:
    return signed(change(chain, **fields), chain.validators[:signers], chain.ids[0])


def settle(chain: Any, *more: Any) -> None:
    """Everybody votes until no change is under way."""
    while chain.state.pending_set is not None:
        finality, head = chain.state.finality, chain.state.height
        link = VoteCheckpoint(finality.justified_hash, finality.justified_height, chain.ids[head], head)
        members = {member for each in chain.state.voting_sets for member in each.members}
        chain.mine(*(chain.sign(key, link) for key in (*chain.validators, *more) if key.address in members))


def test_a_quorum_s_signatures_admit_whoever_sends_them(chain: Any) -> None:
    chain.do("alice", admission(chain))
    assert chain.state.admissions[chain.address("carol")].power == 1
    assert chain.kinds()[-2:] == ["admission", "validators"]
    settle(chain, chain.who("carol"))
    assert chain.address("carol") in chain.state.validators.members
    assert chain.state.validators.quorum() == 4


def test_removal_is_the_same(chain: Any) -> None:
    leaver = chain.validators[0].address
    chain.do("alice", admission(chain, add=None, remove=leaver))
    assert leaver not in chain.state.admissions
    settle(chain)
    assert leaver not in chain.state.validators.members


def test_one_may_take_another_s_place_in_one_change(chain: Any) -> None:
    leaver = chain.validators[0].address
    chain.do("alice", admission(chain, remove=leaver))
    settle(chain, chain.who("carol"))
    assert set(chain.state.validators.members) == {
        chain.address("carol"), *(key.address for key in chain.validators[1:]),
    }  # fmt: skip
    assert chain.state.validators.serial == 1


def test_less_than_a_quorum_or_strangers_admit_nobody(chain: Any) -> None:
    chain.refuse(Forbidden, "alice", admission(chain, signers=2))
    strangers = signed(change(chain), [*chain.validators[:3], chain.who("alice")], chain.ids[0])
    chain.refuse(Forbidden, "alice", strangers)


@pytest.mark.parametrize("other", ["genesis", "serial", "add", "remove", "power"])
def test_signatures_bind_genesis_serial_and_the_exact_change(chain: Any, other: str) -> None:
    wanted = change(chain)
    differently = {
        "genesis": wanted,
        "serial": dataclasses.replace(wanted, serial=1),
        "add": dataclasses.replace(wanted, add=chain.address("dave")),
        "remove": dataclasses.replace(wanted, remove=chain.validators[0].address),
        "power": dataclasses.replace(wanted, power=2),
    }[other]
    genesis = Hash("f" * 64) if other == "genesis" else chain.ids[0]
    signatures = signed(differently, chain.validators[:3], genesis).signatures
    chain.refuse(InvalidField, "alice", dataclasses.replace(wanted, signatures=signatures))


def test_malformed_signatures_are_refused(chain: Any) -> None:
    good = admission(chain)
    (first, text), *rest = good.signatures
    for wrong in ("0" * 130, text[:-2] + "1d"):
        chain.refuse(InvalidField, "alice", dataclasses.replace(good, signatures=((first, wrong), *rest)))
    chain.refuse(InvalidField, "alice", dataclasses.replace(good, signatures=good.signatures[::-1]))
    chain.refuse(InvalidField, "alice", dataclasses.replace(good, signatures=good.signatures[:1] * 3))


def test_a_change_says_whom_it_is_about(chain: Any) -> None:
    chain.refuse(InvalidField, "alice", admission(chain, add=None))
    chain.refuse(InvalidField, "alice", admission(chain, remove=chain.address("carol")))
    chain.refuse(InvalidField, "alice", admission(chain, power=2))
    chain.refuse(InvalidField, "alice", admission(chain, power=0))
    chain.refuse(Conflict, "alice", admission(chain, remove=chain.address("dave")))


def test_signatures_do_not_outlive_the_next_admission(chain: Any) -> None:
    """Else whoever kept the signatures of an admission could undo the removal after it."""
    kept = admission(chain)
    chain.do("alice", kept)
    chain.refuse(Duplicate, "bob", kept)
    chain.refuse(Conflict, "bob", admission(chain, add="dave"))
    settle(chain, chain.who("carol"))
    chain.do("bob", admission(chain, signers=4, add=None, remove=chain.address("carol"), serial=1))
    chain.refuse(Conflict, "bob", kept)
    settle(chain, chain.who("carol"))
    chain.refuse(Conflict, "bob", kept)
    chain.do("bob", admission(chain, add="dave", serial=2))


def test_signatures_for_a_set_to_come_wait_for_it(chain: Any) -> None:
    chain.refuse(NotYet, "alice", admission(chain, serial=1))


def test_a_slash_in_between_does_not_spoil_signatures_but_its_own(chain: Any) -> None:
    """They are of the set as admissions left it; who was slashed since does not count among the signers."""
    kept, liar = admission(chain, signers=4), chain.validators[3]
    votes = [chain.sign(liar, VoteCheckpoint(chain.ids[0], 0, target * 64, 9)) for target in "ab"]
    chain.do("alice", accuse(*votes))
    settle(chain)
    assert chain.state.validators.serial == 1
    chain.refuse(Forbidden, "alice", kept)
    chain.do("alice", admission(chain, signers=3))


def test_an_admission_that_moves_no_weight_makes_the_next_set_all_the_same(new_chain: Any) -> None:
    """It uses up the number its signers bound; where no set followed, nobody could be admitted ever after."""
    chain = new_chain(NETWORKS["stake"])
    chain.do("alice", admission(chain, power=100))
    assert chain.state.pending_set.set.members == chain.state.validators.members, "carol has no stake yet"
    settle(chain)
    assert chain.state.validators.serial == 1
    chain.do("alice", admission(chain, add="dave", power=100, serial=1))


def test_so_does_one_of_a_key_that_is_slashed_before_its_turn(chain: Any) -> None:
    carol = chain.who("carol")
    votes = [chain.sign(carol, VoteCheckpoint(chain.ids[0], 0, target * 64, 9)) for target in "ab"]
    chain.mine(chain.sign("alice", admission(chain)), chain.sign("alice", accuse(*votes)))
    settle(chain)
    assert chain.state.validators.serial == 1
    chain.do("alice", admission(chain, add="dave", serial=1))


def test_who_was_slashed_never_comes_back(chain: Any) -> None:
    liar = chain.validators[3]
    votes = [chain.sign(liar, VoteCheckpoint(chain.ids[0], 0, target * 64, 9)) for target in "ab"]
    chain.do("alice", accuse(*votes))
    settle(chain)
    again = AdmitValidator(1, liar.address, None, 1, ())
    chain.refuse(Forbidden, "alice", signed(again, chain.validators[:3], chain.ids[0]))


def test_there_is_always_one_and_never_more_than_the_network_has_room_for(new_chain: Any) -> None:
    chain = new_chain(dataclasses.replace(DEVELOPMENT, max_validators=1), validators=1)
    only = chain.validators[0].address
    chain.refuse(Forbidden, "alice", admission(chain))
    chain.refuse(Forbidden, "alice", admission(chain, add=None, remove=only))
    chain.do("alice", admission(chain, remove=only))


def test_a_newcomer_needs_no_balance(chain: Any) -> None:
    newcomer = chain.key("without a coin")
    chain.refuse(InsufficientBalance, newcomer, Transfer(chain.address("bob"), 1))
    wanted = AdmitValidator(0, newcomer.address, None, 1, ())
    chain.do("alice", signed(wanted, chain.validators[:3], chain.ids[0]))
    chain.do(newcomer, chain.dataset())
    assert "iris" in chain.state.datasets
