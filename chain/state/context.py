"""What an ``apply`` function works with: the draft, the block it is in, and checks that many kinds share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from chain.errors import InvalidTransaction, Unknown
from chain.params import Params
from chain.schema import Address, Cid, Hash
from chain.state.draft import Draft
from chain.state.events import Event, Field
from chain.state.objects import ValidatorSet
from chain.state.tables import VALIDATORS

T = TypeVar("T")


class Origin(NamedTuple):
    """Where a payload comes from: the transaction's id and its sender."""

    id: Cid
    sender: Address


@dataclass
class Context:
    """A block in the making, as ``apply`` functions see it."""

    draft: Draft
    params: Params
    parent: Hash
    genesis: Hash
    height: int
    time: int
    ancestor: Callable[[int], str]
    events: list[Event] = field(default_factory=list)

    @property
    def validators(self) -> ValidatorSet:
        """The validators in force."""
        return self.draft.only(VALIDATORS)

    def emit(self, kind: str, **fields: Field) -> None:
        """Say that something happened."""
        self.events.append(Event(kind, fields))


def require(
    condition: bool, error: type[InvalidTransaction], expected: str, found: object = "", where: str = ""
) -> None:
    """Raise ``error(expected, found, where)`` unless ``condition``."""
    if not condition:
        raise error(expected, str(found), where)


def existing(value: T | None, what: str, name: str) -> T:
    """``value``, or ``Unknown`` naming what the state does not have."""
    if value is None:
        raise Unknown(f"the {what} of something in the state", repr(name), what)
    return value


def listed(items: Sequence[str], most: int = 16) -> str:
    """Items with commas for an event, the first ones where there are many: a vote may name 25,700."""
    return ",".join([*items[:most], *([f"+{len(items) - most}"] if len(items) > most else [])])


def shorten(text: str, limit: int) -> str:
    """``text``, cut with an ellipsis where it is longer than ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
