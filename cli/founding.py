"""What somebody who begins a network says of it, in options or in answers: who votes first, and who owns what.

All raise click.UsageError, which names the option, or nothing but the text where that was an answer (option "").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import click

from chain.params import Params
from chain.schema import Address
from cli.addresses import is_address, read_address

#: Longest note in a genesis, characters.
MAX_NOTE = 1000


def first_validators(
    texts: Sequence[str], count: int, params: Params, option: str = "--validator"
) -> dict[str, Address | None]:
    """The first validators by their names: the addresses of `texts`, then None for each key that is to be made."""
    found: dict[str, Address | None] = {}
    for text in texts:
        name, given = _pair(text, option, "NAME=ADDRESS")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
            raise _wrong(option, text, "expected a name of a-z, 0-9, then also . _ -")
        address = _address(given, option, text)
        if name in found:
            raise _wrong(option, text, "expected different names, found this one before")
        if address in found.values():
            raise _wrong(option, text, "expected different addresses, one key for each organisation")
        found[name] = address
    if len(texts) + count > params.max_validators:
        raise click.UsageError(f"expected at most {params.max_validators} validators, found {len(texts) + count}")
    for name in (f"validator-{number}" for number in range(1, count + 1)):
        if name in found:
            raise _wrong(option, name, "expected different names; a key that is made here gets this one")
        found[name] = None
    return found


def answered_validators(text: str, params: Params) -> dict[str, Address | None]:
    """The same from one answer: NAME=ADDRESS with commas, or how many keys to make."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) == 1 and parts[0].isdecimal():
        parts, count = [], int(parts[0])
    else:
        count = 0
    if not parts and not count:
        raise _wrong("", text, "expected NAME=ADDRESS of each, with commas, or how many keys to make, 1 at least")
    return first_validators(parts, count, params, "")


def first_balances(texts: Sequence[str], names: Collection[str], option: str = "--balance") -> dict[str, int]:
    """What accounts own at first, by the name of a validator or an address."""
    found: dict[str, int] = {}
    for text in texts:
        given, amount = _pair(text, option, "WHO=AMOUNT")
        if given not in names and not is_address(given):
            known = ", ".join(sorted(names))
            what = f"expected an address, 0x and 40 hexadecimal digits, or the name of a validator: {known}"
            raise _wrong(option, text, what)
        who = given if given in names else _address(given, option, text)
        if not re.fullmatch(r"[1-9][0-9]{0,18}", amount):
            raise _wrong(option, text, "expected an amount of at least 1")
        if who in found:
            raise _wrong(option, text, "expected one for each account, found another before it")
        found[who] = int(amount)
    if sum(found.values()) >= 2**63:
        raise click.UsageError("expected balances whose sum is below 2^63")
    return found


def answered_balances(text: str, validators: Mapping[str, Address | None], params: Params) -> dict[str, int]:
    """The same from one answer, with commas; where stake votes, it has to name every validator."""
    found = first_balances([part.strip() for part in text.split(",") if part.strip()], validators, "")
    poor = [name for name, address in validators.items() if name not in found and address not in found]
    if params.power == "stake" and poor:
        without = ", ".join(poor)
        raise click.UsageError(f"expected a balance of each validator, its first stake; found none of {without}")
    return found


def note(text: str) -> str:
    """Anything that is not too long."""
    if len(text) > MAX_NOTE:
        raise click.UsageError(f"expected a note of at most {MAX_NOTE} characters, found {len(text)}")
    return text


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise _wrong(option, text, f"expected {form}")
    return name.strip(), value.strip()


def _address(given: str, option: str, text: str) -> Address:
    try:
        return read_address(given)
    except ValueError as error:
        raise _wrong(option, text, str(error)) from error


def _wrong(option: str, text: str, what: str) -> click.UsageError:
    return click.UsageError(f"{option} {text}: {what}".lstrip())
