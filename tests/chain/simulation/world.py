"""Real nodes and peerings on a clock, a network and disks of the simulation's own; one seed decides everything.

A :class:`World` is a queue of events. Messages are late, lost, doubled and overtaken, connections are cut, clocks are
wrong, processes die in the middle of a write and come back with what their store holds. :class:`~.watch.Watch` looks at
each honest node after whatever it did.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from chain import work
from chain.blocks import Block
from chain.errors import ChainError, ConflictingFinality
from chain.keys import Key
from chain.node.core import Node, Task
from chain.node.interface import Receipt
from chain.node.peering.limits import Limits
from chain.node.peering.messages import ANSWERS, Message, Request
from chain.node.peering.protocol import Peering, PeerRefused
from chain.params import NETWORKS, Genesis, Params
from chain.rules import ALL_RULES, Rules
from chain.schema import Address
from chain.transactions import Payload, Signed, Transfer, VoteCheckpoint, body_of, sign
from tests.chain.simulation.members import Crash, Disk, Member, Weather
from tests.chain.simulation.watch import Violation, Watch

START = 1_700_000_000_000
KEYS = [Key((100 + number).to_bytes(32, "big")) for number in range(12)]
"""Validators: the first four of genesis, then those that may come."""
OWNERS = [Key((200 + number).to_bytes(32, "big")) for number in range(3)]
STRANGER = Key((300).to_bytes(32, "big"))
"""Somebody who owns nothing."""
EASY = work.compact_of(work.MAX_TARGET)
"""Every second nonce will do."""
RECENT: deque[World] = deque(maxlen=1)
"""The world made last, to look at after it failed."""
#: Waits of the protocol, shortened so that a partition of seconds is a long one.
LIMITS = Limits(
    inventory_ms=1_500, answer_ms=1_200, stall_ms=500, slow_ms=2_000, redial_ms=200, redial_most_ms=1_500,
    discourage_ms=60_000, other_chain_ms=3_000, refused_ms=5_000, silent_ms=6_000,
)  # fmt: skip


@cache
def genesis_of(network: str, members: int = 4) -> Genesis:
    owners = [*KEYS, *OWNERS]
    balances = tuple(sorted((key.address, 1_000 if key in KEYS else 10**9) for key in owners))
    return Genesis(network, START - 1_000, tuple(sorted(key.address for key in KEYS[:members])), balances, "simulated")


class World:
    """The nodes, and what is under way between them."""

    def __init__(
        self, seed: int, nodes: int, *, network: str = "development", rules: Rules = ALL_RULES, members: int = 4,
        lying: frozenset[Address] = frozenset(),
    ) -> None:  # fmt: skip
        self.seed, self.rng = seed, random.Random(seed)
        self.params: Params = replace(NETWORKS[network], initial_target=EASY, rules=rules)
        self.genesis = genesis_of(network, members)
        self.now = START
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.salts = itertools.count(1)
        self.weather = Weather()
        self.groups: dict[str, int] = {}
        """The part of the network each one is in, while it is cut."""
        self.trace: deque[tuple[int, str, str]] = deque(maxlen=400)
        self.strangers: dict[str, Callable[[str, Message], None]] = {}
        """Peers that are no nodes: what they do with what they are told (by whom, what)."""
        self.on_head: list[Callable[[Member], None]] = []
        self.watch = Watch(self.genesis, self.params, lying, START)
        RECENT.append(self)
        self.members: dict[str, Member] = {}
        for number in range(nodes):
            name = chr(ord("a") + number)
            self.members[name] = Member(name, Disk(), random.Random(self.rng.getrandbits(64)))

    # ------------------------------------------------------------------ time

    def note(self, who: str, what: str) -> None:
        self.trace.append((self.now - START, who, what))

    def after(self, ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + ms, next(self.count), do))

    def run(self, until: int, stop: Callable[[], bool] | None = None) -> None:
        """Up to a time, in milliseconds since START, or until `stop` says so."""
        end, queue = START + until, self.queue
        while queue and queue[0][0] <= end:
            self.now, _, do = heapq.heappop(queue)
            do()
            if stop is not None and stop():
                return
        self.now = end

    # ------------------------------------------------------------------ machines

    def start_all(self) -> None:
        for member in self.members.values():
            self.boot(member)

    def boot(self, member: Member) -> None:
        """Start the process on what the disk has."""
        if member.up or member.halted is not None:
            return

        def clock() -> int:
            return self.now + member.skew

        def warn(event: str, /, **fields: object) -> None:
            if event == "peer discouraged":
                self.note(member.name, f"discourages {fields['peer']}: {fields['reason']}")
                if fields["peer"] in self.members:
                    raise Violation(f"{member.name} discourages the honest {fields['peer']}: {fields['reason']}")

        member.node = Node(self.genesis, self.params, member.disk, clock, member.address)
        member.peering = Peering(
            member.node, clock, lambda to, message: self.send(member, to, message), member.rng, limits=LIMITS,
            url=url(member.name), seeds=[url(each) for each in member.seeds or self.members if each != member.name],
            dropped=lambda peer, _: self.hang_up(member, peer), warn=warn,
        )  # fmt: skip
        member.up, member.planned, member.mining, member.head = True, None, 0, ""
        member.sessions, member.dialling = {}, set()
        self.note(member.name, f"starts at height {member.node.head.height}")
        self.touch(member, lambda: None)

    def kill(self, member: Member, back: int | None) -> None:
        """The process ends; `back`: milliseconds until it is started again."""
        if not member.up:
            return
        member.up = False
        member.crashes += 1
        self.note(member.name, "dies")
        if back is not None:
            self.after(back, lambda: self.boot(member))

    def touch(self, member: Member, do: Callable[[], object]) -> None:
        """Have a process do something; it may die of it. Then look at it, and see when it has to do something next."""
        if not member.up:
            return
        try:
            do()
            self.watch.look(member)
        except Crash:
            self.kill(member, self.rng.randrange(50, 1_500))
            return
        except ConflictingFinality as conflict:
            member.halted, member.up = conflict, False
            self.note(member.name, f"stops: {conflict}")
            self.watch.halted(member)
            return
        if member.node.head.id != member.head:
            member.head = member.node.head.id
            state = member.node.head.state.finality
            self.note(
                member.name,
                f"head {member.node.head.height} {member.head[:8]} justified {state.justified_height} "
                f"final {state.final_height}",
            )
            for each in self.on_head:
                each(member)
        self.plan(member)

    def plan(self, member: Member) -> None:
        times = [member.peering.next_time(), member.peering.next_dial(frozenset(member.dialling))]
        if member.mines:
            times.append(member.node.next_time())
        due = min((time for time in times if time is not None), default=None)
        if due is None:
            return
        at = max(self.now, due - member.skew)
        if member.planned is not None and member.planned <= at:
            return
        member.planned = at
        node = member.node

        def tick() -> None:
            if member.planned == at and member.node is node:
                member.planned = None
                self.touch(member, lambda: self.on_time(member))

        heapq.heappush(self.queue, (at, next(self.count), tick))

    def on_time(self, member: Member) -> None:
        now = self.now + member.skew
        due = member.peering.next_time()
        if due is not None and due <= now:
            member.peering.on_time()
        due = member.peering.next_dial(frozenset(member.dialling))
        if due is not None and due <= now:
            for each in member.peering.dials(frozenset(member.dialling)):
                member.dialling.add(each)
                self.after(self.rng.randrange(2, 20), lambda each=each: self.dial(member, each))
        if not member.mines:
            return
        task = member.node.on_time()
        if task is not None and task.number != member.mining:
            member.mining = task.number
            node = member.node
            self.after(self.rng.randrange(1, 4), lambda: member.node is node and self.found(member, task))

    def found(self, member: Member, task: Task) -> None:
        self.touch(member, lambda: member.node.mined(task.number, nonce_of(task.block)))

    def mine(self, member: Member) -> Block:
        """A block on its head at once, of all that waits there."""
        now = max(self.now + member.skew, member.node.head.time + 1)
        block = member.node.chain.build(member.node.pool.ordered(), member.address, now).block
        block = with_nonce(block)
        self.touch(member, lambda: member.node.receive_block(block))
        return block

    # ------------------------------------------------------------------ network

    def reaches(self, a: str, b: str) -> bool:
        return self.groups.get(a) == self.groups.get(b)

    def cut(self, *groups: str) -> None:
        """Parts of the network that do not reach each other (names of one letter); without any all is well."""
        self.groups = {name: number for number, group in enumerate(groups) for name in group}
        self.note("-", f"network {'|'.join(groups) or 'whole'}")

    def dial(self, member: Member, address: str) -> None:
        name = address[len("http://") : -len(":7001")]
        other = self.members.get(name)
        member.dialling.discard(address)
        if not member.up:
            return
        if other is None or not other.up or not self.reaches(member.name, name):
            self.touch(member, lambda: member.peering.dial_failed(address, "nobody answers"))
            return
        try:
            other.peering.check(member.peering.hello(), url(member.name))
            member.peering.check(other.peering.hello(), address)
        except PeerRefused as refused:
            self.touch(member, lambda error=refused: member.peering.dial_failed(address, str(error)))
            return
        session = next(self.count)
        hellos = member.peering.hello(), other.peering.hello()
        member.sessions[name] = other.sessions[member.name] = session
        self.touch(other, lambda: other.peering.connected(member.name, hellos[0], who=url(member.name)))
        self.touch(member, lambda: member.peering.connected(name, hellos[1], who=address))

    def hang_up(self, member: Member, peer: str) -> None:
        """A connection ends by our decision; the other side hears of it where it can."""
        session, other = member.sessions.pop(peer, None), self.members.get(peer)
        if other is None or session is None:
            return

        def gone() -> None:
            if other.sessions.get(member.name) == session and self.reaches(member.name, peer):
                del other.sessions[member.name]
                self.touch(other, lambda: other.peering.disconnected(member.name))

        self.after(self.delay(), gone)

    def delay(self) -> int:
        weather, rng = self.weather, self.rng
        late = rng.randint(weather.least, weather.most)
        return late * 10 if weather.straggler and rng.random() < weather.straggler else late

    def send(self, member: Member, to: str, message: Message) -> None:
        if to in self.strangers:
            self.after(self.delay(), lambda: self.strangers[to](member.name, message))
            return
        session, node = member.sessions.get(to), member.node
        other = self.members[to]

        def fail() -> None:
            if member.node is node and member.sessions.get(to) == session:
                self.touch(member, lambda: member.peering.failed(to, message))

        def arrive() -> None:
            if not other.up or not self.reaches(member.name, to):
                self.after(self.delay(), fail)
            elif other.sessions.get(member.name) == session:
                self.touch(other, lambda: other.peering.on_message(member.name, message))
            elif isinstance(message, Request):  # of a connection that is no more
                self.after(self.delay(), fail)

        if self.weather.loss and self.rng.random() < self.weather.loss:
            self.note(member.name, f"to {to} lost: {type(message).__name__}")
            if self.rng.random() < 0.5:
                self.after(LIMITS.answer_ms // 2, fail)
            return
        self.after(self.delay(), arrive)
        if self.weather.doubled and type(message) not in ANSWERS and self.rng.random() < self.weather.doubled:
            self.after(self.delay() + self.rng.randrange(50), arrive)

    # ------------------------------------------------------------------ people

    def sign(self, key: Key, payload: Payload, life: int = 600_000) -> Signed:
        expires = 0 if isinstance(payload, VoteCheckpoint) else self.now + life
        body = body_of(payload, key.address, self.watch.genesis_id, f"{next(self.salts):032x}", expires)
        return sign(body, key)

    def submit(self, member: Member, signed: Signed) -> bool:
        """Hand a transaction to a node; whether it was acknowledged."""
        answer = self.hand_in(member, signed)
        if isinstance(answer, ChainError):
            self.note(member.name, f"refuses {signed.body.kind}: {answer.code}")
        return isinstance(answer, Receipt)

    def hand_in(self, member: Member, signed: Signed) -> Receipt | ChainError | None:
        """A node's answer to a transaction; None where there is none."""
        answers: list[Receipt | ChainError] = []
        item = signed.data if self.rng.random() < 0.1 else signed
        self.touch(member, lambda: answers.extend(member.node.receive_transactions([item])))
        return answers[0] if answers else None

    def transfer(self, member: Member, life: int = 600_000) -> None:
        """Somebody sends something; what is acknowledged must not be lost."""
        if not member.up:
            return
        owner = self.rng.choice(OWNERS)
        signed = self.sign(owner, Transfer(KEYS[self.rng.randrange(4)].address, self.rng.randint(1, 50)), life)
        if self.submit(member, signed):
            self.watch.acknowledged[signed.id] = signed
            self.note(member.name, f"acknowledges {signed.id[-8:]}")

    # ------------------------------------------------------------------ the end

    def heal(self) -> None:
        """The network is whole and calm, every clock is right, everybody is up again."""
        self.cut()
        self.weather = Weather(2, 10)
        for member in self.members.values():
            member.disk.dies = None
            member.skew = 0
            self.boot(member)
            if member.up:
                member.planned = None
                self.plan(member)

    def settled(self) -> bool:
        """All that are up have one head, and nothing is left to be done."""
        heads = {member.head for member in self.members.values() if member.up}
        if len(heads) != 1:
            return False
        return all(
            member.up and member.node.head.state.finality.settled and not self._waits(member)
            and not member.node.witness.reports
            for member in self.members.values()
        )

    @staticmethod
    def _waits(member: Member) -> bool:
        return any(waiting.held is None for waiting in member.node.pool if waiting.signed.body.kind == "transfer")


def url(name: str) -> str:
    return f"http://{name}:7001"


def nonce_of(block: Block) -> int:
    header = block.header
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    assert nonce is not None
    return nonce


def with_nonce(block: Block) -> Block:
    return replace(block, header=replace(block.header, nonce=nonce_of(block)))
