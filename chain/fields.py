"""What a single field may hold: the chain's scalar types, and the rules that narrow them.

`chain.schema` compiles dataclasses from these; other modules take the names from there.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, NewType

from chain.encoding import INT_MAX, INT_MIN, Link, cid_to_bytes, cid_to_text, shown
from chain.errors import InvalidEncoding

Cid = NewType("Cid", str)
"""A CID as text: version 1, base32, SHA2-256; codec raw, dag-pb or dag-cbor."""
Address = NewType("Address", str)
"""An account: 0x and 40 lowercase hexadecimal digits (no checksum capitals)."""
Hash = NewType("Hash", str)
"""A SHA-256 digest: 64 lowercase hexadecimal digits."""

Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]

#: Addresses, and hashes, that are known by heart.
_KNOWN = 8_192


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of an integer, both included."""

    low: int = INT_MIN
    high: int = INT_MAX


@dataclasses.dataclass(frozen=True)
class Text:
    """Bounds of a text in characters, a pattern that all of it must match, or a further check."""

    low: int = 0
    high: int | None = None
    pattern: str | None = None
    expected: str | None = None
    """The pattern or the check in words."""
    check: Callable[[str], bool] | None = None


@dataclasses.dataclass(frozen=True)
class Items:
    """Bounds of a tuple's length; whether its items must differ."""

    low: int = 0
    high: int | None = None
    unique: bool = False


def integer(value: Any) -> int:
    """An integer of 64 bits; a bool is none. Raises InvalidEncoding."""
    if type(value) is not int or not INT_MIN <= value <= INT_MAX:
        raise InvalidEncoding("an integer of 64 bits", shown(value))
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise InvalidEncoding("true or false", shown(value))
    return value


def text(value: Any) -> str:
    """Text. Raises InvalidEncoding."""
    if type(value) is not str:
        raise InvalidEncoding("text", shown(value))
    return value


def _null(value: Any) -> None:
    if value is not None:
        raise InvalidEncoding("null", shown(value))


def _read_cid(value: Any) -> str:
    if type(value) is bytes:
        return cid_to_text(value)
    if type(value) is Link:
        cid_to_bytes(value)
        return str(value)
    raise InvalidEncoding("a link (a CID)", shown(value))


def _write_cid(value: Any) -> bytes:
    if not isinstance(value, str):
        raise InvalidEncoding("a CID's text", shown(value))
    return cid_to_bytes(value)


def _matching(pattern: str, expected: str) -> Reader:
    """What reads texts of a pattern, which come again and again: the newest are known without a look, and are the same
    object each time, which takes less memory than as many copies."""
    matches = re.compile(pattern).fullmatch
    known: dict[str, str] = {}

    def read(value: Any) -> str:
        if type(value) is str:
            same = known.get(value)
            if same is not None:
                return same
            if matches(value):
                if len(known) >= _KNOWN:
                    known.clear()
                known[value] = value
                return value
        raise InvalidEncoding(expected, shown(value))

    return read


_address = _matching("0x[0-9a-f]{40}", "an address: 0x and 40 lowercase hexadecimal digits")
_hash = _matching("[0-9a-f]{64}", "a hash: 64 lowercase hexadecimal digits")


SCALARS: dict[Any, tuple[Reader, Writer]] = {
    int: (integer, integer),
    bool: (_boolean, _boolean),
    str: (text, text),
    type(None): (_null, _null),
    None: (_null, _null),
    Cid: (_read_cid, _write_cid),
    Address: (_address, _address),
    Hash: (_hash, _hash),
}


def check_of(rule: Any) -> Callable[[Any], None] | None:
    """The check of a rule in an annotation, which raises InvalidEncoding; None for what is no rule of ours."""
    if isinstance(rule, Range):
        return _in_range(rule.low, rule.high)
    if isinstance(rule, Text):
        return _text_rule(rule)
    if isinstance(rule, Items):
        return _items_rule(rule)
    return None


def _in_range(low: int, high: int) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not low <= value <= high:
            limits = f"at least {low}" if high == INT_MAX else f"{low} to {high}"
            raise InvalidEncoding(f"an integer of {limits}", shown(value))

    return check


def _text_rule(rule: Text) -> Callable[[Any], None]:
    pattern = None if rule.pattern is None else re.compile(rule.pattern)
    high = INT_MAX if rule.high is None else rule.high
    words = rule.expected or f"text like {rule.pattern}"

    def check(value: Any) -> None:
        if not rule.low <= len(value) <= high:
            raise InvalidEncoding(f"text of {rule.low} to {high} characters", f"{len(value)} characters")
        if pattern is not None and not pattern.fullmatch(value):
            raise InvalidEncoding(words, shown(value))
        if rule.check is not None and not rule.check(value):
            raise InvalidEncoding(words, shown(value))

    return check


def _items_rule(rule: Items) -> Callable[[Any], None]:
    high = INT_MAX if rule.high is None else rule.high

    def check(value: Any) -> None:
        if not rule.low <= len(value) <= high:
            limits = f"at least {rule.low}" if high == INT_MAX else f"{rule.low} to {high}"
            raise InvalidEncoding(f"a list of {limits}", f"a list of {len(value)}")
        if rule.unique and len(set(value)) != len(value):
            raise InvalidEncoding("a list without repetitions", "an item that is there twice")

    return check
