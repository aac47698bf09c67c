"""The part of protobuf's wire format that dag-pb and UnixFS use.

Source: https://protobuf.dev/programming-guides/encoding/ ; numbers here are unsigned and at most 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class MalformedBlock(ValueError):  # noqa: N818 - readers turn it into ContentCorrupt, which names the CID
    """A block whose bytes do not follow its format."""


def encode_varint(number: int) -> bytes:
    """LEB128 of 0 <= number < 2**64."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_bytes_field(field: int, value: bytes) -> bytes:
    return encode_varint(field << 3 | BYTES) + encode_varint(len(value)) + value


def encode_varint_field(field: int, value: int) -> bytes:
    return encode_varint(field << 3 | VARINT) + encode_varint(value)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the offset after it. Raises MalformedBlock where it is cut off or above 64
    bits."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise MalformedBlock("a number is cut off at the block's end")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >= 1 << 64:
                break
            return number, at
    raise MalformedBlock(f"a number before byte {at} is longer than 64 bits")


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a message in order: (field number, wire type, value). Raises MalformedBlock."""
    at = 0
    while at < len(data):
        key, at = decode_varint(data, at)
        field, kind = key >> 3, key & 7
        if field == 0:
            raise MalformedBlock("field number 0 is not allowed")
        if kind == VARINT:
            value, at = decode_varint(data, at)
            yield field, kind, value
            continue
        if kind == BYTES:
            length, at = decode_varint(data, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise MalformedBlock(f"wire type {kind} is not known")
        if length > len(data) - at:
            raise MalformedBlock(f"field {field} says {length} bytes where {len(data) - at} are left")
        yield field, kind, data[at : at + length]
        at += length
