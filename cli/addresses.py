"""Addresses as people write them: in lowercase, or with the capitals that EIP-55 makes a checksum of."""

from __future__ import annotations

import re

from chain.keccak import keccak256
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
    if digits not in (digits.lower(), digits.upper(), _checked(digits.lower())):
        raise ValueError(
            "expected an address, found one whose capitals do not fit its digits (EIP-55), so a character is wrong: "
            "copy it again from whoever made it"
        )
    return Address(f"0x{digits.lower()}")


def _checked(digits: str) -> str:
    """The same digits with the capitals of https://eips.ethereum.org/EIPS/eip-55."""
    found = keccak256(digits.encode()).hex()[: len(digits)]
    return "".join(digit.upper() if nibble > "7" else digit for digit, nibble in zip(digits, found, strict=True))
