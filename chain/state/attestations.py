"""Attestations in the state: which validators signed which adopted version, for certificates to be made of."""

from __future__ import annotations

from chain.attestations import Statement, signer
from chain.errors import Conflict, Duplicate, Forbidden, InvalidField, InvalidSignature, NotYet
from chain.schema import Hash
from chain.state.attested import Attestation, Attested, AttestedBy
from chain.state.context import Context, Origin, existing, require
from chain.state.models import version_key
from chain.state.objects import Model, ValidatorSet, Version
from chain.state.tables import ATTESTATIONS, FINALITY, MODELS, VERSIONS
from chain.transactions import Attest


def statement_of(genesis: Hash, serial: int, model: Model, version: Version) -> Statement:
    """What the validator set with this serial number attests of a version; ``genesis`` is the genesis block's id."""
    return Statement(
        genesis=genesis,
        set=serial,
        model=model.name,
        version=version.number,
        candidate=version.candidate,
        dataset=version.data,
        metric=model.metric,
        score=version.score,
    )


def apply_attest(context: Context, origin: Origin, payload: Attest) -> None:
    """Keep a validator's attestation of a version.

    Members of the set in force attest, each once. Raises ``Forbidden`` for who is not in it, ``Unknown`` for a
    version that there is not, ``NotYet`` while its adoption is not final or the set not in force, ``Conflict`` for a
    set that no longer is, ``InvalidField`` for a signature under something else, and ``Duplicate`` for the same again.
    """
    validators = context.validators
    require(validators.weight(origin.sender) > 0, Forbidden, "a validator", origin.sender, "body.sender")
    key = version_key(payload.model, payload.version)
    version = existing(context.draft.get(VERSIONS, key), "version", key)
    model = existing(context.draft.get(MODELS, payload.model), "model", payload.model)
    final_height = context.draft.only(FINALITY).final_height
    if version.height > final_height:
        raise NotYet(
            f"a version adopted at or below the last final block, height {final_height}",
            f"{key}, adopted at height {version.height}",
            "body.payload.version",
        )
    _check_set(validators, payload)
    attested = context.draft.get(ATTESTATIONS, key) or Attested(payload.model, payload.version, ())
    current = attested.by(validators.serial) or AttestedBy(validators, ())
    if current.of(origin.sender) is not None:
        raise Duplicate("an attestation that is not there yet", f"{origin.sender} attested {key} in this set")
    _check_signature(statement_of(context.genesis, payload.set, model, version), origin, payload)
    found = Attestation(origin.sender, payload.signature, context.height, context.time)
    grown = AttestedBy(validators, (*current.attestations, found))
    certified = attested.certified
    # A set that is neither in force nor certified gets no more attestations: it will never be a certificate.
    before = (certified,) if certified is not None and certified.validators.serial != validators.serial else ()
    kept = (grown,) if grown.complete else (*before, grown)
    context.draft.put(ATTESTATIONS, key, Attested(payload.model, payload.version, kept))
    context.emit(
        "attested", model=payload.model, version=payload.version, set=payload.set, validator=origin.sender,
        weight=grown.weight, quorum=validators.quorum(), of=validators.total,
    )  # fmt: skip
    if grown.complete and not current.complete:
        context.emit(
            "certified", model=payload.model, version=payload.version, set=payload.set, candidate=version.candidate
        )


def _check_set(validators: ValidatorSet, payload: Attest) -> None:
    if payload.set > validators.serial:
        raise NotYet(f"the set in force, number {validators.serial}", str(payload.set), "body.payload.set")
    if payload.set != validators.serial:
        raise Conflict(f"the set in force, number {validators.serial}", str(payload.set), "body.payload.set")


def _check_signature(statement: Statement, origin: Origin, payload: Attest) -> None:
    expected = "the sender's EIP-712 signature under the version as it stands on the chain"
    try:
        found = signer(statement, payload.signature)
    except InvalidSignature as error:
        raise InvalidField(expected, error.found, "body.payload.signature") from error
    if found != origin.sender:
        raise InvalidField(expected, f"one that gives {found}", "body.payload.signature")
