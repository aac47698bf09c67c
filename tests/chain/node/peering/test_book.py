"""Addresses, and who is refused for a while."""

from __future__ import annotations

import random

from chain.node.peering.book import Book
from chain.node.peering.limits import Limits


def test_the_newest_of_those_that_are_refused_are_remembered():
    book = Book(Limits(discouraged=3), random.Random(1))
    for number in range(5):
        book.discourage(f"http://h:{number + 1}", 0, "nonsense")
    newest = ["http://h:3", "http://h:4", "http://h:5"]
    assert list(book.discouraged) == newest
    fewer = Book(Limits(discouraged=2), random.Random(1))
    fewer.restore(book.content(), 0)
    assert list(fewer.discouraged) == newest[1:]
