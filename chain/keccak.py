"""Keccak-256, Ethereum's hash: Keccak as submitted, with other padding than the SHA3-256 that came of it.

pysha3 (kept on as safe-pysha3) does it ten times as fast as pycryptodome, which serves where there is no wheel of
the former; the tests compare both.
"""

from __future__ import annotations

try:
    from sha3 import keccak_256

    def keccak256(data: bytes) -> bytes:
        """The 32 bytes."""
        digest: bytes = keccak_256(data).digest()
        return digest

except ImportError:
    from Crypto.Hash import keccak

    def keccak256(data: bytes) -> bytes:
        """The 32 bytes."""
        digest: bytes = keccak.new(digest_bits=256, data=data).digest()
        return digest
