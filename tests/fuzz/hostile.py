"""Values that decoders trip over, as bytes to be put in the place of any value of a document."""

from __future__ import annotations

import struct


def _head(major: int, value: int, width: int) -> bytes:
    """A CBOR head with its argument in `width` bytes, minimal or not (RFC 8949, 3)."""
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width],)) + value.to_bytes(width, "big")


def _text(text: bytes) -> bytes:
    return _head(3, len(text), 4)[:1] + len(text).to_bytes(4, "big") + text


_CID = b"\x01\x71\x12\x20" + bytes(range(32))
_BAD_UTF8 = (
    b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80",
    b"\xf0\x9f\x98",
)  # fmt: skip
_ODD_TEXTS = (
    "", " ", "\x00", "a\x00b", "\x1b[31m", "\u202e", "\ufeff", "\uffff", "\U0010ffff", "ß" * 40, "👩‍🔬", "e\u0301",
    "0x" + "0" * 40, "0" * 64, "f" * 64, "F" * 64, "١٢٣", "-0", "1e999", "null", "__class__", "../../etc/passwd",
    "bafy" + "a" * 55, "Qm" + "1" * 44, "b" + "a" * 58, "z" + "1" * 60, "x" * 255, "x" * 300, "%s%n", "a" * 70_000,
)  # fmt: skip

CBOR: tuple[bytes, ...] = (
    # scalars of every type, minimal and not
    b"\xf6", b"\xf5", b"\xf4", b"\xf7", b"\xe0", b"\xf8\x18", b"\xf8\xff", b"\xff", b"\x1c", b"\x1f", b"\xfc",
    b"\x00", b"\x01", b"\x17", b"\x18\x18", b"\x20", b"\x38\x63", b"\x18\x05", b"\x19\x00\x05", b"\x1a\0\0\0\x05",
    _head(0, 2**53, 8), _head(0, 2**63 - 1, 8), _head(0, 2**63, 8), _head(0, 2**64 - 1, 8),
    _head(1, 2**63 - 1, 8), _head(1, 2**63, 8), _head(1, 2**64 - 1, 8), b"\x1b" + bytes(8),
    b"\xc2\x49\x01" + bytes(8), b"\xc3\x49\x01" + bytes(8), b"\xc2\x59\x04\x00" + b"\xff" * 1024,
    b"\xf9\x00\x00", b"\xf9\x80\x00", b"\xf9\x3c\x00", b"\xf9\x7e\x00", b"\xf9\x7c\x00", b"\xf9\xfc\x00",
    b"\xfa" + struct.pack(">f", 1.5), b"\xfb" + struct.pack(">d", -0.0), b"\xfb" + struct.pack(">d", 1.0),
    b"\xfb\x7f\xf8" + bytes(6), b"\xfb\x7f\xf0" + bytes(6), b"\xfb\xff\xf8\0\0\0\0\0\x01", b"\xfb" + b"\xff" * 8,
    # byte strings and links
    b"\x40", b"\x41\x00", b"\x58\x24" + _CID, b"\xd8\x2a\x58\x25\x00" + _CID, b"\xd8\x2a\x58\x24" + _CID,
    b"\xd8\x2a\x58\x25\x01" + _CID, b"\xd8\x2a\x40", b"\xd8\x2a\x41\x00", b"\xd8\x2a\x60", b"\xd8\x2a\xd8\x2a\x40",
    b"\xd8\x2b\x58\x25\x00" + _CID, b"\xd9\x00\x2a\x58\x25\x00" + _CID, b"\xc0\x00", b"\xd8\x2a\x00",
    b"\xd8\x2a\x58\x23\x00\x12\x20" + bytes(32), b"\xd8\x2a\x58\x25\x00\x01\x55\x12\x20" + bytes(32),
    b"\xd8\x2a\x58\x25\x00\x01\x99\x12\x20" + bytes(32), b"\xd8\x2a\x58\x25\x00\x01\x71\x13\x20" + bytes(32),
    # containers, nested, of indefinite length, of claimed lengths that are not there
    b"\x80", b"\xa0", b"\x81\x00", b"\xa1\x00\x00", b"\xa1\x61a\x00", b"\xa2\x61a\x00\x61a\x01", b"\xa1\xf6\x00",
    b"\xa1\x80\x00", b"\xa1\x41\x00\x00", b"\xa2\x62bb\x00\x61a\x00", b"\x9f\xff", b"\xbf\xff", b"\x7f\xff",
    b"\x5f\xff", b"\x9f\x00\xff", b"\x7f\x61a\xff", b"\x98\x01\x00", b"\xb8\x00", b"\x9b" + bytes(8),
    b"\x81" * 16 + b"\x80", b"\x81" * 17 + b"\x80", b"\x81" * 18 + b"\x80", b"\x81" * 250 + b"\x80",
    b"\x81" * 20_000, b"\xa1\x61a" * 300 + b"\xa0", b"\xc1" * 300 + b"\x00", b"\xd8\x2a" * 3000, b"\x9f" * 1000,
    *(_head(major, length, width) for major in (2, 3, 4, 5)
      for length, width in ((2**64 - 1, 8), (2**63, 8), (2**32 - 1, 4), (2**31, 4), (65_535, 2), (255, 1))),
    b"\x90" + b"\x80" * 16, b"\x99\x03\xe8" + b"\x00" * 1000, b"\x99\x10\x00" + b"\x80" * 4096,
    *(bytes((0x60 | len(bad),)) + bad for bad in _BAD_UTF8),
    *(_text(text.encode()) for text in _ODD_TEXTS),
    *(bytes((0x60 | len(text.encode()),)) + text.encode() for text in _ODD_TEXTS if len(text.encode()) < 24),
    *(b"\x78" + bytes((len(text.encode()),)) + text.encode() for text in _ODD_TEXTS if 24 <= len(text.encode()) < 256),
)  # fmt: skip

JSON: tuple[bytes, ...] = (
    b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"1.0", b"-0.0", b"0.5", b"1e0", b"1E+2", b"1e308", b"1e999",
    b"-1e999", b"1e-999", b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000",
    b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"1" + b"0" * 40, b"1" + b"0" * 400, b"9" * 4000, b"9" * 5000, b"1e" + b"9" * 400,
    b"0." + b"3" * 5000, b"123456789.123456789e-20", b"2.2250738585072011e-308", b"5e-324",
    b'""', b'"a"', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u202e"',
    b'"\x00"', b'"\n"', b'"\\x41"', b'"\\u12"', b'"\\', b'"', b"'a'", b'"' + b"\\" * 3001, b'"' + b"\\\\" * 3000 + b'"',
    *(b'"' + bad + b'"' for bad in _BAD_UTF8),
    *(b'"' + text.encode() + b'"' for text in _ODD_TEXTS if "\x00" not in text and "\x1b" not in text),
    b"[]", b"{}", b"[null]", b"[[]]", b'{"a":1}', b'{"a":1,"a":2}', b'{"a":1,}', b"[1,]", b"[,]", b"{,}", b'{"a"}',
    b"{1:2}", b"{null:1}", b'{"":null}', b'{"/":"bafy"}', b'{"/":{"bytes":"AA"}}', b'{"/":1}', b'{"/":"a","b":1}',
    b'{"/":"bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"}', b'{"__proto__":{}}',
    b"[" * 20 + b"]" * 20, b"[" * 33 + b"]" * 33, b"[" * 40 + b"]" * 40, b"[" * 1000 + b"]" * 1000, b"[" * 50_000,
    b'{"a":' * 40 + b"1" + b"}" * 40, b'{"a":' * 3000, b'[{"a":' * 2000, b"[" + b"0," * 3000 + b"0]", b"]" * 100,
    b"[" + b'"' * 3000 + b"]", b"[{" * 200 + b'"' + b"[{" * 200 + b'"', b"/*x*/1", b"1//x", b"tru", b"\xef\xbb\xbf1",
    b"",
)  # fmt: skip

PROTOBUF: tuple[bytes, ...] = (
    b"", b"\x00", b"\x08\x00", b"\x08\x02", b"\x08\x01", b"\x08\x05", b"\x08\x06", b"\x08\xff\x01", b"\x08\x7f",
    b"\x0a\x00", b"\x12\x00", b"\x1a\x00", b"\x22\x00", b"\x18\x00", b"\x20\x00", b"\x20\x01", b"\x18\xff\xff\x03",
    b"\x18" + b"\xff" * 9 + b"\x01", b"\x18" + b"\xff" * 9 + b"\x02", b"\x18" + b"\x80" * 20, b"\x18" + b"\xff" * 8,
    b"\x12" + b"\xff" * 9 + b"\x01", b"\x0a" + b"\xff\xff\xff\xff\x0f", b"\x12\x80\x80\x80\x80\x08", b"\x0d\0\0\0\0",
    b"\x09" + bytes(8), b"\x0b", b"\x0c", b"\x0e", b"\x0f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",
    b"\xfa\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", b"\x0a\x24\x01\x55\x12\x20" + bytes(32),
    b"\x0a\x22\x12\x20" + bytes(32), b"\x0a\x24\x01\x99\x12\x20" + bytes(32), b"\x12\x02\xff\xfe",
    b"\x12\x2b\x0a\x24\x01\x55\x12\x20" + bytes(32) + b"\x12\x00\x18\x00", b"\x88\x00\x02", b"\x12\x83\x00abc",
    b"\x22\x0a" + b"\x01" * 10, b"\x20\x01" * 2000, b"\x12\x00" * 2000,
)  # fmt: skip

BYTES: tuple[bytes, ...] = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\r\n",
    b"\n", b'"', b'""', b",", b"\\", b"{", b"[", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"-0.0",
    b"1e999", b"nan,inf", b'"\n', b"\x1a", b"9" * 30, b"9" * 400, b"," * 200, b'"' * 99, b"\x00" * 100, b"a" * 5000,
)  # fmt: skip

VALUES = {"cbor": CBOR, "json": JSON, "protobuf": PROTOBUF, "bytes": BYTES}
