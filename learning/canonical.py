"""Canonical JSON (RFC 8785) of everything in this room that is hashed, stored by CID or put on the chain."""

from __future__ import annotations

from typing import Any

import rfc8785

from learning.errors import LearningError
from runtime import strict_json

#: RFC 8785 writes numbers as IEEE 754 doubles: integers beyond this would not come back as they were.
MAX_INTEGER = 2**53 - 1


def to_canonical(value: Any) -> bytes:
    """The RFC 8785 text of plain JSON data.  Raises ``ValueError`` for NaN, infinities and large integers."""
    return rfc8785.dumps(value)


def from_canonical(data: bytes, what: str, error: type[LearningError], limit: int) -> Any:
    """Parse ``data`` and accept it only if it is the canonical form of what it says.

    One meaning has one spelling, so equal content has equal CIDs.  Raises ``error`` (naming ``what``) for
    more than ``limit`` bytes, for text that is no JSON and for JSON in another spelling (spaces, order of
    keys, repeated keys, other forms of a number).
    """
    if len(data) > limit:
        raise error(f"{what} has {len(data)} bytes, at most {limit} are read; it is not one of ours")
    try:
        value = strict_json.loads(data)
        again = to_canonical(value)
    except ValueError as problem:
        raise error(f"{what} is no JSON text (RFC 8259): {problem}; expected what Assay wrote") from None
    if again != data:
        raise error(
            f"{what} is JSON but not in canonical form (RFC 8785); store exactly the bytes that Assay wrote"
        )
    return value
