"""A node's own bounds towards its peers, and the buckets that measure rates.  Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Milliseconds, counts and bytes; no rule of the chain."""

    peers: int = 64
    """Peers at a time that came by themselves, beside those that were dialled and the operator's."""
    per_host: int = 8
    """Of them, those of one host."""
    unreachable: int = 32
    """Of them, those that can only ask."""
    dialled: int = 12
    """Below so many peers that can be reached, addresses of others are tried."""
    chosen: int = 4
    """Below so many that we have dialled, too, whoever else is there."""
    addresses: int = 512
    """Addresses remembered."""
    headers_per_peer: int = 2048
    """Headers without their bodies that one peer may have brought; also how far bodies lag behind headers."""
    bodies: int = 128
    """Bodies asked for, or held until those before them have come, at a time."""
    body_bytes: int = 32 * 1024 * 1024
    """Bytes of held bodies from which on only the next one is asked for."""
    orphans: int = 4
    """Blocks without a known parent held for one peer."""
    offered: int = 1024
    """Large transactions of one peer that are still to be asked for; what is beyond is found by inventories."""
    pending_per_peer: int = 4000
    """Waiting transactions that one peer may have brought."""
    queue: int = 2048
    """Transactions that wait to be told to one peer; what does not fit is found by comparing inventories."""
    queue_bytes: int = 4 * 1024 * 1024
    known_blocks: int = 512
    """Ids remembered of what a peer has."""
    known_transactions: int = 8192
    messages: tuple[float, float] = (200.0, 2000.0)
    """Messages without being asked, and requests, of one peer, by what they cost: each second, and at once."""
    answered: tuple[float, float] = (16.0 * 1024 * 1024, 64.0 * 1024 * 1024)
    """Bytes of answers to one peer: each second, and at once."""
    forks: tuple[float, float] = (2.0, 128.0)
    """Blocks of one peer that do not follow on the head, empty ones: each second, and at once. Of full ones, see
    ``quota.weight_of``, two at once and one in 23 s."""
    fork_ms: int = 1_000
    """How long a peer is not asked for headers where it brought more of them."""
    disputed: tuple[float, float] = (1 / 600, 256.0)
    """Blocks of one peer on branches that leave out our final block: each second, and at once. What it claims to be
    final is no higher than what is final here, and the fork no lower than what is kept in memory: by then its branch
    has shown two final blocks, or never will."""
    transactions: tuple[float, float] = (2000.0, 20_000.0)
    """Transactions of one peer without being asked: each second, and at once."""
    gossip_ms: int = 20
    """What is new is told at once, and what comes within this time after that together."""
    inventory_ms: int = 5_000
    """Between two comparisons of heads and pending transactions with a peer."""
    answer_ms: int = 15_000
    """A request is given up after this time, and what it was for is asked of another."""
    stall_ms: int = 4_000
    """A body that has not come after this time is also asked of another peer that has nothing to do."""
    slow_ms: int = 30_000
    """A peer that did not answer is asked for blocks only where no other has them, for this time."""
    addresses_ms: int = 120_000
    """Between two questions for addresses."""
    redial_ms: int = 2_000
    """First wait before an address is tried again; doubles up to redial_most_ms."""
    redial_most_ms: int = 300_000
    redial_trusted_ms: int = 10_000
    """The longest wait for an address that the operator named: a network that was cut is whole again soon after."""
    silent_ms: int = 60_000
    """A peer that only asks is forgotten when it did not for this time."""
    discourage_ms: int = 600_000
    """How long a peer that broke a rule is refused."""
    discouraged: int = 1024
    """Peers remembered as refused."""
    other_chain_ms: int = 60_000
    """How long a peer whose branch leaves out our final block is not asked for headers."""
    refused_ms: int = 60_000
    """How long a transaction that was refused is not asked for again."""


class Bucket:
    """A token bucket: ``rate`` each second, ``burst`` at most."""

    def __init__(self, rate: float, burst: float, now: int) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._then = burst, now

    def take(self, now: int, count: float = 1) -> bool:
        """Take ``count``; False, and nothing taken, where so many are not there."""
        self._level = min(self._burst, self._level + max(0, now - self._then) * self._rate / 1000)
        self._then = now
        if self._level < count:
            return False
        self._level -= count
        return True

    def give(self, count: float) -> None:
        """Give back; a negative ``count`` takes what has been used already, and more than there is."""
        self._level = min(self._burst, self._level + count)
