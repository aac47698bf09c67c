"""A signature has one form, and the reference implementation of Ethereum's agrees with ours."""

from __future__ import annotations

import contextlib

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidSignature
from chain.keys import ORDER, Key, recover, recover_all, signing_hash

secrets_ = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)
DIGEST = b"\x07" * 32
KEY = Key(b"\x01" * 32)
SIGNATURE = KEY.sign(DIGEST)


@given(secrets_, digests)
def test_addresses_and_signatures_are_those_of_eth_account(secret: bytes, digest: bytes) -> None:
    key, reference = Key(secret), Account.from_key(secret)
    assert key.address == reference.address.lower()
    signature = key.sign(digest)
    assert signature == reference.sign_message(encode_defunct(digest)).signature.hex().removeprefix("0x")
    assert recover(digest, signature) == key.address
    assert Account.recover_message(encode_defunct(digest), signature=signature).lower() == key.address


@given(digests, st.integers(0, 129), st.sampled_from("0123456789abcdef"))
def test_a_changed_digit_gives_another_signer_or_none(digest: bytes, place: int, digit: str) -> None:
    signature = KEY.sign(digest)
    changed = signature[:place] + digit + signature[place + 1 :]
    if changed == signature:
        return
    with contextlib.suppress(InvalidSignature):
        assert recover(digest, changed) != KEY.address


def test_the_high_s_twin_is_refused() -> None:
    r, s, v = SIGNATURE[:64], int(SIGNATURE[64:128], 16), int(SIGNATURE[128:], 16)
    twin = f"{r}{ORDER - s:064x}{55 - v:02x}"
    with pytest.raises(InvalidSignature, match="high-s"):
        recover(DIGEST, twin)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("0x" + SIGNATURE, "130 lowercase"),
        (SIGNATURE.upper(), "130 lowercase"),
        (SIGNATURE[:-2], "130 lowercase"),
        (SIGNATURE + "00", "130 lowercase"),
        (SIGNATURE + "\n", "130 lowercase"),
        ("", "130 lowercase"),
        (bytes.fromhex(SIGNATURE), "130 lowercase"),
        (None, "130 lowercase"),
        (SIGNATURE[:128] + "00", "v = 0"),
        (SIGNATURE[:128] + "01", "v = 1"),
        (SIGNATURE[:128] + "1d", "v = 29"),
        (SIGNATURE[:128] + "25", "v = 37"),
        ("00" * 32 + SIGNATURE[64:], "no key can have made"),
        (SIGNATURE[:64] + "00" * 32 + SIGNATURE[128:], "no key can have made"),
        (f"{ORDER:064x}" + SIGNATURE[64:], "no key can have made"),
        ("00" * 31 + "05" + SIGNATURE[64:], "no key can have made"),  # 5 is no x of a point
    ],
)
def test_other_forms_are_refused(signature: str, message: str) -> None:
    with pytest.raises(InvalidSignature, match=message):
        recover(DIGEST, signature)


FORGERIES = st.sampled_from(["", "00" * 65, "00" * 64 + "1b", "00" * 31 + "05" + SIGNATURE[64:], SIGNATURE.upper()])
CHANGED = st.builds(
    lambda place, digit: SIGNATURE[:place] + digit + SIGNATURE[place + 1 :],
    st.integers(0, 129), st.sampled_from("0123456789abcdef"),
)  # fmt: skip


@given(st.lists(st.tuples(st.just(DIGEST) | digests, st.just(SIGNATURE) | CHANGED | FORGERIES)))
def test_many_are_recovered_as_each_would_be(asked: list[tuple[bytes, str]]) -> None:
    each: list[str | None] = []
    for digest, signature in asked:
        each.append(None)
        with contextlib.suppress(InvalidSignature):
            each[-1] = recover(digest, signature)
    assert recover_all(asked) == each


def test_a_secret_is_32_bytes_in_range() -> None:
    for secret in (b"", b"\x01" * 31, b"\x01" * 33, bytes(32), ORDER.to_bytes(32, "big")):
        with pytest.raises(ValueError, match=r".+"):
            Key(secret)


def test_a_digest_is_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        signing_hash(b"short")


def test_a_key_shows_its_address_alone() -> None:
    assert repr(KEY) == f"Key({KEY.address})"
    assert KEY.secret.hex() not in repr(KEY) + str(KEY)
