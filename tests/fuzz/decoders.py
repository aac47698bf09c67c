"""What takes bytes or text from outside, and what it may do with bad ones.

A decoder is registered here, by its room's module beside this one, together with valid inputs, the errors it
declares, and what must hold of what it accepts. `tests/fuzz/test_registry.py` fails when a public function that looks
like a decoder is neither in here nor excused.
"""

from __future__ import annotations

from runtime import numeric

numeric.pin()  # before anything imports numpy

# ruff: noqa: E402
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fuzz.mutate import Example

#: Modules with a `decoders()` each, by the first part of their decoders' names.
GROUPS = {
    "chain": "tests.fuzz.decoders_chain",
    "peers": "tests.fuzz.decoders_peers",
    "files": "tests.fuzz.decoders_files",
    "content": "tests.fuzz.decoders_content",
    "learning": "tests.fuzz.decoders_learning",
    "models": "tests.fuzz.decoders_models",
    "answers": "tests.fuzz.decoders_answers",
    "services": "tests.fuzz.decoders_services",
}


class Skipped(Exception):  # noqa: N818 - no error: an input that is none for this decoder
    """What another decoder stands before did not let the input through."""


def anything(value: Any, data: bytes) -> bool:
    """Nothing more is asked of what is accepted."""
    return True


@dataclass(frozen=True)
class Decoder:
    """One function of ours under attack."""

    name: str
    decode: Callable[[bytes], Any]
    examples: Sequence[Example]
    """Valid inputs: each is accepted, which a test checks."""
    declared: tuple[type[BaseException], ...]
    """What its docstring says that it raises."""
    covers: tuple[str, ...]
    """Dotted names of the public functions that it runs."""
    holds: Callable[[Any, bytes], bool] = anything
    """What is true of an accepted value and its input: where there is one canonical form, that it is written so."""


@cache
def group(name: str) -> tuple[Decoder, ...]:
    """The decoders of one room."""
    found: Sequence[Decoder] = importlib.import_module(GROUPS[name]).decoders()
    assert all(one.name.startswith(f"{name}/") for one in found)
    return tuple(found)


def find(name: str) -> Decoder:
    """A decoder by its name. Raises LookupError."""
    room = name.partition("/")[0]
    for one in group(room) if room in GROUPS else ():
        if one.name == name:
            return one
    raise LookupError(f"no decoder {name!r}: `make fuzz PART=list` shows them")


def share(decoder: Decoder, inputs: int) -> int:
    """How many of the inputs to its functions a decoder takes: examples of several forms share them."""
    forms = sum(one.covers == decoder.covers for one in everything()) if decoder.covers else 1
    return -(-inputs // forms)


def everything() -> list[Decoder]:
    """All decoders."""
    return [one for name in GROUPS for one in group(name)]


def as_text(data: bytes) -> str:
    """Bytes as text, what is no UTF-8 in it as lone surrogates, which JSON's escapes can make too."""
    return data.decode("utf-8", "surrogateescape")


def as_json(data: bytes) -> Any:
    """The value of a JSON text, for functions that are handed values by a reader of JSON. Raises Skipped."""
    from runtime import strict_json

    try:
        return strict_json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Skipped from error
