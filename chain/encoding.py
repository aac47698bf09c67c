"""Strict DAG-CBOR: one byte string for each value, CIDs as IPLD links, nothing else of binary kind.

Formats: https://ipld.io/specs/codecs/dag-cbor/spec/, https://ipld.io/specs/codecs/dag-json/spec/,
https://github.com/multiformats/cid. What libipld leaves open is closed here: it reads non-minimal encodings
and floats, hands links out as `bytes` and writes any `bytes` that look like a CID as a link. So our values
hold no bytes and no floats at all, and whatever is read from outside must be written back to the very same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn

import libipld

from chain.errors import InvalidEncoding

MAX_DEPTH = 16
"""Lists and maps inside each other; a scalar has depth 0."""
DAG_CBOR_CID = b"\x01\x71\x12\x20"
"""What the 36 bytes of a DAG-CBOR block's CID begin with: version 1, the codec, SHA2-256, 32 bytes."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_CODECS = frozenset(b"\x55\x70\x71")  # raw, dag-pb, dag-cbor
_SAFE_HEADS = 200
_CONTAINER_HEADS = bytes(range(0x80, 0xC0))  # CBOR major types 4 (array) and 5 (map)
_TAGS = bytes(range(0xC0, 0xE0))
#: Items that may be shorter.
_SMALL_ITEMS = 1_024
_LONG, _NO_HEAD = 100, 101
#: By the first byte of an item: how long it is with all that belongs to it, where the byte alone says so; _LONG where
#: more is to be read or items follow, _NO_HEAD for what DAG-CBOR does not have.
_SKIPS = bytes(
    _skip
    for _major in range(8)
    for _low in range(32)
    for _skip in [
        _NO_HEAD if _low > 27
        else _LONG if _major in (4, 5, 6) or (_major in (2, 3) and _low > 23)
        else 1 + _low if _major in (2, 3)
        else 1 + (1 << (_low - 24) if _low > 23 else 0)
    ]
)  # fmt: skip
_JSON_TOKENS = re.compile(r'[\[\]{}]|"(?:[^"\\]+|\\.)*+"?', re.DOTALL)


class Link(str):
    """A CID (version 1, base32) that is encoded as an IPLD link, not as text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Link({str(self)!r})"


def cid_of(data: bytes) -> str:
    """The CID of a DAG-CBOR block: version 1, SHA2-256, base32 text."""
    return cid_of_digest(hashlib.sha256(data).digest())


def cid_of_digest(digest: bytes) -> str:
    """The CID of a DAG-CBOR block by its SHA2-256 digest (32 bytes)."""
    text: str = libipld.encode_cid(DAG_CBOR_CID + digest)
    return text


def cid_to_bytes(text: str) -> bytes:
    """The 36 bytes of a CID given as canonical text: version 1, SHA2-256, raw, dag-pb or dag-cbor.

    Raises InvalidEncoding.
    """
    if len(text) == 59 and text.isascii() and text.startswith("baf"):
        try:
            data: bytes = libipld.decode_multibase(text)[1]
        except ValueError:
            data = b""
        if is_cid(data) and libipld.encode_cid(data) == text:
            return data
    raise InvalidEncoding("a CID of version 1 in base32 (bafy... or bafk...)", shown(text))


def cid_to_text(data: bytes) -> str:
    """The text of a CID's 36 bytes. Raises InvalidEncoding."""
    if not is_cid(data):
        raise InvalidEncoding(
            "a link to a CID of version 1 with SHA2-256 and codec raw, dag-pb or dag-cbor",
            f"0x{data[:8].hex()}...",
        )
    text: str = libipld.encode_cid(data)
    return text


def is_cid(data: bytes) -> bool:
    """Whether `data` are the bytes of a CID as this chain admits them."""
    return len(data) == 36 and data[0] == 1 and data[1] in _CODECS and data[2:4] == b"\x12\x20"


def encode(obj: object) -> bytes:
    """DAG-CBOR of None, bool, int (64 bits, signed), str, list, dict with text keys, and Link.

    Raises InvalidEncoding.
    """
    return write_raw(_to_raw(obj, 0))


def decode(data: bytes, limit: int) -> Any:
    """The value of canonical DAG-CBOR of at most `limit` bytes; links come back as Link.

    Raises InvalidEncoding.
    """
    return _from_raw(read_raw(data, limit), 0)


def read_raw(data: bytes, limit: int) -> Any:
    """A value checked for canonical form alone, its links as their CID's `bytes`.

    For readers that check every type themselves (chain/schema.py). Raises InvalidEncoding.
    """
    if len(data) > limit:
        raise InvalidEncoding(f"at most {limit} bytes", f"{len(data)}")
    _guard_depth(data)
    try:
        value = libipld.decode_dag_cbor(data)
        canonical = libipld.encode_dag_cbor(value) == data
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidEncoding("DAG-CBOR", f"{len(data)} bytes that are not: {_first_line(error)}") from error
    if not canonical:
        raise InvalidEncoding("canonical DAG-CBOR", "a longer or differently ordered form of it")
    return value


def write_raw(value: Any) -> bytes:
    """DAG-CBOR of a value whose links are CID bytes. Raises InvalidEncoding."""
    try:
        data: bytes = libipld.encode_dag_cbor(value)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidEncoding("a value that DAG-CBOR can hold", _first_line(error)) from error
    return data


def list_head(count: int) -> bytes:
    """The CBOR head of a list (RFC 8949, 3): major type 4 and the shortest form of the count.

    For writing a long list item by item. Raises InvalidEncoding for 2^32 items and more.
    """
    if count < 24:
        return bytes((0x80 | count,))
    for low, width in ((24, 1), (25, 2), (26, 4)):
        if count < 1 << 8 * width:
            return bytes((0x80 | low,)) + count.to_bytes(width, "big")
    raise InvalidEncoding("a list of fewer than 2^32 items", str(count))


def split_list(data: bytes, at: int, begin: bytes) -> list[bytes] | None:
    """The items, unread, of a list whose head is at `at`, that ends the data and whose items all begin alike.

    None where the bytes do not fall apart into as many as the head says: what items begin with may stand inside of
    them too. And where they do, the items are only where they seem to be: read each strictly, and if one is not whole,
    read the list as what it is.
    """
    low = data[at] & 31 if at < len(data) else 31
    width = {24: 1, 25: 2, 26: 4}.get(low, 0)
    count = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else low
    if low > 26 or data[at : at + 1 + width] != list_head(count):
        return None
    before, *items = data[at + 1 + width :].split(begin)
    return [begin + item for item in items] if not before and len(items) == count else None


def to_json(obj: object) -> str:
    """DAG-JSON in its canonical form: no spaces, keys sorted, links as {"/": cid}. Raises InvalidEncoding."""
    return json.dumps(_to_json(obj, 0), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes, limit: int = 8 * 1024 * 1024) -> Any:
    """The value of a DAG-JSON document of at most `limit` characters, any spacing. Raises InvalidEncoding.

    Floats, duplicate keys, bytes ({"/": {"bytes": ...}}) and integers beyond 64 bits are refused.
    """
    if len(text) > limit:
        raise InvalidEncoding(f"at most {limit} characters", f"{len(text)}")
    try:
        document = text.decode() if isinstance(text, bytes) else text
        guard_json_depth(document)
        value = json.loads(document, object_pairs_hook=_json_map, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InvalidEncoding("a JSON document", _first_line(error)) from error
    _to_raw(value, 0)  # the same bounds as for DAG-CBOR
    return value


def shown(value: object) -> str:
    """A value as error messages show it, cut to a readable length."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a map of {len(value)}"
    if isinstance(value, int) and abs(value) >> 256:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value[:80]) if isinstance(value, (str, bytes)) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _guard_depth(data: bytes) -> None:
    """Refuse deep nesting before libipld meets it on the C stack.

    Depth n takes n array, map or tag heads, so few bytes in those ranges mean shallow; only bytes with many
    (links are full of them by chance) are walked.
    """
    heads = len(data) - len(data.translate(None, _CONTAINER_HEADS + _TAGS))
    if heads > _SAFE_HEADS and _too_deep(data):
        raise InvalidEncoding(f"at most {MAX_DEPTH} lists and maps inside each other", "deeper nesting")


def guard_json_depth(text: str) -> None:
    """Refuse deep nesting before json.loads meets it on the C stack. Raises InvalidEncoding."""
    if text.count("[") + text.count("{") <= 2 * MAX_DEPTH:
        return
    depth = 0
    for token in _JSON_TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > 2 * MAX_DEPTH:  # a link is a level more here than in the value
            raise InvalidEncoding(f"at most {MAX_DEPTH} lists and maps inside each other", "deeper nesting")


def _too_deep(data: bytes) -> bool:
    """Walk CBOR heads (RFC 8949, 3) and count open containers. Broken input is left to libipld.

    A megabyte might hold a million items, each of which costs a step here; none of ours are that small. Raises
    InvalidEncoding for data of many items that are shorter than three bytes on average.
    """
    skip, end = _SKIPS, len(data)
    open_items: list[int] = []  # how many items each open container still expects, but for the innermost
    at, left = 0, 1
    for _ in range(_SMALL_ITEMS + end // 3):
        if at >= end:
            return False
        head = data[at]
        width = skip[head]
        if width < _LONG:
            at += width
        elif width == _LONG:
            low = head & 31
            size = 1 << (low - 24) if low > 23 else 0
            at += 1 + size
            value = int.from_bytes(data[at - size : at], "big") if size else low
            major = head >> 5
            if major < 4:
                at += value
            else:
                open_items.append(left - 1)
                left = (value, 2 * value, 1)[major - 4] + 1  # with the container itself, which is taken off below
                if len(open_items) > MAX_DEPTH + 1:  # a link's tag is a level here, not in the value
                    return True
        else:
            return False  # indefinite lengths: not DAG-CBOR
        left -= 1
        while left <= 0:
            if not open_items:
                return False
            left = open_items.pop()
    raise InvalidEncoding("items of three bytes and more on average", f"{end} bytes of shorter ones")


def _to_raw(obj: object, depth: int) -> Any:
    kind = type(obj)
    if obj is None or kind is bool:
        return obj
    if kind is str:
        return _text(obj)
    if kind is int:
        return _integer(obj)
    if kind is Link:
        return cid_to_bytes(str(obj))
    if depth >= MAX_DEPTH and kind in (list, dict):
        raise InvalidEncoding(f"at most {MAX_DEPTH} lists and maps inside each other", "deeper nesting")
    if kind is list:
        return [_to_raw(item, depth + 1) for item in obj]  # type: ignore[attr-defined]
    if kind is dict:
        return {_key(key): _to_raw(item, depth + 1) for key, item in obj.items()}  # type: ignore[attr-defined]
    raise InvalidEncoding("null, a boolean, an integer, text, a list, a map or a link", f"{kind.__name__} {shown(obj)}")


def _from_raw(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is bytes:
        if not is_cid(value):
            raise InvalidEncoding("no byte strings (binary travels as hex text)", f"{len(value)} bytes")
        return Link(cid_to_text(value))
    if kind is int:
        return _integer(value)
    if value is None or kind is bool or kind is str:
        return value
    if depth >= MAX_DEPTH and kind in (list, dict):
        raise InvalidEncoding(f"at most {MAX_DEPTH} lists and maps inside each other", "deeper nesting")
    if kind is list:
        return [_from_raw(item, depth + 1) for item in value]
    if kind is dict:
        return {key: _from_raw(item, depth + 1) for key, item in value.items()}
    raise InvalidEncoding("no floats (scores are integer millionths)", shown(value))


def _to_json(obj: object, depth: int) -> Any:
    if type(obj) is Link:
        return {"/": cid_to_text(cid_to_bytes(obj))}
    if type(obj) is list and depth < MAX_DEPTH:
        return [_to_json(item, depth + 1) for item in obj]
    if type(obj) is dict and depth < MAX_DEPTH:
        if "/" in obj:
            raise InvalidEncoding('no map key "/", which DAG-JSON reserves for links', '"/"')
        return {_key(key): _to_json(item, depth + 1) for key, item in obj.items()}
    return _to_raw(obj, depth)


def _json_map(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    if "/" not in value:
        return value
    link = value["/"]
    if len(value) != 1 or not isinstance(link, str):
        raise ValueError('the key "/" is for links alone: {"/": "bafy..."}')
    return Link(link)


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer (floats are not allowed)")


def _integer(value: Any) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise InvalidEncoding("an integer of 64 bits (signed)", shown(value))
    return int(value)


def _text(value: Any) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidEncoding("text that UTF-8 can hold", "a lone surrogate") from error
    return str(value)


def _key(key: object) -> str:
    if type(key) is not str:
        raise InvalidEncoding("map keys that are text", shown(key))
    return _text(key)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
