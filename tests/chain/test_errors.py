"""Errors say what was expected, what came and what to do, and each has a code of its own."""

from __future__ import annotations

from collections.abc import Iterator

from chain.errors import ChainError, Conflict, InsufficientBalance, InvalidEncoding, InvalidTransaction


def _classes(base: type[ChainError]) -> Iterator[type[ChainError]]:
    yield base
    for cls in base.__subclasses__():
        yield from _classes(cls)


def test_codes_are_words_and_differ() -> None:
    codes = [cls.code for cls in _classes(ChainError) if cls.__module__ == "chain.errors"]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


def test_the_text_says_where_what_and_what_to_do() -> None:
    error = InvalidEncoding("an integer", "'5'", "amount")
    error.inside("payload")
    assert str(error) == f"payload.amount: expected an integer, found '5'. {InvalidEncoding.advice}"
    item = InvalidEncoding("a hash", "1")
    item.inside("[2]")
    item.inside("environments")
    assert item.where == "environments[2]"


def test_a_message_alone_is_enough() -> None:
    error = Conflict("the job is closed")
    assert str(error) == f"the job is closed. {Conflict.advice}"
    assert isinstance(error, InvalidTransaction)
    error.index = 3
    assert error.index == 3
    assert hash(error)


def test_amounts_are_fields() -> None:
    error = InsufficientBalance("5", "3", "amount", balance=3, needed=5)
    assert (error.balance, error.needed, error.index) == (3, 5, None)
