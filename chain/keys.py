"""secp256k1 keys, Ethereum addresses and signatures, straight on libsecp256k1 (coincurve).

What is signed is a 32-byte SHA-256 digest, wrapped as EIP-191 version 0x45 ("personal message"), so that any
Ethereum wallet can sign for Assay and no signature of ours is valid as a transaction elsewhere:
keccak256(0x19 "Ethereum Signed Message:\\n" "32" || digest). https://eips.ethereum.org/EIPS/eip-191

A signature is 130 lowercase hexadecimal digits: r (32 bytes), s (32), v (1). One signature has one form: s
lies in the lower half of the group's order (EIP-2) and v is 27 or 28; anything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from coincurve import PrivateKey, PublicKey
from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]  # compiled, without a stub
from coincurve.context import GLOBAL_CONTEXT
from coincurve.flags import EC_UNCOMPRESSED

from chain.errors import InvalidSignature
from chain.keccak import keccak256
from chain.schema import Address

T = TypeVar("T")

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1's group (SEC 2, version 2.0, 2.4.1)."""
_HIGHEST_S = (ORDER // 2).to_bytes(32, "big")
_PREFIX = b"\x19Ethereum Signed Message:\n32"
_SIGNATURE_MEMORY, _KEY_MEMORY, _POINT_MEMORY, _LENGTH_MEMORY = map(
    ffi.typeof,
    ("secp256k1_ecdsa_recoverable_signature *", "secp256k1_pubkey *", "unsigned char[65]", "size_t *"),
)


class Key:
    """A secret key: `address`, and `sign`. Its text shows the address alone."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes, an integer from 1 to the group's order less 1 (ValueError otherwise)."""
        if len(secret) != 32:
            raise ValueError(f"expected a secret of 32 bytes, found {len(secret)}")
        self._key = PrivateKey(secret)
        self.address: Address = address_of(self._key.public_key)

    @property
    def secret(self) -> bytes:
        """The 32 bytes, for the wallet that stores them."""
        return bytes(self._key.secret)

    def sign(self, digest: bytes) -> str:
        """The signature of a 32-byte digest, deterministic (RFC 6979)."""
        return self.sign_hash(signing_hash(digest))

    def sign_hash(self, hashed: bytes) -> str:
        """The signature of 32 bytes as they are, without EIP-191's prefix.

        Only for hashes that begin with a prefix of their own, as those of EIP-712 do (chain/attestations.py): a bare
        hash of somebody else's could be a transaction of another chain.
        """
        if len(hashed) != 32:
            raise ValueError(f"expected a hash of 32 bytes, found {len(hashed)}")
        signature = self._key.sign_recoverable(hashed, hasher=None)
        return signature[:64].hex() + f"{signature[64] + 27:02x}"

    def __repr__(self) -> str:
        return f"Key({self.address})"


def recover(digest: bytes, signature: str) -> Address:
    """The address whose key signed `digest` (32 bytes). Raises InvalidSignature."""
    return recover_hash(signing_hash(digest), signature)


def recover_hash(hashed: bytes, signature: str) -> Address:
    """The address whose key made `signature` of 32 bytes with Key.sign_hash. Raises InvalidSignature."""
    return _address_of_point(_Recovery().point(_asked(hashed, signature)))


def recover_all(signed: Iterable[tuple[bytes, str]]) -> list[Address | None]:
    """As `recover` of each digest with its signature, None for one that it would refuse.

    Faster than one by one: libsecp256k1's tables (1 MiB) push everything else out of a processor's cache, so its turns
    come one after another, and what is before them and behind them each at one go, too.
    """
    asked = [_or_none(_asked, signing_hash(digest), signature) for digest, signature in signed]
    recovery = _Recovery()
    points = [None if each is None else _or_none(recovery.point, each) for each in asked]
    return [None if point is None else _address_of_point(point) for point in points]


def _or_none(function: Callable[..., T], *arguments: Any) -> T | None:
    try:
        return function(*arguments)
    except InvalidSignature:
        return None


#: r and s in 64 bytes, 0 or 1, and the 32 bytes signed.
_Asked = tuple[bytes, int, bytes]


def _asked(hashed: bytes, signature: str) -> _Asked:
    """What a signature of 32 bytes asks of libsecp256k1. Raises InvalidSignature."""
    data = _bytes_of(signature)
    if len(hashed) != 32:
        raise ValueError(f"expected a hash of 32 bytes, found {len(hashed)}")
    version = data[64]
    if version not in (27, 28):
        raise InvalidSignature("a signature that ends in v = 27 or 28", f"v = {version}")
    if data[32:64] > _HIGHEST_S:
        raise InvalidSignature("s in the lower half of the group's order", "the high-s twin of a signature")
    return data[:64], version - 27, hashed


def _bytes_of(signature: str) -> bytes:
    """The 65 bytes whose digits a signature is. Raises InvalidSignature."""
    if type(signature) is str and len(signature) == 130:
        try:
            data = bytes.fromhex(signature)
        except ValueError:
            data = b""
        if data.hex() == signature:  # not so with capitals or spaces
            return data
    raise InvalidSignature("a signature of 130 lowercase hexadecimal digits", _shape(signature))


class _Recovery:
    """What coincurve's PublicKey.from_signature_and_message and format do, without their objects in between.

    For one thread, which owns the memory: others run while libsecp256k1 computes.
    """

    def __init__(self) -> None:
        self._signature, self._key = ffi.new(_SIGNATURE_MEMORY), ffi.new(_KEY_MEMORY)
        self._point, self._length = ffi.new(_POINT_MEMORY), ffi.new(_LENGTH_MEMORY, 65)
        self._numbers = ffi.buffer(self._point)

    def point(self, asked: _Asked) -> bytes:
        """x and y of the key that made a signature, 64 bytes. Raises InvalidSignature."""
        numbers, parity, hashed = asked
        context, signature, key = GLOBAL_CONTEXT.ctx, self._signature, self._key
        if not (
            lib.secp256k1_ecdsa_recoverable_signature_parse_compact(context, signature, numbers, parity)
            and lib.secp256k1_ecdsa_recover(context, key, signature, hashed)
        ):
            raise InvalidSignature("r and s of a signature on secp256k1", "numbers that no key can have made")
        lib.secp256k1_ec_pubkey_serialize(context, self._point, self._length, key, EC_UNCOMPRESSED)
        return self._numbers[1:]  # type: ignore[no-any-return]  # cffi has no types; a slice is bytes of its own


def signing_hash(digest: bytes) -> bytes:
    """EIP-191's hash of a 32-byte digest: what the key really signs."""
    if len(digest) != 32:
        raise ValueError(f"expected a digest of 32 bytes, found {len(digest)}")
    return keccak256(_PREFIX + digest)


def address_of(key: PublicKey) -> Address:
    """The last 20 bytes of the Keccak-256 of the uncompressed point (yellow paper, appendix F)."""
    return _address_of_point(key.format(compressed=False)[1:])


def _address_of_point(point: bytes) -> Address:
    return Address("0x" + keccak256(point)[-20:].hex())


def _shape(signature: Any) -> str:
    return f"{len(signature)} characters" if isinstance(signature, str) else type(signature).__name__
