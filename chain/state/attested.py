"""What the chain knows of attestations, as its other objects (:mod:`chain.state.objects`)."""

from __future__ import annotations

from dataclasses import dataclass

from chain.schema import Address
from chain.state.objects import ValidatorSet


@dataclass(frozen=True)
class Attestation:
    """A validator's signature under an adopted version (:mod:`chain.attestations`)."""

    validator: Address
    signature: str
    height: int
    time: int


@dataclass(frozen=True)
class AttestedBy:
    """The attestations of one validator set, in the order in which they came."""

    validators: ValidatorSet
    attestations: tuple[Attestation, ...]

    @property
    def weight(self) -> int:
        """The weight of those who attested."""
        return self.validators.weight_of([one.validator for one in self.attestations])

    @property
    def complete(self) -> bool:
        """Whether they are a quorum of the set, and so a certificate."""
        return self.weight >= self.validators.quorum()

    def of(self, validator: str) -> Attestation | None:
        """The attestation of one validator."""
        return next((one for one in self.attestations if one.validator == validator), None)


@dataclass(frozen=True)
class Attested:
    """Who attested one version: by the newest set with a quorum and by the set in force since, where there is one.

    What an older set or one that never reached its quorum attested serves nobody any more and is forgotten.
    """

    model: str
    version: int
    sets: tuple[AttestedBy, ...]

    @property
    def certified(self) -> AttestedBy | None:
        """The newest set with a quorum."""
        return next((one for one in reversed(self.sets) if one.complete), None)

    def by(self, serial: int) -> AttestedBy | None:
        """What one set attested."""
        return next((one for one in self.sets if one.validators.serial == serial), None)
