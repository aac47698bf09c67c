"""Forged transactions of validators and about them: attestations, stakes, admissions, reports of misconduct."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chain.keys import ORDER, Key
from chain.schema import Hash
from chain.transactions import (
    AdmitValidator,
    Attest,
    ReportMisconduct,
    SignedCheckpoint,
    Stake,
    Unstake,
    VoteCheckpoint,
    body_of,
    sign,
)
from tests.chain.forgeries import ALICE, BOB, OWNER, POOR, VALIDATORS, ZERO, World, attestation

SALT = "0123456789abcdef" * 2


def admission(
    world: World, signers: tuple[Key, ...] = tuple(VALIDATORS[:3]), genesis: Hash | None = None, **changes: Any
) -> AdmitValidator:
    """Alice is to become a validator; ``changes`` are made after the signatures."""
    change = AdmitValidator(0, ALICE.address, None, 1, ())
    digest = change.digest(genesis or world.twin.chain.genesis_id)
    signatures = tuple(sorted((key.address, key.sign(digest)) for key in signers))
    return replace(replace(change, signatures=signatures), **changes)


def report(
    world: World, key: Key = VALIDATORS[3], other: Key | None = None, heights: tuple[int, int] = (9, 9),
    genesis: Hash | None = None, accused: Key | None = None,
) -> ReportMisconduct:  # fmt: skip
    """Two votes by ``key`` for different blocks of one height, or whatever is given."""
    votes = []
    for signer, block, height in ((key, "a", heights[0]), (other or key, "b", heights[1])):
        vote = VoteCheckpoint(world.twin.chain.genesis_id, 0, Hash(block * 64), height)
        signed = sign(body_of(vote, signer.address, genesis or world.twin.chain.genesis_id, SALT, 0), signer)
        votes.append(SignedCheckpoint(SALT, 0, vote, signed.signature))
    return ReportMisconduct((accused or key).address, tuple(votes), ())


def high_s(signed: Attest) -> Attest:
    """The other form of the same signature: s mirrored, v flipped. Many libraries accept both."""
    data = bytes.fromhex(signed.signature)
    mirrored = (ORDER - int.from_bytes(data[32:64], "big")).to_bytes(32, "big")
    return replace(signed, signature=(data[:32] + mirrored + bytes([55 - data[64]])).hex())


Forgery = Callable[[World], bytes]
#: name: (the bytes, status over HTTP, code, words of the message)
OF_VALIDATORS: dict[str, tuple[Forgery, int, str, str]] = {
    # attest
    "an attestation by who is no validator": (
        lambda w: w.signed(attestation(w.client, ALICE), ALICE).data, 403, "forbidden", "a validator",
    ),
    "an attestation signed by another validator": (
        lambda w: w.signed(attestation(w.client, VALIDATORS[2]), VALIDATORS[1]).data,
        400, "invalid_field", "the sender's EIP-712 signature",
    ),
    "an attestation of another score": (
        lambda w: w.signed(attestation(w.client, VALIDATORS[1], score=999_999), VALIDATORS[1]).data,
        400, "invalid_field", "as it stands on the chain",
    ),
    "an attestation for another network": (
        lambda w: w.signed(attestation(w.client, VALIDATORS[1], genesis=ZERO), VALIDATORS[1]).data,
        400, "invalid_field", "as it stands on the chain",
    ),
    "an attestation of a version that there is not": (
        lambda w: w.signed(replace(attestation(w.client, VALIDATORS[1]), version=2), VALIDATORS[1]).data,
        422, "unknown", "roses@2",
    ),
    "an attestation with a high s": (
        lambda w: w.signed(high_s(attestation(w.client, VALIDATORS[1])), VALIDATORS[1]).data,
        400, "invalid_field", "high-s twin",
    ),
    "an attestation for the second time": (
        lambda w: w.signed(attestation(w.client, VALIDATORS[0]), VALIDATORS[0]).data, 409, "duplicate", "not there yet",
    ),
    # stake, unstake
    "a stake of more than there is": (
        lambda w: w.signed(Stake(10**9)).data, 422, "insufficient_balance", "at most",
    ),
    "a stake of nothing": (lambda w: w.raw(Stake(5), amount=0), 400, "invalid_encoding", "at least 1"),
    "a negative stake": (lambda w: w.raw(Stake(5), amount=-5), 400, "invalid_encoding", "at least 1"),
    "a stake by who owns too little": (
        lambda w: w.signed(Stake(1), POOR).data, 422, "insufficient_balance", "owns at least",
    ),
    "giving up more than is staked": (
        lambda w: w.signed(Unstake(5)).data, 422, "insufficient_stake", "the sender's stake",
    ),
    "giving up a negative amount": (lambda w: w.raw(Unstake(5), amount=-5), 400, "invalid_encoding", "at least 1"),
    # admit_validator
    "an admission signed by two of four": (
        lambda w: w.signed(admission(w, tuple(VALIDATORS[:2]))).data, 403, "forbidden", "a quorum, weight 3",
    ),
    "an admission signed by strangers": (
        lambda w: w.signed(admission(w, (ALICE, BOB, OWNER))).data, 403, "forbidden", "signatures of validators",
    ),
    "an admission of another than was signed for": (
        lambda w: w.signed(admission(w, add=BOB.address)).data, 400, "invalid_field", "of this very change",
    ),
    "an admission signed on another network": (
        lambda w: w.signed(admission(w, genesis=ZERO)).data, 400, "invalid_field", "of this very change",
    ),
    "an admission with one signature twice": (
        lambda w: w.signed(admission(w, signatures=admission(w).signatures[:1] * 3)).data,
        400, "invalid_field", "none twice",
    ),
    "an admission with two votes": (
        lambda w: w.signed(admission(w, power=2)).data, 400, "invalid_field", "each member has one vote",
    ),
    "an admission of a validator": (
        lambda w: w.signed(admission(w, add=VALIDATORS[0].address)).data, 409, "duplicate", "who is admitted",
    ),
    "the removal of who is no validator": (
        lambda w: w.signed(admission(w, add=None, power=0, remove=BOB.address)).data,
        409, "duplicate", "one that has happened",
    ),
    "an admission that changes nothing": (
        lambda w: w.signed(admission(w, add=None, power=0)).data, 400, "invalid_field", "somebody to add",
    ),
    # report_misconduct
    "a report of votes that go together": (
        lambda w: w.signed(report(w, heights=(9, 10))).data, 400, "invalid_field", "contradict each other",
    ),
    "a report of one vote twice": (
        lambda w: w.signed(replace(report(w), checkpoints=report(w).checkpoints[:1] * 2)).data,
        400, "invalid_field", "contradict each other",
    ),
    "a report with a vote that another signed": (
        lambda w: w.signed(report(w, other=ALICE)).data, 400, "invalid_field", "a vote signed by",
    ),
    "a report that accuses another": (
        lambda w: w.signed(report(w, accused=VALIDATORS[2])).data, 400, "invalid_field", "a vote signed by",
    ),
    "a report of votes on another network": (
        lambda w: w.signed(report(w, genesis=ZERO)).data, 400, "invalid_field", "a vote signed by",
    ),
    "a report on who is neither validator nor has stake": (
        lambda w: w.signed(report(w, ALICE)).data, 409, "conflict", "somebody with stake",
    ),
    "a report of a single vote": (
        lambda w: w.signed(replace(report(w), checkpoints=report(w).checkpoints[:1])).data,
        400, "invalid_field", "two votes",
    ),
}  # fmt: skip
