"""Certificates: a quorum of one known set, and nothing in them that can be changed."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from chain.attestations import Statement, attest
from chain.certificates import (
    BelowQuorum,
    Certificate,
    CertificateRefused,
    DuplicateSigner,
    FalseAttestation,
    OtherNetwork,
    OutdatedSet,
    Signature,
    UnknownSet,
    WrongMembers,
    certify,
    verify,
)
from chain.encoding import cid_of, decode
from chain.errors import ChainError, InvalidEncoding
from chain.keys import Key
from chain.schema import Address, Cid, Hash
from chain.state import ValidatorSet

KEYS = sorted((Key(bytes([number]) * 32) for number in range(1, 5)), key=lambda key: key.address)
STRANGER = Key(b"\x09" * 32)
SET = ValidatorSet(3, tuple(key.address for key in KEYS), (1, 1, 1, 1))
SAID = Statement(
    genesis=Hash("ab" * 32),
    set=3,
    model="boston-ridge",
    version=2,
    candidate=Cid(cid_of(b"candidate")),
    dataset=Cid(cid_of(b"dataset")),
    metric="neg_mean_squared_error",
    score=-250_000_000_000_000_001,
)
#: Not SAID's genesis and CIDs.
OTHER = "cd" * 32
OTHER_CID = cid_of(b"other")


def of(keys: Sequence[Key], said: Statement = SAID, validators: ValidatorSet = SET) -> Certificate:
    return certify(said, validators, [(key.address, attest(said, key)) for key in keys])


GOOD = of(KEYS[:3])


def refuse(error: type[CertificateRefused], certificate: Certificate, *known: Any, **more: Any) -> CertificateRefused:
    with pytest.raises(error) as caught:
        verify(certificate, *(known or (SET,)), **more)
    assert type(caught.value) is error
    assert caught.value.code in ("certificate_refused", error.code)
    return caught.value


def test_a_quorum_of_the_known_set_is_accepted() -> None:
    verify(GOOD, SET)
    verify(of(KEYS), SET)
    verify(GOOD, [SET], newest_serial=3, genesis=SAID.genesis)
    verify(GOOD, [ValidatorSet(2, SET.members[:1], (1,)), SET])


def test_less_than_a_quorum_is_not() -> None:
    error = refuse(BelowQuorum, of(KEYS[:2]))
    assert "3 of 4" in str(error)


def test_it_is_weight_that_counts() -> None:
    heavy = ValidatorSet(3, SET.members, (10, 1, 1, 1))
    verify(of(KEYS[:1], validators=heavy), heavy)
    refuse(BelowQuorum, of(KEYS[1:], validators=heavy), heavy)


def test_a_validator_counts_once() -> None:
    twice = dataclasses.replace(GOOD, attestations=(*GOOD.attestations[:2], GOOD.attestations[0]))
    refuse(DuplicateSigner, twice)


def test_only_members_of_the_set_sign() -> None:
    refuse(FalseAttestation, of([*KEYS[:3], STRANGER]))


def test_a_member_of_no_weight_does_not_sign() -> None:
    idle = ValidatorSet(3, SET.members, (1, 1, 1, 0))
    verify(of(KEYS[:3], validators=idle), idle)
    refuse(FalseAttestation, of(KEYS, validators=idle), idle)


def test_one_signature_in_another_s_name_spoils_it() -> None:
    one, other = GOOD.attestations[:2]
    stolen = Signature(one.validator, other.signature)
    refuse(FalseAttestation, dataclasses.replace(GOOD, attestations=(stolen, *GOOD.attestations[1:])))


def test_a_set_older_than_the_newest_known_is_refused() -> None:
    newer = ValidatorSet(4, SET.members[:3], (1, 1, 1))
    refuse(OutdatedSet, GOOD, newer)
    refuse(OutdatedSet, GOOD, [newer, SET])
    refuse(OutdatedSet, GOOD, SET, newest_serial=4)


def test_a_set_that_is_not_known_is_refused() -> None:
    refuse(UnknownSet, GOOD, ValidatorSet(2, SET.members, SET.weights))


def test_a_set_of_other_members_is_refused() -> None:
    """Keys of somebody's own, a quorum among themselves, under the number of the real set."""
    own = [Key(bytes([number]) * 32) for number in range(11, 15)]
    validators = ValidatorSet(3, tuple(sorted(key.address for key in own)), (1, 1, 1, 1))
    refuse(WrongMembers, of(own, validators=validators))
    refuse(WrongMembers, of(KEYS[:3], validators=ValidatorSet(3, SET.members[:3], (1, 1, 1))))
    refuse(WrongMembers, of(KEYS[:3], validators=ValidatorSet(3, SET.members, (1, 1, 1, 2))))
    refuse(WrongMembers, dataclasses.replace(GOOD, members=(*GOOD.members, GOOD.members[0])))


def test_another_network_is_refused_where_one_is_named() -> None:
    refuse(OtherNetwork, GOOD, SET, genesis=Hash(OTHER))


def test_without_a_set_or_with_two_of_one_number_nothing_can_be_said() -> None:
    with pytest.raises(ValueError, match="at least one"):
        verify(GOOD, [])
    with pytest.raises(ValueError, match="number 3"):
        verify(GOOD, [SET, ValidatorSet(3, SET.members[:3], (1, 1, 1))])


def test_attestations_of_another_set_do_not_add_up() -> None:
    before = dataclasses.replace(SAID, set=2)
    mixed = [(KEYS[0].address, attest(before, KEYS[0])), *((key.address, attest(SAID, key)) for key in KEYS[1:3])]
    refuse(FalseAttestation, certify(SAID, SET, mixed))


# Forms


def test_both_forms_say_the_same() -> None:
    assert Certificate.from_json(GOOD.to_json()) == GOOD
    assert Certificate.from_bytes(GOOD.to_bytes()) == GOOD
    document = json.loads(GOOD.to_json())
    assert rfc8785.dumps(document) == GOOD.to_json()
    assert document["statement"]["score"] == "-250000000000000001"
    assert Certificate.from_json(json.dumps(document, indent=4)) == GOOD
    assert decode(GOOD.to_bytes(), 10_000)["statement"]["candidate"] == SAID.candidate


def test_members_and_attestations_are_sorted() -> None:
    again = of([KEYS[2], KEYS[0], KEYS[1]], validators=ValidatorSet(3, SET.members[::-1], (1, 1, 1, 1)))
    assert again == GOOD


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b'{"format":"assay-certificate-2"}', b'{"format":"assay-certificate-1"}',
        b'{"format":"assay-certificate-1","statement":1,"members":2,"attestations":3}', b"[" * 100_000,
        b'{"format":"assay-certificate-1","statement":{},"members":[1],"attestations":[]}',
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_an_error_of_ours(text: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        Certificate.from_json(text)
    with pytest.raises(InvalidEncoding):
        Certificate.from_bytes(text)


@pytest.mark.parametrize("score", [1, 1.5, "1.0", "01", "-0", "+1", "", " 1", "9" * 19, "1" * 400, None, "٣"])
def test_a_score_has_one_spelling(score: Any) -> None:
    document = GOOD.to_document()
    document["statement"]["score"] = score
    with pytest.raises(InvalidEncoding):
        Certificate.from_document(document)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every leaf of the document."""
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            yield from places(value, (*path, key))
    else:
        yield path


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD.to_document())
    at = document
    for key in path[:-1]:
        at = at[key]
    assert at[path[-1]] != value or type(at[path[-1]]) is not type(value)
    at[path[-1]] = value
    return document


def values_for(old: Any) -> st.SearchStrategy[Any]:
    """Others in place of a leaf: of the same form, and of any."""
    texts = st.sampled_from([OTHER, OTHER_CID, "accuracy", "0", "7"])
    same = st.integers(0, 2**53 - 1) if isinstance(old, int) else texts
    anything = st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.lists(st.integers(), max_size=2)

    def one_digit(at: int, digit: str) -> Any:
        return f"{old[: at % len(old)]}{digit}{old[at % len(old) + 1 :]}" if isinstance(old, str) else old + at + 1

    digits = st.builds(one_digit, st.integers(0, 200), st.sampled_from("0123456789abcdef"))
    return (same | anything | digits).filter(lambda value: value != old or type(value) is not type(old))


@given(st.data())
def test_a_certificate_with_any_field_changed_is_refused(data: st.DataObject) -> None:
    document = GOOD.to_document()
    path = data.draw(st.sampled_from(list(places(document))))
    old: Any = document
    for key in path:
        old = old[key]
    tampered = changed(path, data.draw(values_for(old)))
    with pytest.raises(ChainError):
        verify(Certificate.from_document(tampered), SET, genesis=SAID.genesis)


@given(st.sampled_from(list(places(GOOD.to_document()))))
def test_a_certificate_without_a_field_is_refused(path: tuple[Any, ...]) -> None:
    document = copy.deepcopy(GOOD.to_document())
    at: Any = document
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    with pytest.raises(ChainError):
        Certificate.from_document(document)


@given(st.integers(0, len(GOOD.to_bytes()) - 1), st.integers(1, 255))
def test_any_byte_changed_is_refused(at: int, flip: int) -> None:
    data = bytearray(GOOD.to_bytes())
    data[at] ^= flip
    with pytest.raises(ChainError):
        verify(Certificate.from_bytes(bytes(data)), SET)


@given(st.sets(st.sampled_from(range(4))))
def test_exactly_quorums_are_accepted(signers: set[int]) -> None:
    if not signers:
        return
    certificate = of([KEYS[index] for index in sorted(signers)])
    if len(signers) >= 3:
        verify(certificate, SET)
    else:
        refuse(BelowQuorum, certificate)


def test_addresses_are_compared_as_written() -> None:
    """Capitals are no address of ours, also where their checksum is right."""
    document = GOOD.to_document()
    document["attestations"][0]["validator"] = Address(document["attestations"][0]["validator"].upper())
    with pytest.raises(InvalidEncoding):
        Certificate.from_document(document)
