"""Addresses as people write them: in lowercase, or with the capitals that EIP-55 makes a checksum of."""

from __future__ import annotations

import re

from chain.schema import Address

_ADDRESS = re.compile("0[xX][0-9a-fA-F]{40}")


def is_address(text: str) -> bool:
    """Whether somebody meant an address; its capitals may be wrong."""
    return _ADDRESS.fullmatch(text) is not None


def read_address(text: str) -> Address:
    """The address, in lowercase. Raises ValueError where it is none, or where capitals say that a digit is wrong."""
    if not is_address(text):
        raise ValueError("expected an address, 0x and 40 hexadecimal digits")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and not _fits(f"0x{digits}"):
        raise ValueError(
            "expected an address, found one whose capitals do not fit its digits (EIP-55), so a character is wrong: "
            "copy it again from whoever made it"
        )
    return Address(f"0x{digits.lower()}")


def _fits(address: str) -> bool:
    """Whether the capitals are those of https://eips.ethereum.org/EIPS/eip-55."""
    from eth_utils.address import is_checksum_address  # slow to import, and only for who writes capitals

    return is_checksum_address(address)
