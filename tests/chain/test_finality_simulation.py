"""Finality on the instant-mining network: one node and four validators without sockets, on a clock of our own.

The miner keeps chain/pacing.py's rules, the validators vote by chain/finality.py as soon as they hear of a head, and
each vote reaches the node some milliseconds after the head was made. Prints nothing; `python
tests/chain/test_finality_simulation.py` shows a table over latencies, also with validators dead.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chain.errors import InvalidTransaction, NotYet
from chain.finality import choose_vote
from chain.keys import Key
from chain.pacing import next_mining_time
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address, Hash
from chain.state import BlockDraft, State, genesis_state, next_deadline
from chain.transactions import Signed, Transfer, VoteCheckpoint, body_of, sign

START = 1_700_000_000_000
KEYS = [Key(hashlib.sha256(bytes([number])).digest()) for number in range(4)]
GENESIS_ID = Hash("a" * 64)


@dataclass
class Network:
    """One node with its miner, and validators of whom the first `alive` vote, `latency` ms after a head is made."""

    latency: Callable[[], float]
    alive: int = 4
    now: float = START
    queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    count: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        genesis = Genesis(
            DEVELOPMENT.name,
            START - 1,
            tuple(key.address for key in KEYS),
            tuple(sorted((key.address, 10**6) for key in KEYS)),
            "",
        )
        self.states: list[State] = [genesis_state(genesis, DEVELOPMENT)]
        self.ids: list[Hash] = [GENESIS_ID]
        self.made: list[float] = [START]
        self.final_at: dict[int, float] = {}
        self.pending: list[Signed] = []
        self.votes: list[Signed] = []
        self.last: dict[Address, VoteCheckpoint] = {}
        self.mining: float | None = None

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (time, next(self.count), action))

    def run(self, until: float = float("inf"), most_blocks: int = 500) -> None:
        """Until nothing is left to happen: the chain stands still. Fails when it never does."""
        while self.queue and self.queue[0][0] <= until:
            self.now, _, action = heapq.heappop(self.queue)
            action()
            assert len(self.states) <= most_blocks, "the chain makes blocks without end"

    def send(self) -> None:
        """A transfer from somebody, now."""
        body = body_of(
            Transfer(KEYS[0].address, 1), KEYS[1].address, GENESIS_ID, f"{next(self.count):032x}", int(self.now) + 10**6
        )
        self.pending.append(sign(body, KEYS[1]))
        self.plan()

    def plan(self) -> None:
        """Ask when to mine, and forget what was planned before."""
        usable = {}
        for vote in self.votes:
            draft = self.draft()
            try:
                draft.add(vote)
            except InvalidTransaction:
                continue
            usable[vote.sender] = vote.payload
        due = next_mining_time(
            self.states[-1],
            self.ids[-1],
            params=DEVELOPMENT,
            head_since=int(self.made[-1]),
            work_since=int(self.made[-1]) if self.pending else None,
            votes=usable,
            votes_since=int(self.made[-1]),
            deadline=next_deadline(self.states[-1]),
            rank=0,
        )
        self.mining = None if due is None else max(self.now, float(due)) + 1  # 1 ms for the search
        if self.mining is not None:
            mine_at = self.mining
            self.at(mine_at, lambda: self.mine() if self.mining == mine_at else None)

    def draft(self) -> BlockDraft:
        head = self.states[-1]
        return BlockDraft(
            head,
            parent=self.ids[-1],
            height=head.height + 1,
            time=max(int(self.now), head.time + 1),
            params=DEVELOPMENT,
            ancestor=lambda height: self.ids[height],
        )

    def mine(self) -> None:
        self.mining = None
        draft = self.draft()
        kept = []
        for signed in sorted(self.votes, key=lambda vote: vote.payload.target_height) + self.pending:
            try:
                draft.add(signed)
            except NotYet:
                kept.append(signed)
            except InvalidTransaction:
                pass  # overtaken
        self.votes, self.pending = kept, []
        state, _ = draft.finish()
        for height in range(self.states[-1].finality.final_height + 1, state.finality.final_height + 1):
            self.final_at[height] = self.now
        self.ids.append(Hash(hashlib.sha256(f"{self.ids[-1]}{state.digest}".encode()).hexdigest()))
        self.states.append(state)
        self.made.append(self.now)
        head = len(self.states) - 1
        for key in KEYS[: self.alive]:
            self.at(self.now + self.latency(), lambda key=key: self.hear(key, head))
        self.plan()

    def hear(self, key: Key, height: int) -> None:
        """A validator's vote on the head at `height` reaches the node."""
        vote = choose_vote(self.states[height], self.ids[height], self.last.get(key.address))
        if vote is not None:
            self.last[key.address] = vote
            self.votes.append(sign(body_of(vote, key.address, GENESIS_ID, "0" * 32, 0), key))
            self.plan()


def one_transaction(seed: int, low: float, high: float, alive: int) -> tuple[Network, float, int]:
    """Milliseconds and blocks from a block with work to the state that says it is final."""
    generator = random.Random(seed)
    network = Network(lambda: generator.uniform(low, high), alive)
    network.at(START + 1, network.send)
    network.run()
    work = next(height for height, state in enumerate(network.states) if state.finality.work_height == height > 0)
    assert network.states[-1].finality.final_height >= work, "not final"
    return network, network.final_at[work] - network.made[work], len(network.states) - 1


@pytest.mark.parametrize("alive", [3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_work_is_final_within_three_blocks_with_votes_5_to_40_ms_late_and_one_of_four_dead(
    seed: int, alive: int
) -> None:
    network, took, blocks = one_transaction(seed, 5, 40, alive)
    assert blocks == 3
    assert took <= 90
    assert not network.queue
    assert network.states[-1].finality.settled


@pytest.mark.parametrize("late", [1, 50, 180, 500])
def test_work_becomes_final_at_any_latency_and_the_chain_then_stands_still(late: int) -> None:
    network, took, blocks = one_transaction(1, late / 2, late, alive=3)
    assert took <= 6 * late + 2 * DEVELOPMENT.votes_wait_ms + 10
    assert blocks <= 12
    assert not network.queue


def test_without_a_quorum_nothing_becomes_final_and_blocks_come_ever_more_slowly() -> None:
    generator = random.Random(1)
    network = Network(lambda: generator.uniform(5, 40), alive=2)
    network.at(START + 1, network.send)
    network.run(until=START + 120_000, most_blocks=60)
    assert network.states[-1].finality.final_height == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(network.made)]
    assert gaps[-1] >= DEVELOPMENT.max_wait_ms
    assert network.made[-1] > START + 100_000, "it goes on, so that a quorum that returns is heard"


@pytest.mark.parametrize("every", [7, 20, 60])
def test_a_busy_chain_is_final_soon_after_the_last_transaction_and_makes_no_more_blocks(every: int) -> None:
    generator = random.Random(2)
    network = Network(lambda: generator.uniform(5, 40), alive=3)
    for number in range(40):
        network.at(START + 1 + number * every, network.send)
    network.run()
    last = START + 1 + 39 * every
    assert network.states[-1].finality.settled
    assert network.made[-1] - last <= 500
    assert len(network.states) - 1 <= 40 * 3


def test_validators_that_come_back_finalise_what_waited() -> None:
    generator = random.Random(3)
    network = Network(lambda: generator.uniform(5, 40), alive=2)
    network.at(START + 1, network.send)
    network.run(until=START + 20_000)
    assert network.states[-1].finality.final_height == 0
    network.alive = 4
    network.run(until=START + 60_000)
    assert network.states[-1].finality.settled
    assert not network.queue


if __name__ == "__main__":
    sys.stdout.write("latency ms   alive   blocks   ms to final: median   worst of 100\n")
    for low, high in ((1, 5), (5, 40), (20, 100), (100, 300), (300, 500)):
        for living in (3, 4):
            runs = [one_transaction(seed, low, high, living) for seed in range(100)]
            times = [took for _, took, _ in runs]
            most = max(blocks for _, _, blocks in runs)
            sys.stdout.write(
                f"{low:4} to {high:4} {living:6} {most:8} {statistics.median(times):21.0f} {max(times):14.0f}\n"
            )
