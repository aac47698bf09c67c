"""What a task asks for, as the broker hands it over: anybody who reaches the broker may have written it."""

from __future__ import annotations

from dataclasses import dataclass

from ipfs.cid import parse_cid
from ipfs.errors import InvalidCid

#: Attempts, rounds and partitions are far below: no job has so many.
_MOST = 2**32


class NoTask(ValueError):  # noqa: N818 - what it is
    """Arguments that no coordinator sends."""


@dataclass(frozen=True)
class Asked:
    """The arguments of a task; `partition` is None for an aggregate."""

    job: str
    attempt: int
    round: int
    partition: int | None


def asked_of(given: object, *, partition: bool) -> Asked:
    """A task's arguments; `partition`: whether it is about one. Raises NoTask, saying what was expected."""
    names = {"job", "attempt", "round"} | ({"partition"} if partition else set())
    if not isinstance(given, dict) or set(given) != names:
        raise NoTask(f"expected the arguments {', '.join(sorted(names))}, came {repr(given)[:200]}")
    job = given["job"]
    try:
        if not isinstance(job, str) or str(parse_cid(job)) != job:
            raise NoTask(f"job: expected a CID, came {repr(job)[:200]}")
    except InvalidCid as error:
        raise NoTask(f"job: {error}") from error
    numbers = {name: given[name] for name in sorted(names - {"job"})}
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number < _MOST:  # a bool is no number here
            raise NoTask(f"{name}: expected a whole number from 0 on, came {repr(number)[:200]}")
    return Asked(job, numbers["attempt"], numbers["round"], numbers.get("partition"))
