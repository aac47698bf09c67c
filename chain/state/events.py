"""What happened in a block, for ``blockchain.log`` and for those who follow the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from chain.happened import Field

__all__ = ["Event", "Field"]


class Event(NamedTuple):
    """One thing that happened: its kind and flat fields, in the order in which they are worth reading."""

    kind: str
    fields: Mapping[str, Field]
