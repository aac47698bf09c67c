"""Where the values lie in a document's bytes, so that a mutation can replace one without decoding anything.

Readers of valid examples only: what they are run on comes from `tests/fuzz/examples*.py`, once.
"""

from __future__ import annotations

from dataclasses import dataclass

#: CBOR's major types (RFC 8949, 3.1).
ARRAY, MAP, TAG = 4, 5, 6


@dataclass(frozen=True)
class Value:
    """One value: its bytes are `data[start:end]`, its head (CBOR) ends at `head`."""

    start: int
    end: int
    head: int
    parent: int
    """Index of the list or map that holds it, -1 at the top."""
    member: int
    """Where its member of the parent begins: its own start, or its key's in a map."""
    is_key: bool = False


def cbor(data: bytes) -> list[Value]:
    """The values of one CBOR item with definite lengths, the outermost first."""
    found: list[Value] = []

    def walk(at: int, parent: int, member: int, is_key: bool) -> int:
        major, low = data[at] >> 5, data[at] & 31
        head = at + 1 + (1 << (low - 24) if 24 <= low < 28 else 0)
        value = low if low < 24 else int.from_bytes(data[at + 1 : head], "big")
        index = len(found)
        found.append(Value(at, head, head, parent, member, is_key))
        end = head
        if major in (2, 3):
            end = head + value
        elif major == ARRAY:
            for _ in range(value):
                end = walk(end, index, end, False)
        elif major == MAP:
            for _ in range(value):
                key = end
                end = walk(end, index, key, True)
                end = walk(end, index, key, False)
        elif major == TAG:
            end = walk(end, index, end, False)
        found[index] = Value(at, end, head, parent, member, is_key)
        return end

    walk(0, -1, 0, False)
    return found


def json(data: bytes) -> list[Value]:
    """The values of a JSON text, the outermost first."""
    found: list[Value] = []

    def blank(at: int) -> int:
        while at < len(data) and data[at] in b" \t\r\n":
            at += 1
        return at

    def string(at: int) -> int:
        at += 1
        while data[at] != 0x22:
            at += 2 if data[at] == 0x5C else 1
        return at + 1

    def walk(at: int, parent: int, member: int, is_key: bool) -> int:
        at = blank(at)
        index = len(found)
        found.append(Value(at, at, at + 1, parent, member, is_key))
        first = data[at : at + 1]
        if first == b'"':
            end = string(at)
        elif first in (b"[", b"{"):
            end = blank(at + 1)
            while data[end : end + 1] not in (b"]", b"}"):
                key = end
                if first == b"{":
                    end = blank(walk(end, index, key, True)) + 1  # the colon
                end = blank(walk(end, index, key, False))
                if data[end : end + 1] == b",":
                    end = blank(end + 1)
            end += 1
        else:
            end = at
            while end < len(data) and data[end] not in b",]} \t\r\n":
                end += 1
        found[index] = Value(at, end, at + 1, parent, member, is_key)
        return end

    walk(0, -1, 0, False)
    return found


def protobuf(data: bytes) -> list[Value]:
    """The fields of a protobuf message, and those of what may be messages in it."""
    found: list[Value] = []

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    def walk(at: int, end: int, parent: int) -> None:
        while at < end:
            start = at
            key, at = varint(at)
            if key & 7 == 0:
                head, (_, at) = at, varint(at)
                found.append(Value(start, at, head, parent, start))
                continue
            if key & 7 != 2 or key >> 3 not in (1, 2, 3, 4):
                raise ValueError("not a message of this kind")
            length, at = varint(at)
            if at + length > end:
                raise ValueError("not a message of this kind")
            index = len(found)
            found.append(Value(start, at + length, at, parent, start))
            kept = len(found)
            try:
                walk(at, at + length, index)
            except (ValueError, IndexError):
                del found[kept:]
            at += length

    walk(0, len(data), -1)
    return found


def none(data: bytes) -> list[Value]:
    """A whole without parts."""
    return [Value(0, len(data), 0, -1, 0)]


READERS = {"cbor": cbor, "json": json, "protobuf": protobuf, "bytes": none}
