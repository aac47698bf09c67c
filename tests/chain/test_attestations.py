"""EIP-712 attestations: what eth-account makes of the same statement, and that they bind every field of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from chain.attestations import Statement, attest, digest, domain_hash, signer, struct_hash, typed_data
from chain.encoding import cid_of
from chain.errors import InvalidSignature
from chain.keys import Key
from chain.schema import Cid, Hash

VECTORS = json.loads((Path(__file__).parent / "attestations.json").read_text())
KEY = Key(b"\x01" * 32)

cids = st.binary(max_size=8).map(lambda data: Cid(cid_of(data)))
counts = st.integers(0, 2**53 - 1)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
statements = st.builds(
    Statement,
    genesis=st.binary(min_size=32, max_size=32).map(lambda data: Hash(data.hex())),
    set=counts,
    model=names,
    version=st.integers(1, 2**53 - 1),
    candidate=cids,
    dataset=cids,
    metric=st.from_regex(r"[a-z0-9][a-z0-9_]{0,63}", fullmatch=True),
    score=st.integers(-(2**63), 2**63 - 1),
)


def statement(entry: dict[str, Any]) -> Statement:
    return Statement(genesis=Hash(entry["typed_data"]["domain"]["salt"][2:]), **entry["typed_data"]["message"])


@pytest.mark.parametrize("entry", VECTORS["attestations"])
def test_the_vectors_of_eth_account(entry: dict[str, Any]) -> None:
    said = statement(entry)
    assert domain_hash(said.genesis).hex() == entry["domain_hash"]
    assert struct_hash(said).hex() == entry["struct_hash"]
    assert digest(said).hex() == entry["digest"]
    assert typed_data(said) == entry["typed_data"]
    for secret in VECTORS["secrets"]:
        key = Key(bytes.fromhex(secret))
        assert attest(said, key) == entry["signatures"][key.address]
        assert signer(said, entry["signatures"][key.address]) == key.address


@given(statements)
def test_every_statement_has_the_digest_that_eth_account_gives_it(said: Statement) -> None:
    signable = encode_typed_data(full_message=typed_data(said))
    assert digest(said) == _hash_eip191_message(signable)
    assert Account.recover_message(signable, signature="0x" + attest(said, KEY)).lower() == KEY.address


@given(statements, statements, st.sampled_from([field.name for field in dataclasses.fields(Statement)]))
def test_every_field_is_bound(said: Statement, other: Statement, name: str) -> None:
    changed = dataclasses.replace(said, **{name: getattr(other, name)})
    same = changed == said
    assert (digest(changed) == digest(said)) == same
    assert (signer(changed, attest(said, KEY)) == KEY.address) == same


@pytest.mark.parametrize("signature", ["", "00" * 65, "ff" * 65, "AB" * 65, "1b" * 64])
def test_what_is_no_signature_is_nobody_s(signature: str) -> None:
    with pytest.raises(InvalidSignature):
        signer(statement(VECTORS["attestations"][0]), signature)


def test_it_is_no_signature_of_a_transaction() -> None:
    """A digest signed as a transaction's (EIP-191) and as an attestation's give different signatures."""
    said = statement(VECTORS["attestations"][0])
    assert signer(said, KEY.sign(digest(said))) != KEY.address


def test_only_32_bytes_are_signed() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KEY.sign_hash(b"short")
