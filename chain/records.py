"""Frozen dataclasses made from their fields at once, instead of field by field through their constructors.

A frozen dataclass sets each field by a call of its own, which is most of what a state of many fields costs to change.
Only for plain ones: without slots, without `__post_init__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

T = TypeVar("T")

#: Where an instance keeps its own encoding, once it has been made (chain/packing.py).
PACKED: Final = "_packed"
#: Where a job's round keeps its part of the record that votes are bound to (chain/state/rounds.py).
RECORD: Final = "_record"

_new, _set = object.__new__, object.__setattr__


def assembled(cls: type[T], values: dict[str, Any]) -> T:
    """An instance of a dataclass that has just these values of all its fields, and keeps the dict."""
    made = _new(cls)
    _set(made, "__dict__", values)
    return made


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - to be checked as that
else:

    def replace(value, /, **changes):
        """As :func:`dataclasses.replace`, for records that keep nothing beside their fields but what is named above.

        Raises ``TypeError`` for a field that the record does not have.
        """
        values = {**value.__dict__, **changes}
        count = len(value.__dataclass_fields__)
        if len(values) != count:
            values.pop(PACKED, None)
            values.pop(RECORD, None)
        if len(values) != count:
            unknown = sorted(changes.keys() - value.__dataclass_fields__.keys())
            raise TypeError(f"{type(value).__name__} has no field {', '.join(unknown)}")
        return assembled(type(value), values)
