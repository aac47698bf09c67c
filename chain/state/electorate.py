"""What the state keeps of the validators: who is admitted, which set votes, which one is to come, who is out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chain.schema import Address, Cid
from chain.state.objects import ValidatorSet


@dataclass(frozen=True)
class PendingSet:
    """A change of the validators that is under way (see :mod:`chain.state.sets`)."""

    set: ValidatorSet
    phase: Literal["waiting", "joint"]
    #: Height of the block that must be final before the next phase: the one with the change, then the first joint one.
    height: int


@dataclass(frozen=True)
class Phase:
    """Whose quorum links need to blocks from a height on: the one set's, or both sets'."""

    height: int
    first: ValidatorSet
    second: ValidatorSet | None

    @property
    def sets(self) -> tuple[ValidatorSet, ...]:
        """Each needs its quorum."""
        return (self.first,) if self.second is None else (self.first, self.second)


@dataclass(frozen=True)
class Phases:
    """The phases that blocks above the last final one are in, lowest first."""

    phases: tuple[Phase, ...]

    def at(self, height: int) -> tuple[ValidatorSet, ...]:
        """The sets whose quorum a link to a block at ``height`` needs."""
        found = self.phases[0]
        for phase in self.phases:
            if phase.height <= height:
                found = phase
        return found.sets


@dataclass(frozen=True)
class Admission:
    """A place among the validators: weight 1 or, where stake votes, the cap of the weight."""

    power: int
    height: int


@dataclass(frozen=True)
class Slashed:
    """A validator that contradicted itself. The key is out for good."""

    reason: str
    reporter: Address
    burned: int
    height: int
    time: int


@dataclass(frozen=True)
class Engagements:
    """Open jobs that an address with stake has a part in; while one is open its stake stays locked."""

    jobs: tuple[Cid, ...]
