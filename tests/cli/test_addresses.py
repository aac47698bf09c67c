"""Addresses as people write them, with and without the capitals that show a wrong digit."""

from __future__ import annotations

import pytest

from cli.addresses import is_address, read_address

#: Of https://eips.ethereum.org/EIPS/eip-55, "Test Cases": all capitals, all small, and normal.
EXAMPLES = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_capitals_are_a_checksum_or_say_nothing(text: str) -> None:
    for form in (text, text.lower(), f"0x{text[2:].upper()}", f"0X{text[2:]}"):
        assert read_address(form) == text.lower()


@pytest.mark.parametrize("text", EXAMPLES[4:])
def test_with_capitals_a_changed_digit_is_found(text: str) -> None:
    for place in (2, 20, 41):
        wrong = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]
        with pytest.raises(ValueError, match=r"do not fit its digits \(EIP-55\)"):
            read_address(wrong)


@pytest.mark.parametrize("text", ["", "0x", "validator-1", EXAMPLES[0][2:], EXAMPLES[0] + "0", EXAMPLES[0][:-1] + "g"])
def test_what_is_no_address_is_said_to_be_none(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(ValueError, match="0x and 40 hexadecimal digits"):
        read_address(text)
