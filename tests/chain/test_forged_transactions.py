"""Every forged transaction is refused with its own error and changes nothing: the list.

Each is tried three times: on a real node over HTTP, on the state that the node's blocks lead to, and in a block with
all its work done. "Changes nothing" is the digest of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests

from chain.encoding import read_raw, to_json, write_raw
from chain.errors import (
    BadTransaction,
    ChainError,
)
from chain.keys import ORDER
from chain.node.service import clock
from chain.transactions import (
    Signed,
    Stake,
    SubmitAggregate,
    Transfer,
    VoteCheckpoint,
)
from tests.chain.forged_membership import OF_VALIDATORS, admission, report
from tests.chain.forgeries import (
    ALICE,
    BOB,
    ENVIRONMENT,
    OWNER,
    POOR,
    VALIDATORS,
    ZERO,
    World,
    approval,
    attestation,
    block_of,
    content,
    finality_vote,
    refused,
    standing,
    transfer,
    update,
)

CBOR, JSON = "application/vnd.ipld.dag-cbor", "application/vnd.ipld.dag-json"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with standing(tmp_path_factory.mktemp("forgeries")) as found:
        yield found


def high_s(signed: Signed) -> bytes:
    """The other form of the same signature: s mirrored, v flipped. Many libraries accept both."""
    data = bytes.fromhex(signed.signature)
    mirrored = (ORDER - int.from_bytes(data[32:64], "big")).to_bytes(32, "big")
    return Signed(signed.body, (data[:32] + mirrored + bytes([55 - data[64]])).hex()).data


def with_signature(signed: Signed, signature: str) -> bytes:
    return write_raw({"body": read_raw(signed.body_data, 10_000), "signature": signature})


def patched(world: World, old: bytes, new: bytes) -> bytes:
    data = transfer(world).data
    assert data.count(old) == 1
    return data.replace(old, new)


Forgery = Callable[[World], bytes]
#: name: (the bytes, status over HTTP, code, words of the message)
TRANSACTIONS: dict[str, tuple[Forgery, int, str, str]] = {
    # signatures
    "another's signature": (
        lambda w: Signed(transfer(w).body, w.signed(Transfer(BOB.address, 5), ALICE).signature).data,
        400, "invalid_signature", "a signature by the sender",
    ),
    "a signature of something else": (
        lambda w: Signed(transfer(w).body, transfer(w).signature).data, 400, "invalid_signature", "by the sender",
    ),
    "a high s": (lambda w: high_s(transfer(w)), 400, "invalid_signature", "lower half"),
    "a v that is neither 27 nor 28": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:128] + "00"), 400, "invalid_signature", "27 or 28",
    ),
    "an r that is on no curve": (
        lambda w: with_signature(transfer(w), "ff" * 32 + "11" * 32 + "1b"), 400, "invalid_signature", "secp256k1",
    ),
    "a signature in capitals": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:-2].upper() + "1B"),
        400, "invalid_signature", "lowercase",
    ),
    "a signature cut short": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:-2]), 400, "invalid_signature", "130",
    ),
    # envelope
    "another network's": (lambda w: w.signed(Transfer(BOB.address, 5), genesis=ZERO).data, 400, "wrong_network", ZERO),
    "expired": (
        lambda w: w.signed(Transfer(BOB.address, 5), expires=w.state.time).data, 400, "expired", "an expiry after",
    ),
    "an expiry out of reach": (
        lambda w: w.signed(Transfer(BOB.address, 5), expires=clock() + 10**8).data,
        400, "expires_too_late", "at most",
    ),
    "a kind that does not exist": (lambda w: w.raw(kind="mint"), 400, "invalid_encoding", "body.kind"),
    "a field too many": (lambda w: w.raw(memo="hi"), 400, "invalid_encoding", "unknown field"),
    "a salt in capitals": (lambda w: w.raw(salt="AB" * 16), 400, "invalid_encoding", "body.salt"),
    # encoding
    "bytes after the end": (lambda w: transfer(w).data + b"\x00", 400, "invalid_encoding", "DAG-CBOR"),
    "keys in another order": (
        lambda w: b"\xa2" + transfer(w).data[-142:] + transfer(w).data[1:-142], 400, "invalid_encoding", "sorted",
    ),
    "a number longer than need be": (
        lambda w: patched(w, b"famount\x05", b"famount\x18\x05"), 400, "invalid_encoding", "canonical",
    ),
    "a map of open length": (
        lambda w: b"\xbf" + transfer(w).data[1:] + b"\xff", 400, "invalid_encoding", "Indefinite",
    ),
    "bytes where text belongs": (lambda w: w.raw(recipient=b"\x01\x02"), 400, "invalid_encoding", "recipient"),
    "nested a million deep": (lambda w: b"\x81" * 1_000_000, 400, "invalid_encoding", "deeper nesting"),
    "nothing": (lambda w: b"", 400, "invalid_encoding", "DAG-CBOR"),
    # types
    "a float": (lambda w: w.raw(amount=5.0), 400, "invalid_encoding", "amount"),
    "true for one": (lambda w: w.raw(amount=True), 400, "invalid_encoding", "amount"),
    "a number as text": (lambda w: w.raw(amount="5"), 400, "invalid_encoding", "amount"),
    "null": (lambda w: w.raw(amount=None), 400, "invalid_encoding", "amount"),
    "2^63": (lambda w: w.raw(amount=2**63), 400, "invalid_encoding", "amount"),
    "a negative amount": (lambda w: w.raw(amount=-5), 400, "invalid_encoding", "at least 0"),
    "an address in capitals": (
        lambda w: w.raw(recipient="0x" + "AB" * 20), 400, "invalid_encoding", "body.payload.recipient",
    ),
    # rights
    "overdrawn": (lambda w: w.signed(Transfer(BOB.address, 10**9)).data, 422, "insufficient_balance", "at most"),
    "a sender without the minimum balance": (
        lambda w: w.signed(Transfer(BOB.address, 1), POOR).data, 422, "insufficient_balance", "owns at least",
    ),
    "an update for another's claim": (
        lambda w: w.signed(update(w.client, w.training, 0), BOB).data, 403, "forbidden", "the holder of the lease",
    ),
    "an update with a seed of its own": (
        lambda w: w.signed(update(w.client, w.training, 0, seed=ZERO), ALICE).data, 409, "conflict", "the job's seed",
    ),
    "an update after the round": (
        lambda w: w.signed(update(w.client, w.voting, 0, artifact=content("better")), ALICE).data,
        409, "conflict", "training",
    ),
    "an aggregate by who trained nothing": (
        lambda w: w.signed(
            SubmitAggregate(w.voting, 0, 0, w.state.jobs[w.voting].update_ids, content("x"), 1, ENVIRONMENT), OWNER
        ).data,
        403, "forbidden", "an update in the round",
    ),
    "an approval by who is no validator": (
        lambda w: w.signed(approval(w), ALICE).data, 403, "forbidden", "a validator",
    ),
    "an approval of another score": (
        lambda w: w.signed(replace(approval(w), score=999_999), VALIDATORS[0]).data,
        400, "invalid_field", "the candidate's score",
    ),
    "an approval without the replays": (
        lambda w: w.signed(replace(approval(w), replayed=approval(w).replayed[:1]), VALIDATORS[0]).data,
        400, "invalid_field", "all 2 updates",
    ),
    "an approval of another candidate": (
        lambda w: w.signed(replace(approval(w), candidate=content("mine")), VALIDATORS[0]).data,
        409, "conflict", "the candidate",
    ),
    "an approval of another record": (
        lambda w: w.signed(replace(approval(w), record=ZERO), VALIDATORS[0]).data, 409, "conflict", "the record",
    ),
    "a checkpoint vote by who is no validator": (
        lambda w: w.signed(finality_vote(w), ALICE).data, 403, "forbidden", "a validator",
    ),
    "a checkpoint vote downwards": (
        lambda w: w.signed(VoteCheckpoint(w.twin.head.id, 5, w.twin.chain.genesis_id, 0), VALIDATORS[0]).data,
        400, "invalid_field", "above its source",
    ),
    **OF_VALIDATORS,
}  # fmt: skip


@pytest.fixture(params=list(TRANSACTIONS))
def forged(request: pytest.FixtureRequest, world: World) -> tuple[bytes, int, str, str]:
    make, status, code, words = TRANSACTIONS[request.param]
    return make(world), status, code, words


def test_what_the_forgeries_are_made_of_is_valid(world: World) -> None:
    for signed in (
        transfer(world),
        world.signed(update(world.client, world.training, 0), ALICE),
        world.signed(approval(world), VALIDATORS[0]),
        world.signed(attestation(world.client, VALIDATORS[1]), VALIDATORS[1]),
        world.signed(Stake(5)),
        world.signed(admission(world)),
        world.signed(report(world)),
    ):
        world.twin.chain.draft(clock()).add(signed)
    assert Signed.decode(world.raw()).signer == OWNER.address


def test_a_forged_transaction_is_refused_over_http(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, status, code, words = forged
    before, stood = world.digest(), world.client.chain()
    response = requests.post(f"{world.url}/transactions", data=data, headers={"Content-Type": CBOR}, timeout=10)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert words in problem["detail"]
    assert world.digest() == before
    after = world.client.chain()
    assert (after["pending"], after["pending_votes"]) == (stood["pending"], stood["pending_votes"])


def test_a_forged_transaction_does_not_apply(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, _, code, words = forged
    draft, other = world.twin.chain.draft(clock()), world.twin.chain.draft(clock())
    with pytest.raises(ChainError) as caught:
        draft.add(Signed.decode(data))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert draft.finish()[0].digest == other.finish()[0].digest


def test_a_forged_transaction_in_a_block_with_its_work_done(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, _, code, _ = forged
    try:
        signed = Signed.decode(data)
    except ChainError:
        return  # no block can hold it: its bytes are no transaction
    reason = refused(world, block_of(world, [signed], lambda digest: digest), BadTransaction)
    assert isinstance(reason, BadTransaction)
    assert reason.cause is not None
    assert (reason.index, reason.cause.code) == (0, code)


def test_a_float_in_json(world: World) -> None:
    before = world.digest()
    for written in ("5.0", "5e0", "NaN", "-Infinity", "-0.0"):
        text = to_json(transfer(world).to_object()).replace('"amount":5', f'"amount":{written}')
        assert written in text
        response = requests.post(f"{world.url}/transactions", data=text, headers={"Content-Type": JSON}, timeout=10)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_encoding")
    assert world.digest() == before


def test_a_repeated_transaction_is_acknowledged_and_applied_once(world: World) -> None:
    before = world.digest()
    response = requests.post(
        f"{world.url}/transactions", data=world.repeated.data, headers={"Content-Type": CBOR}, timeout=10
    )
    assert (response.status_code, response.json()["status"]) == (202, "final")
    assert world.digest() == before
    reason = refused(world, block_of(world, [world.repeated], lambda digest: digest), BadTransaction)
    assert isinstance(reason, BadTransaction)
    assert reason.cause is not None
    assert reason.cause.code == "duplicate"
