"""Nodes that talk over a queue of events, on a clock that moves only when something happens."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest

from chain import work
from chain.finality import choose_vote
from chain.keys import Key
from chain.node.core import Node
from chain.node.peering.codec import decode, encode
from chain.node.peering.limits import Limits
from chain.node.peering.messages import Message
from chain.node.peering.peer import PeerRefused
from chain.node.peering.protocol import Peering
from chain.params import DEVELOPMENT, Genesis, Params
from chain.schema import Address
from chain.store import Store
from chain.transactions import Payload, Signed, Transfer, VoteCheckpoint, body_of, sign
from tests.chain.node.taken import taken

START = 1_700_000_000_000
EASY = replace(DEVELOPMENT, initial_target=work.compact_of(work.MAX_TARGET))
VALIDATORS = [Key(n.to_bytes(32, "big")) for n in range(1, 5)]
OWNER = Key((11).to_bytes(32, "big"))
GENESIS = Genesis(
    network="development",
    time=START,
    validators=tuple(sorted(key.address for key in VALIDATORS)),
    balances=((OWNER.address, 1_000_000),),
    note="peers",
)
_salts = itertools.count(1)


def signed_by(key: Key, payload: Payload, genesis: str, expires: int) -> Signed:
    return sign(body_of(payload, key.address, genesis, f"{next(_salts):032x}", expires), key)  # type: ignore[arg-type]


@dataclass
class Member:
    """One node of the world."""

    name: str
    node: Node
    store: Store
    peering: Peering
    mines: bool = True
    up: bool = True
    mining: int = 0
    log: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @property
    def head(self) -> str:
        return self.node.head.id

    def reasons(self) -> list[str]:
        return [str(fields["reason"]) for event, fields in self.log if event == "peer discouraged"]


class World:
    """All of them, and what is under way between them."""

    def __init__(self, seed: int = 1, params: Params = EASY, genesis: Genesis = GENESIS, coded: bool = True) -> None:
        self.params, self.genesis, self.coded = params, genesis, coded
        self.rng = random.Random(seed)
        self.now = START + 1
        self.members: dict[str, Member] = {}
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.cut: set[frozenset[str]] = set()
        self.latency: Callable[[str, str], int] = lambda _a, _b: 5
        self.filter: Callable[[str, str, Message], bool] = lambda _a, _b, _m: True
        self.sent: list[tuple[str, str, Message]] = []
        self.last: dict[str, VoteCheckpoint] = {}
        self.voting: dict[str, list[Key]] = {}
        self.voting_keys = VALIDATORS

    # ------------------------------------------------------------------ making

    def member(
        self, name: str, *, mines: bool = True, limits: Limits | None = None, store: Store | None = None
    ) -> Member:
        store = store or Store(None)
        address = Address("0x" + name.encode().hex().rjust(40, "0"))
        node = Node(self.genesis, self.params, store, lambda: self.now, address)
        log: list[tuple[str, dict[str, object]]] = []

        def note(event: str, /, **fields: object) -> None:
            log.append((event, fields))

        def send(to: str, message: Message) -> None:
            self.deliver(name, to, message)

        def dropped(peer: str, reason: str, /) -> None:
            if peer in self.members:
                other = self.members[peer]
                self.after(0, lambda: other.peering.disconnected(name))

        peering = Peering(
            node, lambda: self.now, send, random.Random(self.rng.random()),
            limits=limits, url=url(name), dropped=dropped, log=note, warn=note,
        )  # fmt: skip
        found = self.members[name] = Member(name, node, store, peering, mines, log=log)
        return found

    def connect(self, a: str, b: str) -> None:
        one, two = self.members[a], self.members[b]
        try:
            two.peering.check(one.peering.hello(), a)
            one.peering.check(two.peering.hello(), b)
        except PeerRefused:
            return
        hello = one.peering.hello(), two.peering.hello()
        two.peering.connected(a, hello[0])
        one.peering.connected(b, hello[1])

    def connect_all(self, names: Iterable[str] | None = None) -> None:
        for a, b in itertools.combinations(names or list(self.members), 2):
            self.connect(a, b)

    def restart(self, name: str) -> Member:
        old = self.members[name]
        for other in self.members.values():
            other.peering.disconnected(name)
        return self.member(name, mines=old.mines, limits=old.peering.limits, store=old.store)

    # ------------------------------------------------------------------ time

    def after(self, ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + ms, next(self.count), do))

    def deliver(self, a: str, b: str, message: Message) -> None:
        if frozenset((a, b)) in self.cut or not self.filter(a, b, message):
            return
        self.sent.append((a, b, message))
        if self.coded:
            message = decode(type(message), encode(message), self.params)

        def arrive() -> None:
            if frozenset((a, b)) not in self.cut and self.members[b].up:
                self.members[b].peering.on_message(a, message)

        self.after(self.latency(a, b), arrive)

    def partition(self, *groups: str) -> None:
        """Each group (names of one letter) reaches only itself; without groups all reach all."""
        self.cut = {
            frozenset((a, b))
            for a, b in itertools.combinations(self.members, 2)
            if groups and not any(a in group and b in group for group in groups)
        }

    def send(self, name: str, amount: int = 1) -> Signed:
        member = self.members[name]
        signed = self.transfer(member.node.chain.genesis_id, amount)
        taken(member.node, signed.data)
        return signed

    def _work(self, member: Member) -> None:
        task = member.node.on_time()
        if task is None or task.number == member.mining or not member.mines:
            return
        member.mining = task.number

        def found() -> None:
            if member.node.on_time() is task:
                header = task.block.header
                nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
                assert nonce is not None
                member.node.mined(task.number, nonce)

        self.after(2, found)

    def _vote(self, member: Member) -> None:
        head = member.node.head
        for key in self.voting.get(member.name, ()):
            vote = choose_vote(head.state, head.id, self.last.get(key.address))
            if vote is not None:
                self.last[key.address] = vote
                member.node.receive_transactions([signed_by(key, vote, member.node.chain.genesis_id, 0).data])

    def step(self) -> None:
        """The next thing that happens."""
        times = [self.queue[0][0]] if self.queue else []
        for member in self.members.values():
            if member.up:
                due = member.node.next_time() if member.mines else None
                times += [t for t in (due, member.peering.next_time()) if t is not None]
        assert times, "nothing will ever happen"
        self.now = max(self.now, min(times))
        while self.queue and self.queue[0][0] <= self.now:
            heapq.heappop(self.queue)[2]()
        for member in self.members.values():
            if member.up:
                due = member.peering.next_time()
                if due is not None and due <= self.now:
                    member.peering.on_time()
                self._vote(member)
                self._work(member)

    def run(self, until: Callable[[], bool], ms: int = 120_000, steps: int = 20_000) -> None:
        deadline = self.now + ms
        for _ in range(steps):
            if until():
                return
            assert self.now < deadline, f"not so after {ms} ms: {self.heads()}"
            self.step()
        raise AssertionError(f"not so after {steps} steps: {self.heads()}")

    def run_for(self, ms: int) -> None:
        deadline = self.now + ms
        self.run(lambda: self.now >= deadline, ms + 60_000)

    def heads(self) -> dict[str, tuple[int, str]]:
        return {each.name: (each.node.head.height, each.head[:8]) for each in self.members.values()}

    def agreed(self) -> bool:
        return len({member.head for member in self.members.values()}) == 1

    def transfer(self, genesis: str, amount: int = 1, expires: int | None = None) -> Signed:
        payload = Transfer(VALIDATORS[0].address, amount)
        return signed_by(OWNER, payload, genesis, self.now + 600_000 if expires is None else expires)

    def mine(self, name: str, count: int, stride: int = 1) -> None:
        """Blocks at one node, one after the other, each with a transfer; nobody hears until messages move."""
        member = self.members[name]
        for _ in range(count):
            self.now += stride
            self.send(name)
            extend(member.node, self.now)


def extend(node: Node, now: int, miner: str | None = None) -> None:
    template = node.chain.build(node.pool.ordered(), Address(miner or node.miner), now)
    header = template.block.header
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    assert nonce is not None
    node.receive_block(replace(template.block, header=replace(header, nonce=nonce)))


def url(name: str) -> str:
    return f"http://{name}:7001"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> Callable[..., World]:
    return World


@pytest.fixture
def network() -> Genesis:
    return GENESIS


@pytest.fixture
def owner() -> Key:
    return OWNER


@pytest.fixture
def validators() -> list[Key]:
    return VALIDATORS
