"""Peers that are no nodes: they break the rules of protocol and chain, keep back, flood, and out-mine everybody."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from chain.blockchain import Entry
from chain.blocks import Block, Commitment, Header
from chain.node.peering.messages import (
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskPeers,
    AskTransactions,
    Blocks,
    Headers,
    Hello,
    Inventory,
    Message,
    Peers,
    Request,
    Status,
    Transactions,
)
from chain.node.peering.protocol import PeerRefused
from chain.node.peering.serving import status_of
from chain.schema import Address, Hash
from chain.transactions import Signed, Transfer, VoteCheckpoint, VoteModel
from tests.chain.simulation.liars import Liars, forge, sealed
from tests.chain.simulation.members import Member
from tests.chain.simulation.watch import Violation
from tests.chain.simulation.world import OWNERS, STRANGER, World, with_nonce

MINER = Address("0x" + "ee" * 20)
HASH = Hash("5c" * 32)


class Stranger:
    """One connection to one node, under a name that is used once."""

    def __init__(self, world: World, member: Member, status: Status | None = None) -> None:
        self.world, self.member = world, member
        self.name = f"x{next(world.count)}"
        self.status = status or status_of(member.node.chain, member.node.head)
        self.serve: Callable[[Request], Message | None] = self.nothing
        world.strangers[self.name] = self.told
        hello = Hello(1, world.watch.genesis_id, f"{world.rng.getrandbits(128):032x}", "", self.status)

        def connect() -> None:
            member.peering.connected(self.name, hello)

        world.touch(member, connect)

    def told(self, _by: str, message: Message) -> None:
        if isinstance(message, Request):
            answer = self.serve(message)
            if answer is not None:
                self.say(answer)

    def nothing(self, message: Request) -> Message | None:
        """It answers everything, with as little as there can be, but never sends a body."""
        if isinstance(message, AskHeaders):
            return Headers(self.status, ())
        if isinstance(message, AskInventory):
            return Inventory(self.status, (), 0)
        if isinstance(message, AskTransactions):
            return Transactions(())
        return Peers(("http://nowhere:1",)) if isinstance(message, AskPeers) else None

    def say(self, message: Message) -> None:
        member = self.member
        if member.up:
            self.world.touch(member, lambda: member.peering.on_message(self.name, message))

    @property
    def refused(self) -> bool:
        return self.name not in self.member.peering.peers


def pester(world: World, rng: random.Random, member: Member) -> None:
    """One stranger does one bad thing."""
    if member.up:
        world.note("x", f"pesters {member.name}")
        rng.choice(TRICKS)(world, rng, member)


def extended(world: World, member: Member, parent: Entry, waiting: list[Signed]) -> Entry:
    return forge(world, member.node.chain, parent, waiting, MINER, world.now)


def condemned(world: World, member: Member, block: Block, what: str) -> None:
    """The node takes no such block, and nothing more from who sent it."""
    stranger = Stranger(world, member)
    stranger.say(Blocks((block,)))
    if not member.up:
        return
    if member.node.chain.entry(block.id) is not None:
        raise Violation(f"{member.name} took a block with {what}")
    if not stranger.refused:
        raise Violation(f"{member.name} keeps a peer that sent a block with {what}")


def no_work(world: World, rng: random.Random, member: Member) -> None:
    block = extended(world, member, member.node.head, []).block
    nonce = next(n for n in range(64) if int(replace(block.header, nonce=n).id, 16) >> 255)
    condemned(world, member, replace(block, header=replace(block.header, nonce=nonce)), "no work")


def wrong_state(world: World, rng: random.Random, member: Member) -> None:
    head = member.node.head
    commitment = Commitment(head.height + 1, MINER, HASH)
    condemned(world, member, sealed(head, commitment, (), max(world.now, head.time + 1), world.params), "a wrong state")


def old_time(world: World, rng: random.Random, member: Member) -> None:
    head = member.node.head
    block = extended(world, member, head, []).block
    condemned(world, member, with_nonce(replace(block, header=replace(block.header, time=head.time))), "an old time")


def forged_inside(world: World, rng: random.Random, member: Member) -> None:
    """Transactions in a block that their senders never signed, or may not send: votes of who is no validator too."""
    head = member.node.head
    own = world.sign(STRANGER, Transfer(STRANGER.address, 1))
    body = replace(own.body, sender=OWNERS[0].address)
    vote = VoteCheckpoint(head.id, head.height, HASH, head.height + 1)
    model = VoteModel(own.id, 0, own.id, 0, HASH, "approve", 1, 0, (), (), (), "", "bytes", HASH, "bought")
    bad = rng.choice([Signed(body, own.signature), own, world.sign(STRANGER, vote), world.sign(OWNERS[2], model)])
    commitment = Commitment(head.height + 1, MINER, HASH)
    block = sealed(head, commitment, (bad,), max(world.now, head.time + 1), world.params)
    condemned(world, member, block, "a transaction that does not hold")


def other_body(world: World, rng: random.Random, member: Member) -> None:
    """A good header with another body: the sender goes, the true block is welcome."""
    true = extended(world, member, member.node.head, []).block
    condemned(world, member, replace(true, commitment=replace(true.commitment, state=HASH)), "another's body")
    if member.up and world.rng.random() < 0.5:
        Stranger(world, member).say(Blocks((true,)))
        if member.up and member.node.chain.entry(true.id) is None:
            raise Violation(f"{member.name} holds a false body against the header")


def withheld(world: World, rng: random.Random, member: Member) -> None:
    """Headers of a branch with more work than any, whose bodies never come."""
    head = member.node.head
    first = extended(world, member, head, [])
    claimed = status_of(member.node.chain, head)
    status = replace(
        claimed, height=first.height, head=first.id, work=str(first.work),
        above=str(int(claimed.above) + first.work - head.work),
    )  # fmt: skip
    if rng.random() < 0.5:  # and it claims votes that are nowhere
        status = replace(status, justified_height=head.height, justified=head.id)
    Stranger(world, member, status).say(Headers(status, (first.block.header.pack().hex(),)))


def far_future(world: World, rng: random.Random, member: Member) -> None:
    block = extended(world, member, member.node.head, []).block
    late = with_nonce(replace(block, header=replace(block.header, time=world.now + 40_000)))
    Stranger(world, member).say(Blocks((late,)))
    if member.up and member.node.chain.entry(late.id) is not None:
        raise Violation(f"{member.name} took a block of the future")


def orphans(world: World, rng: random.Random, member: Member) -> None:
    stranger = Stranger(world, member)
    for _ in range(rng.randint(2, 20)):
        header = Header(1, Hash(f"{rng.getrandbits(256):064x}"), HASH, world.now, world.params.initial_target, 0)
        stranger.say(Blocks((with_nonce(Block(header, Commitment(rng.randint(1, 50), MINER, HASH), ())),)))
    if member.up and len(member.node.chain._tree.orphans) > 64:
        raise Violation(f"{member.name} keeps orphans without end")


def forged(world: World, rng: random.Random, member: Member) -> None:
    own = world.sign(STRANGER, Transfer(STRANGER.address, 1))
    bad = Signed(replace(own.body, sender=OWNERS[0].address), own.signature)
    stranger = Stranger(world, member)
    stranger.say(Transactions((bad,)))
    if member.up and (not stranger.refused or bad.id in member.node.pool):
        raise Violation(f"{member.name} takes forged transactions")


def spam(world: World, rng: random.Random, member: Member) -> None:
    """What anybody can sign and nobody wants: it is refused, and costs the others nothing."""
    head = member.node.head
    vote = VoteCheckpoint(HASH, head.height, Hash(f"{rng.getrandbits(256):064x}"), head.height + 9)
    several = tuple(world.sign(STRANGER, rng.choice([Transfer(OWNERS[0].address, 1), vote])) for _ in range(6))
    Stranger(world, member).say(Transactions(several))
    if member.up and any(each.id in member.node.pool for each in several):
        raise Violation(f"{member.name} lets in who owns nothing")


def boaster(world: World, rng: random.Random, member: Member) -> None:
    """It claims more of a block than there is."""
    if member.node.head.height == 0:
        return
    true = status_of(member.node.chain, member.node.head)
    stranger = Stranger(world, member, replace(true, work=str(int(true.work) + 99)))
    if member.up and not stranger.refused:
        raise Violation(f"{member.name} believes a boaster")


TRICKS = (
    no_work, wrong_state, old_time, forged_inside, other_body, withheld, far_future, orphans, forged, spam, boaster,
)  # fmt: skip


@dataclass
class Majority:
    """A miner with more power than all others together, who serves what it mined."""

    world: World
    rng: random.Random
    share: float = 0.6
    active: bool = True
    lines: dict[str, Stranger] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.eyes = Liars(self.world, [], daring=0.0)
        self.chain = self.eyes.chain
        self.tip = self.chain.head
        self.won: set[str] = set()

    def see(self, member: Member) -> None:
        """Somebody has a new head: in most races the next block on it is this miner's."""
        self.eyes.see(member)
        head = self.chain.entry(member.node.head.id)
        if not self.active or head is None or head.id in self.won:
            return
        self.won.add(head.id)
        if self.rng.random() < self.share and head.height < 60:
            self.world.after(self.rng.randint(5, 60), lambda: self.publish([self.mine(head)]))

    def mine(self, parent: Entry) -> Entry:
        """It leaves out what it likes, and turns the rest around."""
        waiting: list[Signed] = []
        members = [each for each in self.world.members.values() if each.up]
        if self.rng.random() < 0.4 and members:
            waiting = list(self.rng.choice(members).node.pool.ordered())[::-1]
            if self.rng.random() < 0.5:
                waiting = [each for each in waiting if each.body.kind != "vote_checkpoint"]
        entry = forge(self.world, self.chain, parent, waiting, MINER, self.world.now)
        if self.chain.entry(entry.id) is None:
            self.eyes.learn(entry)
        return entry

    def rewrite(self, below: int, more: int) -> Entry:
        """A branch of its own from `below` blocks under the last final one, longer than the honest one by `more`."""
        member = next(each for each in self.world.members.values() if each.up)
        entry: Entry = member.node.head
        height = max(0, member.node.chain.final.height - below)
        goal = entry.height + more
        while entry.height > height:
            parent = member.node.chain.entry(entry.parent)
            if parent is None:
                raise AssertionError("the simulation is too short for blocks to be forgotten")
            entry = parent
        made = []
        for _ in range(goal - entry.height):
            entry = self.mine(entry)
            made.append(entry)
        self.world.note("m", f"shows {len(made)} blocks from height {height}, up to {entry.height}")
        self.publish(made)
        return entry

    def publish(self, made: list[Entry]) -> None:
        self.tip = made[-1]
        headers = tuple(entry.block.header.pack().hex() for entry in made)
        for member in self.world.members.values():
            if not member.up or not self.world.reaches(member.name, "m"):
                continue
            status = status_of(self.chain, self.tip)
            line = self.lines.get(member.name)
            if line is None or line.refused:
                try:
                    line = self.lines[member.name] = Stranger(self.world, member, status)
                except PeerRefused:
                    continue
                line.serve = self.answer
            line.status = status
            line.say(Blocks((made[-1].block,)) if len(made) == 1 else Headers(status, headers))

    def answer(self, message: Request) -> Message | None:
        status = status_of(self.chain, self.tip)
        if isinstance(message, AskBlocks):
            found = [self.chain.entry(each) for each in message.ids]
            return Blocks(tuple(entry.block for entry in found if entry is not None))
        if isinstance(message, AskHeaders):
            path: list[Entry] = []
            entry: Entry | None = self.tip
            while entry is not None and entry.id not in message.locator and entry.height > 0:
                path.append(entry)
                entry = self.chain.entry(entry.parent)
            return Headers(status, tuple(each.block.header.pack().hex() for each in reversed(path)))
        if isinstance(message, AskInventory):
            return Inventory(status, (), 0)
        return Transactions(()) if isinstance(message, AskTransactions) else Peers(())
