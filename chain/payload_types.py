"""What the fields of payloads may hold: names, texts, counts and their bounds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import rfc8785

from chain.encoding import guard_json_depth
from chain.errors import InvalidEncoding
from chain.params import Params
from chain.schema import Address, Cid, Items, Range, Text

MILLION = 1_000_000
MAX_PARTITIONS = 256
MAX_ROUNDS = 100
MAX_ATTEMPTS = 8


def is_canonical_json(text: str) -> bool:
    """Whether `text` is the RFC 8785 form of some JSON object."""
    try:
        guard_json_depth(text)
        value = json.loads(text)
        return isinstance(value, dict) and rfc8785.dumps(value) == text.encode()
    except (InvalidEncoding, ValueError, RecursionError, rfc8785.CanonicalizationError):
        return False


Name = Annotated[str, Text(1, 64, r"[a-z0-9][a-z0-9._-]*", "a name: a-z, 0-9, then also . _ -")]
Word = Annotated[str, Text(1, 64, r"[a-z0-9][a-z0-9_]*", "a word of a-z, 0-9 and _")]
Spec = Annotated[str, Text(2, 16_384, expected="a JSON object in canonical form (RFC 8785)", check=is_canonical_json)]
#: What a terminal would obey instead of showing: controls (C0, DEL, C1), separators of lines, marks that turn the
#: direction of writing. Spelled out, since what Python calls printable differs between its versions.
SHOWN = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*"
IN_WORDS = "one line of text without control characters"
Reason = Annotated[str, Text(0, 1000, SHOWN, IN_WORDS)]
Asked = Annotated[str, Text(0, 200, SHOWN, IN_WORDS)]
SignatureText = Annotated[str, Text(130, 130, r"[0-9a-f]{130}", "a signature: 130 lowercase hexadecimal digits")]
Task = Literal["classification", "regression"]
Amount = Annotated[int, Range(1)]
Count = Annotated[int, Range(0)]
#: The rows of all partitions together stay below 2^63.
Rows = Annotated[int, Range(1, 2**48)]
Attempt = Annotated[int, Range(0, MAX_ATTEMPTS)]
Round = Annotated[int, Range(0, MAX_ROUNDS - 1)]
Partition = Annotated[int, Range(0, MAX_PARTITIONS - 1)]
Members = Annotated[tuple[Address, ...], Items(0, 256, unique=True)]
Salt = Annotated[str, Text(32, 32, r"[0-9a-f]{32}", "a salt: 32 lowercase hexadecimal digits")]
MAX_VALIDATORS = 21
Named = Annotated[tuple[Cid, ...], Items(0, MAX_PARTITIONS * MAX_ROUNDS + MAX_ROUNDS, unique=True)]


@dataclass(frozen=True)
class Payload:
    """A transaction's content. `kind` is its name in the envelope."""

    kind: ClassVar[str] = ""

    def check(self, params: Params) -> None:
        """Rules between fields. Raises InvalidField."""
