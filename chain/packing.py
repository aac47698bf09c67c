"""The canonical DAG-CBOR of a dataclass, part by part, so that parts that stayed as they were are not written again.

The same bytes as `schema.to_bytes`, which the tests hold against it. A job of hundreds of partitions changes by one of
them: here each dataclass inside a tuple keeps its bytes from the first time on, and what is around them is joined.
Heads and the order of keys: RFC 8949, 3, and https://ipld.io/specs/codecs/dag-cbor/spec/ (shorter keys first).
"""

from __future__ import annotations

import dataclasses
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from chain import schema
from chain.encoding import cid_to_bytes, list_head, shown, write_raw
from chain.errors import InvalidEncoding
from chain.fields import SCALARS, Address, Cid, Hash, Writer, check_of, integer
from chain.records import PACKED

Packer = Callable[[Any], bytes]

NULL = b"\xf6"
_LINK = b"\xd8\x2a\x58\x25\x00"
"""Tag 42, a byte string of 37 bytes, and the zero that comes before a CID's 36."""
_TWO, _FOUR, _EIGHT = (struct.Struct(f">B{letter}").pack for letter in "HIQ")
_SMALL = [bytes((value,)) for value in range(24)]
_TEXT_HEADS = [bytes((0x60 | length,) if length < 24 else (0x78, length)) for length in range(256)]


def pack(value: Any) -> bytes:
    """The bytes of a dataclass, an integer or a text, as `schema.to_bytes` gives them. Raises InvalidEncoding."""
    kind: Any = type(value)
    return _packer(kind)(value)


def _keeping(packer: Packer) -> Packer:
    """A packer of dataclasses that keep their bytes from the first time on."""

    def pack_once(value: Any) -> bytes:
        values = value.__dict__
        data: bytes | None = values.get(PACKED)
        if data is None:
            data = values[PACKED] = packer(value)
        return data

    return pack_once


#: As pack, of a dataclass that keeps the bytes from the first time on.
pack_kept = _keeping(pack)


def pack_map(items: Mapping[str, bytes]) -> bytes:
    """The bytes of a map, from those of its values."""
    pairs = sorted([(pack_text(key), data) for key, data in items.items()])
    return _head(5, len(pairs)) + b"".join([each for pair in pairs for each in pair])


def pack_text(value: str) -> bytes:
    """The bytes of a text."""
    data = value.encode()
    length = len(data)
    return (_TEXT_HEADS[length] if length < 256 else _head(3, length)) + data


def pack_items(items: Sequence[bytes]) -> bytes:
    """The bytes of a list, from those of its items."""
    return list_head(len(items)) + b"".join(items)


def pack_integer(value: int) -> bytes:
    """The bytes of an integer of 64 bits. Raises InvalidEncoding."""
    if type(value) is int and 0 <= value < 24:
        return _SMALL[value]
    integer(value)
    return _head(0, value) if value >= 0 else _head(1, -1 - value)


def _head(major: int, value: int) -> bytes:
    """A major type with its argument in the shortest form."""
    if value < 24:
        return bytes((major << 5 | value,))
    if value < 1 << 8:
        return bytes((major << 5 | 24, value))
    if value < 1 << 16:
        return _TWO(major << 5 | 25, value)
    return _FOUR(major << 5 | 26, value) if value < 1 << 32 else _EIGHT(major << 5 | 27, value)


@lru_cache(maxsize=8192, typed=True)
def pack_link(value: Any) -> bytes:
    """The bytes of a link to a CID, given as text. Raises InvalidEncoding."""
    if not isinstance(value, str):
        raise InvalidEncoding("a CID's text", shown(value))
    return _LINK + cid_to_bytes(value)


@lru_cache(maxsize=8192, typed=True)
def _link(value: Any) -> bytes:
    """A CID as `write_raw` takes it."""
    return pack_link(value)[len(_LINK) :]


def _remembered(kind: Any) -> Writer:
    """What writes addresses or hashes, which come again and again, and looks at each once."""
    writer = SCALARS[kind][1]

    @lru_cache(maxsize=8192, typed=True)
    def write(value: Any) -> Any:
        return writer(value)

    return write


_WRITERS: dict[Any, Writer] = {Cid: _link, Address: _remembered(Address), Hash: _remembered(Hash)}

#: Fields of single values that come one after another, which are written at one go as a list of keys and values; how
#: many bytes to leave away then, the list's head; and the field after them, which is packed by its parts, if any.
_Step = tuple[int, list[tuple[str, Writer]], bytes, str, Packer | None]


@cache
def _packer(kind: Any) -> Packer:
    """The packer of a dataclass, or of a type of single values."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return _compile(kind)
    hints = get_type_hints(kind, include_extras=True)
    names = sorted(hints_of(kind), key=lambda name: (len(name.encode()), name.encode()))
    head = bytes((0xA0 | len(names),)) if len(names) < 24 else _head(5, len(names))
    steps = _steps([(name, hints[name]) for name in names])

    def pack_fields(value: Any) -> bytes:
        if type(value) is not kind:
            raise InvalidEncoding(f"a {kind.__name__}", type(value).__name__)
        values = value.__dict__
        parts = [head]
        name = ""
        try:
            for skipped, run, key, last, packer in steps:
                flat = []
                for name, writer in run:
                    flat.append(name)
                    flat.append(writer(values[name]))
                if flat:
                    parts.append(write_raw(flat)[skipped:])
                if packer is not None:
                    name = last
                    parts.append(key)
                    parts.append(packer(values[name]))
        except InvalidEncoding as error:
            error.inside(name)
            raise
        return b"".join(parts)

    return pack_fields


def hints_of(kind: Any) -> list[str]:
    """The names of a dataclass's fields."""
    return [field.name for field in dataclasses.fields(kind)]


def _steps(fields: list[tuple[str, Any]]) -> list[_Step]:
    steps: list[_Step] = []
    run: list[tuple[str, Writer]] = []
    for name, hint in fields:
        writer = _writer(hint)
        if writer is not None:
            run.append((name, writer))
            continue
        steps.append((len(list_head(2 * len(run))), run, pack_text(name), name, _compile(hint)))
        run = []
    return [*steps, (len(list_head(2 * len(run))), run, b"", "", None)]


def _writer(hint: Any) -> Writer | None:
    """What writes a single value, checked; None for an annotation of anything else."""
    if hint in _WRITERS:
        return _WRITERS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = _writer(arguments[0])
        return None if inner is None else _checked(inner, [check_of(rule) for rule in arguments[1:]])
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = _writer(arguments[0] if arguments[1] is type(None) else arguments[1])
        return None if inner is None else _optional(inner)
    return schema.writer(hint) if hint in SCALARS or origin in (Literal, Union, types.UnionType) else None


def _optional(writer: Writer) -> Writer:
    return lambda value: None if value is None else writer(value)


def _checked(convert: Writer, checks: list[Any]) -> Writer:
    """A writer, or a packer, of values that have to pass some checks as well."""

    def convert_checked(value: Any) -> Any:
        converted = convert(value)
        for check in checks:
            if check is not None:
                check(value)
        return converted

    return convert_checked


def _compile(hint: Any) -> Packer:
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _packer(hint)
    if hint in (int, Cid):
        return pack_integer if hint is int else pack_link
    writer = schema.writer(hint) if origin is Mapping else _writer(hint)
    if writer is not None:
        return lambda value: write_raw(writer(value))
    if origin is Annotated:
        return _checked(_compile(arguments[0]), [check_of(rule) for rule in arguments[1:]])
    if origin is tuple:
        pair = arguments[-1] is not Ellipsis
        return _pair([_compile(argument) for argument in arguments]) if pair else _items(arguments[0])
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = _compile(arguments[0] if arguments[1] is type(None) else arguments[1])
        return lambda value: NULL if value is None else inner(value)
    raise TypeError(f"the chain's encoding has no rule for the annotation {hint!r}")


def _items(kind: Any) -> Packer:
    packer = _compile(kind)
    keeps = isinstance(kind, type) and dataclasses.is_dataclass(kind)
    each = _keeping(packer) if keeps else packer

    def pack_tuple(value: Any) -> bytes:
        if type(value) is not tuple:
            raise InvalidEncoding("a tuple", shown(value))
        return list_head(len(value)) + b"".join(map(each, value))

    return pack_tuple


def _pair(packers: list[Packer]) -> Packer:
    def pack_pair(value: Any) -> bytes:
        if type(value) is not tuple or len(value) != len(packers):
            raise InvalidEncoding(f"a tuple of {len(packers)}", shown(value))
        return pack_items([packer(item) for packer, item in zip(packers, value, strict=True)])

    return pack_pair
