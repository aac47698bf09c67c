"""A version's adoption certificate, from what its validators have attested on the chain."""

from __future__ import annotations

from chain.certificates import Certificate, certificate_of
from chain.client import NodeClient, View
from chain.schema import Hash
from chain.state import Attested, ValidatorSet, Version
from coordinator.problems import no_certificate, unknown


def certificate_for(node: NodeClient, name: str, number: int) -> Certificate:
    """The certificate by the newest set with a quorum.

    Raises `Problem` 404 where there is none, saying what it waits for, and `NodeUnavailable`.
    """
    model = node.model(name)
    if model is None:
        raise unknown("model", name, "GET /api/v1/models lists them")
    version = node.version_view(name, number)
    attested = node.attested_view(name, number)
    if version is None or attested is None:
        raise unknown("version", f"{name}@{number}", f"{name!r} has versions 1 to {model.versions}")
    found = certificate_of(Hash(node.genesis_hash()), model, version.value, attested.value)
    if found is None:
        raise no_certificate(_waiting(version, attested.value, node.validators()))
    return found


def _waiting(version: View[Version], attested: Attested, validators: ValidatorSet) -> str:
    """What is missing for a certificate, for people."""
    name = f"version {version.value.number} of {version.value.model}"
    if version.value.height > version.final_height:
        return (
            f"{name} is adopted but not final: validators attest it once block {version.value.height} is "
            f"(the last final one is {version.final_height}); ask again then"
        )
    by = attested.by(validators.serial)
    signers = {one.validator for one in by.attestations} if by is not None else set()
    missing = [member for member in validators.members if member not in signers and validators.weight(member)]
    return (
        f"{name} is final, and validators with a weight of {by.weight if by is not None else 0} of "
        f"{validators.total} have attested it; a certificate needs {validators.quorum()}. Missing in set "
        f"{validators.serial}: {', '.join(missing)}; ask again when they have"
    )
