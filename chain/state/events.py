"""What happened in a block, for ``blockchain.log`` and for those who follow the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Field = str | int | None


@dataclass(frozen=True)
class Event:
    """One thing that happened: its kind and flat fields, in the order in which they are worth reading."""

    kind: str
    fields: Mapping[str, Field]

    @classmethod
    def of(cls, kind: str, **fields: Field) -> Event:
        """An event with ``fields``."""
        return cls(kind, MappingProxyType(fields))
