"""The file that carries a change of the validators from member to member."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chain.admission import AdmissionRefused, Proposal, propose
from chain.errors import InvalidEncoding, InvalidSignature
from chain.keys import Key
from chain.params import CONSORTIUM
from chain.schema import Address, Hash
from chain.state import ValidatorSet
from chain.state.membership import Admitted, Membership

GENESIS = Hash("ab" * 32)
KEYS = sorted((Key(bytes([number]) * 32) for number in range(1, 5)), key=lambda key: key.address)
NEW, STRANGER = Key(b"\x11" * 32), Key(b"\x12" * 32)
ADDRESSES = tuple(key.address for key in KEYS)


def members(serial: int = 3, signed_from: int = 0, power: Any = "member") -> Membership:
    admitted = tuple(Admitted(address, 1, 0, 0) for address in ADDRESSES)
    return Membership(power, ValidatorSet(serial, ADDRESSES, (1,) * 4), None, admitted, signed_from)


def signed(proposal: Proposal, *keys: Key) -> Proposal:
    for key in keys:
        proposal = proposal.signed_by(key)
    return proposal


@pytest.fixture
def admission() -> Proposal:
    return propose(GENESIS, members(), NEW.address, None)


def test_with_a_quorum_it_is_the_transaction_that_the_chain_takes(admission: Proposal) -> None:
    payload = signed(admission, *KEYS[:3]).transaction(GENESIS, members())
    assert (payload.serial, payload.add, payload.remove, payload.power) == (3, NEW.address, None, 1)
    assert [signer for signer, _ in payload.signatures] == list(ADDRESSES[:3])
    payload.check(CONSORTIUM)


def test_it_survives_the_journey(admission: Proposal) -> None:
    proposal = signed(admission, KEYS[2], KEYS[0])
    assert Proposal.from_json(proposal.to_json()) == proposal
    assert proposal.signers == (ADDRESSES[0], ADDRESSES[2]), "sorted, whoever signed first"
    assert signed(proposal, KEYS[0]) == proposal, "signing twice changes nothing"


def test_copies_signed_apart_are_put_together(admission: Proposal) -> None:
    one, other = signed(admission, *KEYS[:2]), signed(admission, *KEYS[1:3])
    assert one.merged(other) == signed(admission, *KEYS[:3])
    removal = propose(GENESIS, members(), None, ADDRESSES[0])
    with pytest.raises(AdmissionRefused, match="copies of one change"):
        one.merged(removal)


def test_too_few_signatures_say_whose_are_missing(admission: Proposal) -> None:
    with pytest.raises(AdmissionRefused, match=f"3 of 4, missing: {ADDRESSES[2]}, {ADDRESSES[3]}, found 2"):
        signed(admission, *KEYS[:2]).transaction(GENESIS, members())


def test_a_stranger_s_signature_counts_nothing_and_does_no_harm(admission: Proposal) -> None:
    with pytest.raises(AdmissionRefused, match=f"found 2; no member of set 3: {STRANGER.address}"):
        signed(admission, STRANGER, *KEYS[:2]).transaction(GENESIS, members())
    payload = signed(admission, STRANGER, *KEYS[:3]).transaction(GENESIS, members())
    assert STRANGER.address not in [signer for signer, _ in payload.signatures]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (members(serial=5, signed_from=4), "signed for set 4 or later"),
        (members(serial=2), "set 2, which is in force"),
    ],
    ids=["stale", "early"],
)
def test_a_set_s_number_says_whether_it_is_too_old_or_too_new(admission: Proposal, now: Membership, said: str) -> None:
    with pytest.raises(AdmissionRefused, match=said):
        signed(admission, *KEYS).transaction(GENESIS, now)


def test_a_change_of_stakes_alone_does_not_make_it_stale(admission: Proposal) -> None:
    assert signed(admission, *KEYS).transaction(GENESIS, members(serial=5, signed_from=3)).serial == 3


def test_another_network(admission: Proposal) -> None:
    with pytest.raises(AdmissionRefused, match="a change for the network"):
        signed(admission, *KEYS).transaction("cd" * 32, members())


@pytest.mark.parametrize(
    ("add", "remove", "power", "said"),
    [
        (ADDRESSES[0], None, None, "not admitted yet"),
        (None, NEW.address, None, "an admitted validator"),
        (NEW.address, NEW.address, None, "different validators"),
        (NEW.address, None, 2, "one vote"),
    ],
)
def test_what_cannot_be_is_not_proposed(
    add: Address | None, remove: Address | None, power: int | None, said: str
) -> None:
    with pytest.raises(AdmissionRefused, match=said):
        propose(GENESIS, members(), add, remove, power)


def test_the_only_validator_stays() -> None:
    alone = replace(members(), admitted=(Admitted(ADDRESSES[0], 1, 0, 0),))
    with pytest.raises(AdmissionRefused, match="another validator that stays"):
        propose(GENESIS, alone, None, ADDRESSES[0])
    assert propose(GENESIS, alone, NEW.address, ADDRESSES[0]).remove == ADDRESSES[0]


def test_where_stake_votes_a_cap_is_named_and_may_change() -> None:
    with pytest.raises(AdmissionRefused, match="the cap"):
        propose(GENESIS, members(power="stake"), NEW.address, None)
    assert propose(GENESIS, members(power="stake"), ADDRESSES[0], None, 500).power == 500


def test_a_new_proposal_after_an_admission_is_for_the_set_it_leads_to() -> None:
    assert propose(GENESIS, members(serial=3, signed_from=4), NEW.address, None).serial == 4


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"serial": 4}, InvalidSignature),
        ({"power": 9}, InvalidSignature),
        ({"add": STRANGER.address}, InvalidSignature),
        ({"genesis": "cd" * 32}, InvalidSignature),
        ({"add": None}, InvalidEncoding),
        ({"format": "assay-admission-2"}, InvalidEncoding),
        ({"surprise": 1}, InvalidEncoding),
        ({"signatures": "many"}, InvalidEncoding),
    ],
)
def test_a_file_that_was_changed_on_its_way_is_refused(
    admission: Proposal, change: dict[str, Any], error: type[Exception]
) -> None:
    document = json.loads(signed(admission, KEYS[0]).to_json()) | change
    with pytest.raises(error):
        Proposal.from_json(json.dumps(document))


def test_a_signature_under_another_name_is_refused(admission: Proposal) -> None:
    text = signed(admission, KEYS[0]).to_json().replace(ADDRESSES[0], ADDRESSES[1])
    with pytest.raises(InvalidSignature):
        Proposal.from_json(text)
