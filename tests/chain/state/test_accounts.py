"""Who may send what: the envelope's rules that need the state, and transfers."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from chain.errors import (
    Duplicate,
    Expired,
    ExpiresTooLate,
    InsufficientBalance,
    InvalidSignature,
    WrongNetwork,
)
from chain.keys import ORDER
from chain.params import DEVELOPMENT, Genesis
from chain.state import genesis_state
from chain.state.accounts import FORGET_MS
from chain.transactions import Signed, Transfer


def balances(chain: Any) -> dict[str, int]:
    return {name: chain.state.accounts[chain.address(name)].balance for name in ("alice", "bob")}


def test_a_transfer_moves_an_amount(chain: Any) -> None:
    chain.do("alice", Transfer(chain.address("bob"), 300))
    assert balances(chain) == {"alice": 9_700, "bob": 10_300}


def test_a_transfer_can_make_an_account(chain: Any) -> None:
    chain.do("alice", Transfer(chain.address("newcomer"), 5))
    assert chain.state.accounts[chain.address("newcomer")].balance == 5


def test_a_transfer_to_oneself_changes_nothing(chain: Any) -> None:
    chain.do("alice", Transfer(chain.address("alice"), 10_000))
    assert balances(chain) == {"alice": 10_000, "bob": 10_000}


def test_a_transfer_of_nothing_is_in_a_block_and_makes_no_account(chain: Any) -> None:
    before = dict(chain.state.accounts)
    chain.do("alice", Transfer(chain.address("newcomer"), 0))
    chain.do(chain.validators[0], Transfer(chain.validators[0].address, 0))
    assert dict(chain.state.accounts) == before


def test_an_overdrawn_transfer_is_refused(chain: Any) -> None:
    error = chain.refuse(InsufficientBalance, "alice", Transfer(chain.address("bob"), 10_001))
    assert (error.balance, error.needed) == (10_000, 10_001)


def test_two_transfers_of_one_block_see_each_other(chain: Any) -> None:
    chain.mine(
        chain.sign("alice", Transfer(chain.address("newcomer"), 9_000)),
        chain.sign("newcomer", Transfer(chain.address("bob"), 9_000)),
    )
    assert balances(chain) == {"alice": 1_000, "bob": 19_000}


def test_a_sender_below_the_minimum_balance_is_refused(chain: Any) -> None:
    chain.do("alice", Transfer(chain.address("newcomer"), DEVELOPMENT.minimum_balance - 1))
    chain.refuse(InsufficientBalance, "newcomer", Transfer(chain.address("bob"), 1))


def test_a_validator_needs_no_balance(chain: Any) -> None:
    chain.refuse(InsufficientBalance, chain.validators[0], Transfer(chain.address("bob"), 1))


def test_a_repeated_transaction_is_refused(chain: Any) -> None:
    signed = chain.sign("alice", Transfer(chain.address("bob"), 1))
    chain.mine(signed)
    chain.refuse_signed(Duplicate, signed)


def test_the_same_intention_with_another_salt_is_another_transaction(chain: Any) -> None:
    for _ in range(2):
        chain.do("alice", Transfer(chain.address("bob"), 1))
    assert balances(chain)["alice"] == 9_998


def test_an_expired_transaction_is_refused(chain: Any) -> None:
    payload = Transfer(chain.address("bob"), 1)
    chain.refuse(Expired, "alice", payload, expires=chain.time + 1)
    chain.do("alice", payload, expires=chain.time + 2)


def test_an_expiry_too_far_ahead_is_refused(chain: Any) -> None:
    latest = chain.time + 1 + DEVELOPMENT.max_expiry_ms
    chain.refuse(ExpiresTooLate, "alice", Transfer(chain.address("bob"), 1), expires=latest + 1)
    chain.do("alice", Transfer(chain.address("bob"), 1), expires=latest)


def test_an_id_is_kept_until_its_expiry_and_then_forgotten(chain: Any) -> None:
    signed = chain.sign("alice", Transfer(chain.address("bob"), 1), expires=chain.time + FORGET_MS)
    chain.mine(signed)
    chain.refuse_signed(Duplicate, signed)
    chain.wait(FORGET_MS - 2)
    chain.refuse_signed(Duplicate, signed)
    chain.wait(2 * FORGET_MS)
    assert signed.id not in chain.state.snapshot().decode(errors="ignore")
    chain.refuse_signed(Expired, signed)


def test_a_transaction_for_another_network_is_refused(chain: Any) -> None:
    chain.refuse(WrongNetwork, "alice", Transfer(chain.address("bob"), 1), genesis="1" * 64)
    chain.mine()
    chain.refuse(WrongNetwork, "alice", Transfer(chain.address("bob"), 1), genesis="1" * 64)


def test_a_wrong_signature_is_refused(chain: Any) -> None:
    signed = chain.sign("alice", Transfer(chain.address("bob"), 1))
    other = chain.sign("bob", Transfer(chain.address("bob"), 1))
    chain.refuse_signed(InvalidSignature, Signed(signed.body, other.signature))
    altered = dataclasses.replace(signed.body, payload=Transfer(chain.address("bob"), 2))
    chain.refuse_signed(InvalidSignature, Signed(altered, signed.signature))


def test_the_high_s_twin_of_a_signature_is_refused(chain: Any) -> None:
    signed = chain.sign("alice", Transfer(chain.address("bob"), 1))
    s = ORDER - int(signed.signature[64:128], 16)
    v = 27 + 28 - int(signed.signature[128:], 16)
    chain.refuse_signed(InvalidSignature, Signed(signed.body, f"{signed.signature[:64]}{s:064x}{v:02x}"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": "elsewhere"}, "network 'elsewhere'"),
        ({"validators": ()}, "1 to 21 different validators"),
        ({"validators": ("0x" + "1" * 40,) * 2}, "different validators"),
    ],
)
def test_a_genesis_that_does_not_fit_the_network_is_refused(chain: Any, fields: dict[str, Any], message: str) -> None:
    genesis: Genesis = dataclasses.replace(chain.genesis, **fields)
    with pytest.raises(ValueError, match=message):
        genesis_state(genesis, DEVELOPMENT)


def test_equal_geneses_give_equal_states(chain: Any) -> None:
    assert genesis_state(chain.genesis, DEVELOPMENT) == chain.states[0]
    fewer = dataclasses.replace(chain.genesis, balances=chain.genesis.balances[1:])
    assert genesis_state(fewer, DEVELOPMENT).digest != chain.states[0].digest
    assert hashlib.sha256().digest_size * 2 == len(chain.states[0].digest)
