"""Attestations in the state: who may attest what, when, and when it is a certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.attestations import Statement, attest
from chain.certificates import certificate_of, verify
from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, NotYet, Unknown
from chain.state import State, ValidatorSet, statement_of
from chain.state.draft import Draft
from chain.state.tables import ONLY, VALIDATORS
from chain.transactions import Attest, VoteCheckpoint

KEY = "flowers@1"


def cast(chain: Any, source: int, target: int) -> None:
    vote = VoteCheckpoint(chain.ids[source], source, chain.ids[target], target)
    chain.mine(*(chain.sign(key, vote) for key in chain.validators[:3]))


def finalise(chain: Any) -> None:
    """Make the head final."""
    at = chain.state.height
    cast(chain, chain.state.finality.justified_height, at)
    cast(chain, at, at + 1)
    assert chain.state.finality.final_height == at


def said(chain: Any, **fields: Any) -> Statement:
    version = chain.state.versions[KEY]
    serial = chain.state.validators.serial
    return replace(statement_of(chain.state.genesis, serial, chain.policy(), version), **fields)


def payload(chain: Any, key: Any, /, signature: str | None = None, **fields: Any) -> Attest:
    statement = said(chain, **fields)
    return Attest(statement.model, statement.version, statement.set, signature or attest(statement, key))


def change_set(chain: Any, validators: ValidatorSet) -> None:
    """Another set is in force, whatever brought it."""
    draft = Draft(chain.state)
    draft.put(VALIDATORS, ONLY, validators)
    state = chain.state
    chain.states[-1] = draft.finish(state.height, state.time, state.genesis)


@pytest.fixture
def adopted(registered: Any) -> Any:
    """Version 1 of the model is adopted, not final."""
    job = registered.candidate()
    registered.votes(job, "approve")
    assert KEY in registered.state.versions
    return registered


@pytest.fixture
def final(adopted: Any) -> Any:
    finalise(adopted)
    return adopted


def test_an_attestation_is_kept_and_told(final: Any) -> None:
    key = final.validators[0]
    final.do(key, payload(final, key))
    attested = final.state.attestations[KEY]
    (only,) = attested.sets
    (found,) = only.attestations
    assert (found.validator, found.height) == (key.address, final.state.height)
    assert only.validators == final.state.validators
    assert (only.weight, only.complete, attested.certified) == (1, False, None)
    event = final.events[-1]
    assert event.kind == "attested"
    assert dict(event.fields) == {
        "model": "flowers", "version": 1, "set": 0, "validator": key.address, "weight": 1, "quorum": 3, "of": 4,
    }  # fmt: skip


def test_a_quorum_is_a_certificate_that_verifies_offline(final: Any) -> None:
    genesis, model, version = final.state.genesis, final.policy(), final.state.versions[KEY]
    for number, key in enumerate(final.validators, start=1):
        final.do(key, payload(final, key))
        attested = final.state.attestations[KEY]
        certificate = certificate_of(genesis, model, version, attested)
        assert (certificate is not None) == (number >= 3)
        if certificate is not None:
            verify(certificate, final.state.validators, genesis=genesis)
            assert len(certificate.attestations) == number
    assert final.kinds().count("certified") == 1
    assert final.kinds()[-2:] == ["certified", "attested"]


def test_nothing_else_changes(final: Any) -> None:
    before = final.state
    key = final.validators[0]
    final.do(key, payload(final, key))
    for name in ("accounts", "versions", "models", "open_jobs", "validators"):
        assert getattr(final.state, name) == getattr(before, name)
    assert final.replay().digest == final.state.digest
    assert State.from_snapshot(final.state.snapshot()) == final.state


def test_it_waits_until_the_adoption_is_final(adopted: Any) -> None:
    key = adopted.validators[0]
    attestation = payload(adopted, key)
    adopted.refuse(NotYet, key, attestation)
    finalise(adopted)
    adopted.do(key, attestation)


def test_only_validators_attest(final: Any) -> None:
    alice = final.who("alice")
    final.refuse(Forbidden, alice, payload(final, alice))


def test_only_versions_that_there_are(final: Any) -> None:
    key = final.validators[0]
    final.refuse(Unknown, key, replace(payload(final, key), version=2))
    final.refuse(Unknown, key, replace(payload(final, key), model="stars"))


def test_one_from_each_validator(final: Any) -> None:
    key = final.validators[0]
    final.do(key, payload(final, key))
    final.refuse(Duplicate, key, payload(final, key))


@pytest.mark.parametrize(
    "fields",
    [
        {"genesis": "cd" * 32}, {"model": "stars"}, {"version": 2}, {"metric": "f1_macro"}, {"score": 930_001},
        {"candidate": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
        {"dataset": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}, {"set": 1},
    ],
)  # fmt: skip
def test_a_signature_under_anything_else_is_refused(final: Any, fields: dict[str, Any]) -> None:
    key = final.validators[0]
    signature = attest(said(final, **fields), key)
    error = final.refuse(InvalidField, key, payload(final, key, signature=signature))
    assert error.where == "body.payload.signature"


@pytest.mark.parametrize("signature", ["00" * 65, "ff" * 65, "1b" * 65])
def test_a_signature_that_is_none_is_refused(final: Any, signature: str) -> None:
    key = final.validators[0]
    final.refuse(InvalidField, key, payload(final, key, signature=signature))


def test_a_signature_of_another_validator_is_refused(final: Any) -> None:
    key, other = final.validators[:2]
    final.refuse(InvalidField, key, payload(final, other))


def test_only_the_set_in_force_attests(final: Any) -> None:
    key = final.validators[0]
    old = payload(final, key)
    final.refuse(NotYet, key, payload(final, key, set=1))
    members = final.state.validators.members
    change_set(final, ValidatorSet(1, members, (1, 1, 1, 1)))
    final.refuse(Conflict, key, old)
    final.do(key, payload(final, key))


def test_a_new_set_attests_again_and_the_old_certificate_stands_until_it_has_a_quorum(final: Any) -> None:
    genesis, model, version = final.state.genesis, final.policy(), final.state.versions[KEY]
    first, newcomer = final.state.validators, final.who("dave")
    final.mine(*(final.sign(key, payload(final, key)) for key in final.validators[:3]))
    members = tuple(sorted([*(key.address for key in final.validators[1:]), newcomer.address]))
    second = ValidatorSet(1, members, (1, 1, 1, 1))
    change_set(final, second)
    for number, key in enumerate([newcomer, *final.validators[2:]], start=1):
        final.do(key, payload(final, key))
        certificate = certificate_of(genesis, model, version, final.state.attestations[KEY])
        assert certificate is not None
        assert certificate.statement.set == (1 if number == 3 else 0)
        verify(certificate, second if number == 3 else first)
    assert [one.validators.serial for one in final.state.attestations[KEY].sets] == [1]


def test_sets_without_a_quorum_are_forgotten(final: Any) -> None:
    """However often the set changes, a version keeps at most one certificate and what is under way."""
    members = final.state.validators.members
    key = final.validators[0]
    for serial in range(1, 5):
        change_set(final, ValidatorSet(serial, members, (1, 1, 1, 1)))
        final.do(key, payload(final, key))
        assert [one.validators.serial for one in final.state.attestations[KEY].sets] == [serial]
