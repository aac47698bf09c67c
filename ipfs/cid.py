"""Content identifiers with SHA2-256: CIDv0 and CIDv1 text and bytes.

Formats: https://github.com/multiformats/cid, multibase prefixes "b" (base32, lower case, no padding) and
"z" (base58btc), multicodec numbers from https://github.com/multiformats/multicodec/blob/master/table.csv.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import base58

from ipfs.errors import InvalidCid

RAW, DAG_PB, DAG_CBOR = 0x55, 0x70, 0x71
CODECS = {"raw": RAW, "dag-pb": DAG_PB, "dag-cbor": DAG_CBOR}
_SHA2_256 = b"\x12\x20"  # multihash: function 0x12, length 32
_LONGEST_TEXT = 128  # ours have 46 to 60 characters; base58 decoding takes quadratic time


@dataclass(frozen=True, slots=True)
class Cid:
    """`version` 0 or 1, `codec` one of `CODECS`, `digest` the SHA2-256 of the block (32 bytes)."""

    version: int
    codec: int
    digest: bytes

    def __str__(self) -> str:
        if self.version == 0:
            return base58.b58encode(_SHA2_256 + self.digest).decode()
        return "b" + base64.b32encode(bytes(self)).decode().lower().rstrip("=")

    def __bytes__(self) -> bytes:
        prefix = b"" if self.version == 0 else bytes((1, self.codec))
        return prefix + _SHA2_256 + self.digest

    def matches(self, data: bytes) -> bool:
        """Whether `data` is the block this CID names."""
        return hashlib.sha256(data).digest() == self.digest


def cid_of(codec: int, data: bytes, version: int = 1) -> Cid:
    """The CID of a block."""
    return Cid(version, codec, hashlib.sha256(data).digest())


def decode_cid(data: bytes) -> Cid:
    """A CID from its bytes. Raises ValueError for anything but version 0 or 1 with SHA2-256 and a known
    codec."""
    if len(data) == 34 and data[:2] == _SHA2_256:
        return Cid(0, DAG_PB, bytes(data[2:]))
    if len(data) == 36 and data[0] == 1 and data[1] in CODECS.values() and data[2:4] == _SHA2_256:
        return Cid(1, data[1], bytes(data[4:]))
    raise ValueError(
        "expected a CID of version 0 or 1 with SHA2-256 and codec raw, dag-pb or dag-cbor, "
        f"found {len(data)} bytes that begin 0x{data[:4].hex()}"
    )


def parse_cid(text: str) -> Cid:
    """A CID from its text ("Qm...", "b..." or "z..."). Raises InvalidCid."""
    shown = repr(text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "...")
    if not text.isascii() or not 2 <= len(text) <= _LONGEST_TEXT:
        raise InvalidCid(shown, "", "this is not the text of a CID")
    try:
        if text.startswith("Qm") and len(text) == 46:
            cid = decode_cid(base58.b58decode(text))
        elif text[0] == "z":
            cid = decode_cid(base58.b58decode(text[1:]))
            if cid.version == 0:
                raise ValueError("a CID of version 0 has no multibase prefix")
        elif text[0] == "b" and text.islower():
            body = text[1:].upper()
            cid = decode_cid(base64.b32decode(body + "=" * (-len(body) % 8)))
            if cid.version == 0 or str(cid) != text:  # unused bits that are not zero, or a prefixed version 0
                raise ValueError("the base32 text is not in canonical form")
        else:
            raise ValueError("it begins like no CID")
    except (ValueError, binascii.Error) as error:
        raise InvalidCid(shown, "", f"this is not a CID that Assay reads: {error}") from error
    return cid
