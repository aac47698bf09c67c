"""Frozen dataclasses to plain objects and back, by their annotations, exactly.

Each class is compiled once into a reader and a writer (closures over its fields), since every transaction of
every block passes through here. A reader takes exactly the annotated fields, exactly the annotated types (a
bool is no int) and names the field it refuses.

Annotations understood: int, str, bool, None and unions with it, Literal, tuple[X, ...], tuple[X, Y],
Mapping[str, X], other dataclasses, the NewTypes Cid (written as a link), Address and Hash, Any (taken as it is, for
whoever reads on), and Annotated[...] with Range, Text or Items. Dataclasses hold tuples where plain objects hold lists.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from chain.encoding import INT_MAX, INT_MIN, Link, cid_to_text, read_raw, shown, write_raw
from chain.errors import InvalidEncoding
from chain.fields import (
    SCALARS,
    Address,
    Cid,
    Hash,
    Items,
    Range,
    Reader,
    Text,
    Writer,
    check_of,
    integer,
    text,
)
from chain.records import assembled

__all__ = [
    "Address", "Cid", "Hash", "Items", "Range", "Text",
    "from_bytes", "from_object", "read", "to_bytes", "to_object", "write", "writer",
]  # fmt: skip

T = TypeVar("T")


def to_object(value: Any) -> Any:
    """The plain object of a dataclass: maps, lists and scalars, CIDs as Link. Raises InvalidEncoding."""
    return _links_out(_codec(type(value))[1](value))


def from_object(cls: type[T], obj: object) -> T:
    """The dataclass of a plain object (its CIDs as Link). Raises InvalidEncoding, which names the field."""
    value: T = _codec(cls)[0](obj)
    return value


def to_bytes(value: Any) -> bytes:
    """Canonical DAG-CBOR of a dataclass. Raises InvalidEncoding."""
    return write_raw(_codec(type(value))[1](value))


def from_bytes(cls: type[T], data: bytes, limit: int) -> T:
    """The dataclass of canonical DAG-CBOR of at most `limit` bytes. Raises InvalidEncoding."""
    value: T = _codec(cls)[0](read_raw(data, limit))
    return value


def read(cls: type[T], raw: Any) -> T:
    """As from_object; CIDs may also be the bytes that encoding.read_raw yields. Raises InvalidEncoding."""
    value: T = _codec(cls)[0](raw)
    return value


def read_values(cls: Any, raw: Any) -> dict[str, Any]:
    """As read, but the values of the fields alone. Raises InvalidEncoding."""
    return _values(cls)(raw)


def write(value: Any) -> Any:
    """The object that encoding.write_raw takes: as to_object, CIDs as their bytes. Raises InvalidEncoding."""
    return _codec(type(value))[1](value)


def writer(hint: Any) -> Writer:
    """What writes values of an annotation, as `write` does those of a dataclass's fields."""
    return _compile(hint)[1]


def _codec(cls: Any) -> tuple[Reader, Writer]:
    return _compiled(cls)  # (typed apart: a class counts as no Hashable for mypy)


@cache
def _compiled(cls: Any) -> tuple[Reader, Writer]:
    read_values = _values(cls)
    names = tuple(field.name for field in dataclasses.fields(cls))
    hints = get_type_hints(cls, include_extras=True)
    writers = tuple((name, _compile(hints[name])[1]) for name in names)

    def read_fields(raw: Any) -> Any:
        return assembled(cls, read_values(raw))

    def write_fields(value: Any) -> Any:
        if type(value) is not cls:
            raise InvalidEncoding(f"a {cls.__name__}", type(value).__name__)
        obj = {}
        name = ""
        try:
            for name, writer in writers:
                obj[name] = writer(getattr(value, name))
        except InvalidEncoding as error:
            error.inside(name)
            raise
        return obj

    return read_fields, write_fields


@cache
def _values(cls: Any) -> Callable[[Any], dict[str, Any]]:
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise TypeError(f"{cls!r} is no dataclass")
    hints = get_type_hints(cls, include_extras=True)
    if hasattr(cls, "__slots__") or hasattr(cls, "__post_init__"):
        raise TypeError(f"{cls!r} is no plain dataclass: its instances cannot be made of their fields alone")
    names = tuple(field.name for field in dataclasses.fields(cls))
    readers = tuple((name, _compile(hints[name])[0]) for name in names)
    empty: dict[str, Any] = dict.fromkeys(names)
    count = len(names)

    def values_of(raw: Any) -> dict[str, Any]:
        if type(raw) is not dict:
            raise InvalidEncoding(f"a map with the fields {', '.join(names)}", shown(raw))
        if len(raw) != count:
            _wrong_fields(raw, names)
        values = empty.copy()  # as large as it will be: one that grows is made twice
        name = ""
        try:
            for name, reader in readers:
                values[name] = reader(raw[name])
        except InvalidEncoding as error:
            error.inside(name)
            raise
        except KeyError:
            _wrong_fields(raw, names)
        return values

    return values_of


def _wrong_fields(raw: dict[Any, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in raw:
            raise InvalidEncoding("this field", "nothing", name)
    unknown = next(key for key in raw if key not in names)
    raise InvalidEncoding(f"only the fields {', '.join(names)}", f"the unknown field {shown(unknown)}")


def _compile(hint: Any) -> tuple[Reader, Writer]:
    if hint in SCALARS:
        return SCALARS[hint]
    if hint is Any:
        return _as_it_is, _as_it_is
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        reader, writer = _compile(arguments[0])
        for rule in arguments[1:]:
            reader = _ruled(reader, rule)
            writer = _ruled_writer(writer, rule)
        return reader, writer
    if origin is Literal:
        both = _literal(arguments)
        return both, both
    if origin is tuple:
        return _pair(arguments) if arguments[-1] is not Ellipsis else _tuple(*_compile(arguments[0]))
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Mapping and arguments[0] is str:
        return _mapping(*_compile(arguments[1]))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _codec(hint)
    raise TypeError(f"the chain's encoding has no rule for the annotation {hint!r}")


def _as_it_is(value: Any) -> Any:
    return value


def _literal(choices: tuple[Any, ...]) -> Reader:
    allowed = {(type(choice), choice) for choice in choices}
    expected = "one of " + ", ".join(map(repr, choices))

    def one_of(value: Any) -> Any:
        if type(value) not in (str, int) or (type(value), value) not in allowed:
            raise InvalidEncoding(expected, shown(value))
        return value

    return one_of


def _tuple(reader: Reader, writer: Writer) -> tuple[Reader, Writer]:
    def read_items(raw: Any) -> tuple[Any, ...]:
        if type(raw) is not list:
            raise InvalidEncoding("a list", shown(raw))
        try:
            return tuple(map(reader, raw))
        except InvalidEncoding:
            _locate(reader, raw)
            raise

    def write_items(value: Any) -> list[Any]:
        if type(value) is not tuple:
            raise InvalidEncoding("a tuple", shown(value))
        try:
            return list(map(writer, value))
        except InvalidEncoding:
            _locate(writer, value)
            raise

    return read_items, write_items


def _locate(convert: Callable[[Any], Any], items: Any) -> None:
    """Convert once more, slowly, for the index of the item that is refused."""
    for index, item in enumerate(items):
        try:
            convert(item)
        except InvalidEncoding as error:
            error.inside(f"[{index}]")
            raise


def _pair(arguments: tuple[Any, ...]) -> tuple[Reader, Writer]:
    codecs = [_compile(argument) for argument in arguments]

    def convert(raw: Any, shape: Any, which: int) -> list[Any]:
        if type(raw) is not shape or len(raw) != len(codecs):
            raise InvalidEncoding(f"a {shape.__name__} of {len(codecs)}", shown(raw))
        values = []
        for index, item in enumerate(raw):
            try:
                values.append(codecs[index][which](item))
            except InvalidEncoding as error:
                error.inside(f"[{index}]")
                raise
        return values

    return lambda raw: tuple(convert(raw, list, 0)), lambda value: convert(value, tuple, 1)


def _mapping(reader: Reader, writer: Writer) -> tuple[Reader, Writer]:
    def convert(raw: Any, item: Callable[[Any], Any]) -> dict[str, Any]:
        if not isinstance(raw, Mapping):
            raise InvalidEncoding("a map", shown(raw))
        obj = {}
        for key, value in raw.items():
            try:
                obj[text(key)] = item(value)
            except InvalidEncoding as error:
                error.inside(str(key)[:64])
                raise
        return obj

    return lambda raw: convert(raw, reader), lambda value: convert(value, writer)


def _union(arguments: tuple[Any, ...]) -> tuple[Reader, Writer]:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) == 1 and len(arguments) == 2:
        reader, writer = _compile(others[0])
        return (
            lambda raw: None if raw is None else reader(raw),
            lambda value: None if value is None else writer(value),
        )
    if not set(arguments) <= {int, str, bool, type(None)}:
        raise TypeError(f"the chain's encoding has no rule for a union of {arguments!r}")
    expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in arguments)

    def scalar(value: Any) -> Any:
        if type(value) not in arguments:
            raise InvalidEncoding(expected, shown(value))
        return integer(value) if type(value) is int else value

    return scalar, scalar


def _ruled(reader: Reader, rule: Any) -> Reader:
    check = check_of(rule)
    if check is None:
        return reader
    if reader is integer and isinstance(rule, Range):
        return _in_range(rule, check)

    def read_ruled(raw: Any) -> Any:
        value = reader(raw)
        check(value)
        return value

    return read_ruled


def _in_range(rule: Range, check: Callable[[Any], None]) -> Reader:
    """An integer within bounds, for which one comparison is enough."""
    low, high = max(rule.low, INT_MIN), min(rule.high, INT_MAX)

    def read_integer(raw: Any) -> Any:
        if type(raw) is int and low <= raw <= high:
            return raw
        check(integer(raw))
        return raw

    return read_integer


def _ruled_writer(writer: Writer, rule: Any) -> Writer:
    check = check_of(rule)
    if check is None:
        return writer

    def write_ruled(value: Any) -> Any:
        raw = writer(value)
        check(value)
        return raw

    return write_ruled


def _links_out(raw: Any) -> Any:
    kind = type(raw)
    if kind is bytes:
        return Link(cid_to_text(raw))
    if kind is list:
        return [_links_out(item) for item in raw]
    if kind is dict:
        return {key: _links_out(item) for key, item in raw.items()}
    return raw
