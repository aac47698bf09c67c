"""Addresses of nodes and the peers that are refused for a while.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableSequence
from dataclasses import dataclass
from typing import Any, Protocol

from chain.node.peering.limits import Limits
from chain.node.peering.messages import host_of


class Rng(Protocol):
    """What is used of ``random.Random``."""

    def getrandbits(self, k: int, /) -> int: ...

    def randrange(self, start: int, /) -> int: ...

    def shuffle(self, x: MutableSequence[Any], /) -> None: ...


@dataclass
class Address:
    """What is known of one address."""

    url: str
    trusted: bool
    """Named by the operator: tried for ever, never evicted."""
    answered: bool = False
    """A node of this network has answered there."""
    failures: int = 0
    next_try: int = 0
    reason: str = ""
    """Why the last try failed."""


@dataclass(frozen=True)
class Discouraged:
    """A peer that broke a rule, or its host."""

    until: int
    reason: str


class Book:
    """Where nodes may be, at most ``Limits.addresses`` beside the operator's own."""

    def __init__(self, limits: Limits, rng: Rng) -> None:
        self._limits, self._rng = limits, rng
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._discouraged: OrderedDict[str, Discouraged] = OrderedDict()
        self.changes = 0
        """Counts up whenever :meth:`content` has."""

    def content(self) -> dict[str, Any]:
        """What is worth keeping over a restart: addresses that answered, the operator's first, and who is refused.

        The operator's are strangers' in the next run, unless named again: a wrong one is not tried for ever.
        """
        found = sorted((each for each in self if each.answered), key=lambda each: not each.trusted)
        return {
            "addresses": [each.url for each in found[: self._limits.addresses]],
            "discouraged": [[who, found.until, found.reason] for who, found in self._discouraged.items()],
        }

    def restore(self, content: Mapping[str, Any], now: int) -> None:
        """Begin with what an earlier run's :meth:`content` was."""
        for url in content.get("addresses", [])[: self._limits.addresses]:
            self.answered(url)
        for who, until, reason in content.get("discouraged", [])[-self._limits.discouraged :]:
            if until > now:  # at most as long as a new one would be: a clock may have been set back
                self._discouraged[who] = Discouraged(min(until, now + self._limits.discourage_ms), reason)

    def __iter__(self) -> Iterator[Address]:
        return iter(list(self._addresses.values()))

    def add(self, url: str, trusted: bool = False) -> None:
        """Remember an address; the one that failed most often makes room."""
        found = self._addresses.get(url)
        if found is not None:
            found.trusted = found.trusted or trusted
            if trusted:
                found.next_try = 0
            return
        strangers = [each for each in self._addresses.values() if not each.trusted]
        if not trusted and len(strangers) >= self._limits.addresses:
            worst = max(strangers, key=lambda each: (not each.answered, each.failures))
            if worst.answered and not worst.failures:
                return
            del self._addresses[worst.url]
        self._addresses[url] = Address(url, trusted)

    def trusts(self, url: str) -> bool:
        """Whether the operator named it."""
        found = self._addresses.get(url)
        return found is not None and found.trusted

    def remove(self, url: str) -> bool:
        """Forget an address; whether it was known."""
        found = self._addresses.pop(url, None)
        self.changes += found is not None
        return found is not None

    def answered(self, url: str) -> None:
        """A node of this network is there."""
        self.add(url)
        found = self._addresses.get(url)
        if found is not None:
            self.changes += not found.answered
            found.answered, found.failures, found.next_try, found.reason = True, 0, 0, ""

    def failed(self, url: str, now: int, reason: str) -> None:
        """Nobody answered there, or nobody we want to talk to; wait longer each time."""
        found = self._addresses.get(url)
        if found is None:
            return
        found.reason = reason
        most = self._limits.redial_trusted_ms if found.trusted else self._limits.redial_most_ms
        wait = min(self._limits.redial_ms << min(found.failures, 16), most)
        found.failures += 1
        found.next_try = now + wait + self._rng.randrange(wait // 4 + 1)

    def due(self, now: int, taken: frozenset[str], room: int) -> list[str]:
        """Addresses to try now: the operator's all, of the others ``room``."""
        ready = [
            each
            for each in self._addresses.values()
            if each.url not in taken and each.next_try <= now and self.refusal(each.url, now) is None
        ]
        others = [each.url for each in ready if not each.trusted]
        self._rng.shuffle(others)
        return [each.url for each in ready if each.trusted] + others[: max(0, room)]

    def next_try(self, taken: frozenset[str], others: bool) -> int | None:
        """When the next address becomes due."""
        times = [
            max(each.next_try, self._discouraged[each.url].until if each.url in self._discouraged else 0)
            for each in self._addresses.values()
            if each.url not in taken and (others or each.trusted)
        ]
        return min(times, default=None)

    def sample(self, count: int, but: str) -> tuple[str, ...]:
        """Up to ``count`` addresses that answered, for another node."""
        good = [each.url for each in self if each.answered and not each.failures and each.url != but]
        self._rng.shuffle(good)
        return tuple(good[:count])

    def discourage(self, who: str, now: int, reason: str) -> None:
        """Refuse ``who`` for a while."""
        self._discouraged.pop(who, None)
        self._discouraged[who] = Discouraged(now + self._limits.discourage_ms, reason)
        self.changes += 1
        while len(self._discouraged) > self._limits.discouraged:
            self._discouraged.popitem(last=False)

    def forgive(self, who: str) -> list[str]:
        """The operator wants it back: an address, or a host with all that came from there; who is forgiven."""
        forgiven = [each for each in self._discouraged if _concerns(each, who)]
        for each in forgiven:
            del self._discouraged[each]
        found = self._addresses.get(who)
        if found is not None:
            found.next_try = 0
        self.changes += len(forgiven)
        return forgiven

    def refusal(self, who: str, now: int) -> Discouraged | None:
        """Why ``who`` is refused, if it is."""
        found = self._discouraged.get(who)
        if found is not None and found.until <= now:
            del self._discouraged[who]
            return None
        return found

    @property
    def discouraged(self) -> dict[str, Discouraged]:
        """All that are refused."""
        return dict(self._discouraged)


def _concerns(refused: str, who: str) -> bool:
    """Whether a name under which somebody is refused (``URL``, ``from HOST``, ``URL from HOST``) is of ``who``."""
    url, _, host = refused.rpartition("from ")
    return who != "" and who in (refused, host, url.strip(), host_of(url.strip() or host))
