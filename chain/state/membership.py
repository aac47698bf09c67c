"""Who votes, who is to, who is admitted and who is out: what operators and validators ask about the set.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chain.params import Params
from chain.schema import Address
from chain.state.electorate import PendingSet
from chain.state.objects import Account, ValidatorSet
from chain.state.tables import ADMISSIONS_FROM, NUMBERS, State


@dataclass(frozen=True)
class Admitted:
    """One with a place among the validators."""

    address: Address
    power: int
    """Weight 1 or, where stake votes, the cap of its weight."""
    stake: int
    height: int
    """Of the block that admitted it; 0: the genesis."""


@dataclass(frozen=True)
class Membership:
    """The validators of one state."""

    power: Literal["member", "stake"]
    """What a vote weighs: 1, or the validator's stake up to its cap."""
    validators: ValidatorSet
    """The set in force."""
    pending: PendingSet | None
    """The change under way, if any."""
    admitted: tuple[Admitted, ...]
    """By address; the sets follow from it."""
    signed_from: int
    """An admission must have been signed for a set with at least this number, and at most that of the set in force."""


@dataclass(frozen=True)
class Misconduct:
    """A validator that contradicted itself, and what it cost."""

    validator: Address
    reason: str
    reporter: Address
    burned: int
    height: int
    time: int


def membership(state: State, params: Params) -> Membership:
    """The validators as ``state`` has them."""
    return Membership(
        params.power,
        state.validators,
        state.pending_set,
        tuple(
            Admitted(Address(who), place.power, state.accounts.get(who, Account(0)).stake, place.height)
            for who, place in sorted(state.admissions.items())
        ),
        state.table(NUMBERS).get(ADMISSIONS_FROM, 0),
    )


def misconduct(state: State, validator: str) -> Misconduct | None:
    """What a validator was slashed for; None for who was not."""
    found = state.slashed.get(validator)
    if found is None:
        return None
    return Misconduct(Address(validator), found.reason, found.reporter, found.burned, found.height, found.time)


def escrowed(state: State, address: str) -> int:
    """What open jobs hold of the rewards that ``address`` has offered."""
    return sum(state.jobs[job].reward for job in state.open_jobs if state.jobs[job].opener == address)
