"""Bad inputs out of valid ones: each by its number, so that a finding is repeated without those before it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.fuzz import hostile, spans

Form = Literal["cbor", "json", "protobuf", "bytes"]
#: Nothing longer is made by putting parts together, so that the speed says something about decoders.
LONGEST = 200_000


@dataclass(frozen=True)
class Example:
    """A valid input and where its values lie.

    `wrap` makes the decoder's input from what is mutated, where that is a part of it (a header behind its length).
    """

    data: bytes
    form: Form = "bytes"
    wrap: Callable[[bytes], bytes] | None = None
    values: tuple[spans.Value, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(spans.READERS[self.form](self.data)))


def generator(seed: int, name: str, number: int) -> random.Random:
    """The randomness of one input."""
    salt = sum(ord(letter) * 257**place for place, letter in enumerate(name[:12]))
    return random.Random((seed << 96) ^ (salt << 24) ^ number)


def make(rng: random.Random, examples: Sequence[Example]) -> bytes:
    """One input: mostly an example with a value replaced, removed, repeated or written otherwise, sometimes with bytes
    changed anywhere, rarely bytes alone."""
    example = examples[int(rng.random() * len(examples))]
    draw = rng.random()
    if draw < 0.04:
        return rng.randbytes(int(rng.random() ** 3 * 400))
    data = example.data
    if draw < 0.70 and len(example.values) > 1:
        data = _structural(rng, example)
        if draw < 0.12:
            data = _bytes(rng, data, examples)
    else:
        for _ in range(1 + int(rng.random() ** 2 * 4)):
            data = _bytes(rng, data, examples)
    return data if example.wrap is None else example.wrap(data)


def _structural(rng: random.Random, example: Example) -> bytes:
    """Up to three values changed, from the last to the first, so that places stay right."""
    count = 1 if rng.random() < 0.7 else 1 + int(rng.random() * 3)
    chosen = sorted((rng.choice(example.values) for _ in range(count)), key=lambda value: value.start, reverse=True)
    data, before = example.data, len(example.data) + 1
    for value in chosen:
        if value.end <= before:
            data = _change(rng, example, data, value)
            before = value.member
    return data if len(data) <= LONGEST else data[:LONGEST]


def _change(rng: random.Random, example: Example, data: bytes, value: spans.Value) -> bytes:
    start, end = value.start, value.end
    draw = rng.random()
    if draw < 0.55:
        choices = hostile.VALUES[example.form]
        return data[:start] + choices[int(rng.random() * len(choices))] + data[end:]
    if draw < 0.70:  # another value of the same document in its place
        other = rng.choice(example.values)
        return data[:start] + example.data[other.start : other.end] + data[end:]
    if example.form == "cbor":
        if draw < 0.80 and start < value.head:
            return data[:start] + _wider(rng, data[start : value.head]) + data[value.head :]
        return _member_cbor(rng, example, data, value)
    if example.form == "json":
        return _member_json(rng, example, data, value)
    if draw < 0.85:
        return data[:end] + data[start:end] * (1 + int(rng.random() * 3)) + data[end:]
    return data[:start] + data[end:]


def _wider(rng: random.Random, head: bytes) -> bytes:
    """The same head in more bytes than it needs, or with another argument, or of another type."""
    major, low = head[0] & 0xE0, head[0] & 31
    value = low if low < 24 else int.from_bytes(head[1:], "big")
    draw = rng.random()
    if draw < 0.4:
        width = rng.choice((1, 2, 4, 8))
        value %= 256**width
    elif draw < 0.8:
        width = rng.choice((1, 2, 4, 8))
        value = rng.choice((value + 1, value - 1, 0, 2 * value, 256**width - 1, rng.randrange(256**width)))
        value %= 256**width
    else:
        return bytes((int(rng.random() * 8) << 5 | low,)) + head[1:]
    if width == 1 and value < 24 and draw >= 0.6:
        return bytes((major | value,))
    return bytes((major | {1: 24, 2: 25, 4: 26, 8: 27}[width],)) + value.to_bytes(width, "big")


def _member_cbor(rng: random.Random, example: Example, data: bytes, value: spans.Value) -> bytes:
    """The value (with its key) removed or repeated, its container's count with it, or not."""
    if value.parent < 0:
        return data[: int(rng.random() * len(data))]
    start, end = value.member, value.end
    if value.is_key:  # the key alone
        return data[:start] + data[end:] if rng.random() < 0.5 else data[:end] + data[start:end] + data[end:]
    repeated = rng.random() < 0.5
    changed = data[:end] + data[start:end] + data[end:] if repeated else data[:start] + data[end:]
    container = example.values[value.parent]
    first = changed[container.start]
    if first >> 5 in (spans.ARRAY, spans.MAP) and rng.random() < 0.8:
        low = (first & 31) + (1 if repeated else -1)
        if 0 <= low < 24:
            changed = changed[: container.start] + bytes((first & 0xE0 | low,)) + changed[container.start + 1 :]
    return changed


def _member_json(rng: random.Random, example: Example, data: bytes, value: spans.Value) -> bytes:
    start, end = value.member, value.end
    draw = rng.random()
    if value.parent < 0:
        return data[: int(rng.random() * len(data))]
    if draw < 0.4:  # repeated: a key that is there twice, or an item
        return data[:end] + b"," + data[start:end] + data[end:]
    if draw < 0.6:  # an unknown key, or one more item
        odd = hostile.JSON[int(rng.random() * len(hostile.JSON))]
        is_map = start != value.start or value.is_key
        return data[:start] + (b'"odd":' if is_map else b"") + odd + b"," + data[start:]
    after = end + 1 if data[end : end + 1] == b"," else end
    if draw < 0.9:
        return data[:start] + data[after:]
    return data[:start] + b" \t\r\n"[int(rng.random() * 4) :][:1] + data[start:]


def _bytes(rng: random.Random, data: bytes, examples: Sequence[Example]) -> bytes:
    size = len(data)
    at = int(rng.random() * (size + 1))
    draw = rng.random()
    if draw < 0.28 and at < size:  # a bit
        return data[:at] + bytes((data[at] ^ (1 << int(rng.random() * 8)),)) + data[at + 1 :]
    if draw < 0.44 and at < size:  # a byte
        return data[:at] + bytes((int(rng.random() * 256),)) + data[at + 1 :]
    if draw < 0.54:  # cut off
        return data[:at]
    if draw < 0.62:  # a piece removed
        return data[:at] + data[at + 1 + int(rng.random() ** 3 * 40) :]
    if draw < 0.70:  # a piece repeated
        piece = data[at : at + 1 + int(rng.random() ** 3 * 40)]
        return data[:at] + piece * (1 + int(rng.random() ** 4 * 50)) + data[at:]
    if draw < 0.84:  # something odd in between, or instead
        odd = hostile.BYTES[int(rng.random() * len(hostile.BYTES))]
        return data[:at] + odd + data[at + (len(odd) if rng.random() < 0.5 else 0) :]
    if draw < 0.92:  # the beginning of one, the end of another
        other = examples[int(rng.random() * len(examples))].data
        return data[:at] + other[int(rng.random() * (len(other) + 1)) :]
    if draw < 0.96:  # a length, perhaps
        width = 1 << int(rng.random() * 4)
        length = int(rng.random() ** 4 * 256**width) if rng.random() < 0.5 else 256**width - 1
        order: Literal["little", "big"] = "little" if rng.random() < 0.5 else "big"
        return data[:at] + min(length, 256**width - 1).to_bytes(width, order) + data[at + width :]
    return data[:at] + rng.randbytes(1 + int(rng.random() ** 3 * 64)) + data[at:]
