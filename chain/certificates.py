"""Adoption certificates: a version with a quorum of attestations, which anybody can check offline.

A certificate proves to whoever knows a validator set that a quorum of it vouches for a version of a model: which
candidate, trained on which dataset, with which score. It holds nothing that is not either signed by the attestations
or compared with the set that the verifier knows, so nothing in it can be changed unnoticed.

Two forms of the same: DAG-CBOR (schema), an IPLD node; and JSON (RFC 8785 as written, any spacing as read) with CIDs
as text and with scores and weights as decimal text, since they may exceed what a JSON number holds exactly (2^53).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import rfc8785

from chain import schema
from chain.attestations import Statement, signer
from chain.encoding import Link, from_json, shown
from chain.errors import ChainError, InvalidEncoding, InvalidSignature
from chain.payload_types import SignatureText
from chain.schema import Address, Hash, Items, Range
from chain.state.attestations import statement_of
from chain.state.attested import Attested
from chain.state.objects import Model, ValidatorSet, Version

#: A certificate of 21 validators has about 7,000 bytes.
MAX_BYTES = 256 * 1024
#: More than any network admits as validators; a bound for decoders.
MAX_MEMBERS = 1024
FORMAT = "assay-certificate-1"

_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,18}")


class CertificateRefused(ChainError):  # noqa: N818 - as the errors of chain/errors.py
    """A certificate that proves nothing to this verifier."""

    code: ClassVar[str] = "certificate_refused"
    advice: ClassVar[str] = "Do not rely on it; ask a coordinator of the network for a new one."


class OutdatedSet(CertificateRefused):
    """It was made by a set that has been replaced: its keys may be in anybody's hands by now."""

    code = "outdated_set"
    advice = "Ask for a certificate by the set in force; validators attest versions in service again."


class UnknownSet(CertificateRefused):
    """It was made by a set that the verifier does not know."""

    code = "unknown_set"
    advice = "Get the members of that set from somebody you believe, and name them."


class WrongMembers(CertificateRefused):
    """Its set has other members or weights than the verifier knows it by."""

    code = "wrong_members"


class OtherNetwork(CertificateRefused):
    """It is of another network than the one asked about."""

    code = "other_network"
    advice = "Compare the genesis hashes; a certificate holds on its own network only."


class FalseAttestation(CertificateRefused):
    """One of its signatures is not the named validator's under what the certificate says."""

    code = "false_attestation"


class DuplicateSigner(CertificateRefused):
    """A validator is there twice."""

    code = "duplicate_signer"


class BelowQuorum(CertificateRefused):
    """Too little of the set's weight attested."""

    code = "below_quorum"
    advice = "Wait until more validators have attested, then ask for it again."


@dataclass(frozen=True)
class Member:
    """A member of the validator set and its weight."""

    address: Address
    weight: Annotated[int, Range(0)]


@dataclass(frozen=True)
class Signature:
    """A validator's EIP-712 signature under the certificate's statement (chain/attestations.py)."""

    validator: Address
    signature: SignatureText


@dataclass(frozen=True)
class Certificate:
    """`members` are the validator set `statement.set`; members and attestations are sorted by address."""

    statement: Statement
    members: Annotated[tuple[Member, ...], Items(1, MAX_MEMBERS)]
    attestations: Annotated[tuple[Signature, ...], Items(1, MAX_MEMBERS)]

    def to_bytes(self) -> bytes:
        """DAG-CBOR. Raises InvalidEncoding."""
        return schema.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Certificate:
        """From `to_bytes`. Raises InvalidEncoding."""
        return schema.from_bytes(cls, data, MAX_BYTES)

    def to_document(self) -> dict[str, Any]:
        """The plain JSON object."""
        statement = schema.to_object(self.statement)
        statement |= {name: str(statement[name]) for name in ("candidate", "dataset", "score")}
        return {
            "format": FORMAT,
            "statement": statement,
            "members": [{"address": each.address, "weight": str(each.weight)} for each in self.members],
            "attestations": [schema.to_object(each) for each in self.attestations],
        }

    def to_json(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return rfc8785.dumps(self.to_document())

    @classmethod
    def from_json(cls, text: str | bytes) -> Certificate:
        """From its JSON form in any spacing. Raises InvalidEncoding for anything else."""
        return cls.from_document(from_json(text, MAX_BYTES))

    @classmethod
    def from_document(cls, document: object) -> Certificate:
        """From its plain JSON object. Raises InvalidEncoding."""
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise InvalidEncoding(f'a certificate: an object with "format": "{FORMAT}"', shown(document))
        fields = {name: value for name, value in document.items() if name != "format"}
        statement = fields.get("statement")
        if isinstance(statement, dict):
            links = {name: _link(statement[name]) for name in ("candidate", "dataset") if name in statement}
            score = {"score": _integer(statement["score"], "statement.score")} if "score" in statement else {}
            fields["statement"] = statement | links | score
        if isinstance(fields.get("members"), list):
            fields["members"] = [_member(each, index) for index, each in enumerate(fields["members"])]
        return schema.from_object(cls, fields)


def certify(
    statement: Statement, validators: ValidatorSet, attestations: Sequence[tuple[Address, str]]
) -> Certificate:
    """The certificate of `attestations` (validator and signature) by a set. It is not verified."""
    members = zip(validators.members, validators.weights, strict=True)
    return Certificate(
        statement,
        tuple(Member(*member) for member in sorted(members)),
        tuple(Signature(*attestation) for attestation in sorted(attestations)),
    )


def certificate_of(genesis: Hash, model: Model, version: Version, attested: Attested | None) -> Certificate | None:
    """The certificate by the newest set with a quorum, as the state has it; None while there is none."""
    found = attested.certified if attested is not None else None
    if found is None:
        return None
    statement = statement_of(genesis, found.validators.serial, model, version)
    return certify(statement, found.validators, [(one.validator, one.signature) for one in found.attestations])


def verify(
    certificate: Certificate,
    known: ValidatorSet | Sequence[ValidatorSet],
    newest_serial: int | None = None,
    genesis: Hash | None = None,
) -> None:
    """Whether a quorum of a set that the verifier knows vouches for what the certificate says; needs nobody else.

    `known`: one or several sets of one network; a certificate by an older one than the newest of them is refused, and
    by one before `newest_serial`, for who has heard of a newer set without knowing its members. `genesis`: refuse
    other networks; without it the network is the one where these keys are these validators.

    Raises CertificateRefused, whose subclasses and text say why; ValueError where `known` is empty or contradicts
    itself.
    """
    sets = _by_serial(known)
    statement = certificate.statement
    if genesis is not None and statement.genesis != genesis:
        raise OtherNetwork(f"a certificate of the network {genesis}", statement.genesis, "statement.genesis")
    newest = max(*sets, newest_serial or 0)
    if statement.set < newest:
        raise OutdatedSet(f"a certificate by set {newest} or a later one", str(statement.set), "statement.set")
    validators = sets.get(statement.set)
    if validators is None:
        raise UnknownSet(f"a certificate by set {max(sets)}, which is known here", str(statement.set), "statement.set")
    _check_members(certificate, validators)
    signers = [attestation.validator for attestation in certificate.attestations]
    for index, attestation in enumerate(certificate.attestations):
        if attestation.validator in signers[:index]:
            raise DuplicateSigner("each validator once", attestation.validator, f"attestations[{index}]")
        _check_attestation(statement, attestation, validators, f"attestations[{index}]")
    weight, quorum = validators.weight_of(signers), validators.quorum()
    if weight < quorum:
        raise BelowQuorum(f"attestations with a weight of {quorum} of {validators.total}", str(weight), "attestations")


def _by_serial(known: ValidatorSet | Sequence[ValidatorSet]) -> dict[int, ValidatorSet]:
    sets: dict[int, ValidatorSet] = {}
    for each in [known] if isinstance(known, ValidatorSet) else known:
        if _weights(each) != _weights(sets.setdefault(each.serial, each)):
            raise ValueError(f"two different validator sets have the number {each.serial}: leave out the wrong one")
    if not sets:
        raise ValueError("expected at least one validator set to check the certificate against, found none")
    return sets


def _weights(validators: ValidatorSet) -> dict[Address, int]:
    return dict(zip(validators.members, validators.weights, strict=True))


def _check_members(certificate: Certificate, validators: ValidatorSet) -> None:
    stated = [(member.address, member.weight) for member in certificate.members]
    expected = sorted(_weights(validators).items())
    if sorted(stated) != expected:
        odd = sorted(set(stated) ^ set(expected)) or [pair for pair in stated if stated.count(pair) > 1]
        raise WrongMembers(
            f"the members and weights that set {validators.serial} is known to have",
            "a difference in " + ", ".join(f"{address} (weight {weight})" for address, weight in odd[:4]),
            "members",
        )


def _check_attestation(statement: Statement, given: Signature, validators: ValidatorSet, where: str) -> None:
    if validators.weight(given.validator) == 0:
        raise FalseAttestation(f"a member of set {validators.serial}", given.validator, f"{where}.validator")
    expected = f"the signature of {given.validator} under the certificate's statement"
    try:
        found = signer(statement, given.signature)
    except InvalidSignature as error:
        raise FalseAttestation(expected, error.found, f"{where}.signature") from error
    if found != given.validator:
        raise FalseAttestation(expected, f"one that gives {found}", f"{where}.signature")


def _link(value: object) -> object:
    return Link(value) if type(value) is str else value


def _member(value: object, index: int) -> object:
    if isinstance(value, dict) and "weight" in value:
        return value | {"weight": _integer(value["weight"], f"members[{index}].weight")}
    return value


def _integer(value: object, where: str) -> int:
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        raise InvalidEncoding("a decimal integer as text", shown(value), where)
    return int(value)
