"""Validators: honest ones with a memory that outlives them, and ones that lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chain import work
from chain.blockchain import Blockchain, Entry
from chain.blocks import VERSION, Block, Commitment, Header, merkle_root
from chain.errors import ChainError
from chain.finality import may_follow, next_vote
from chain.keys import Key
from chain.params import Params
from chain.rules import Rules
from chain.schema import Address, Hash
from chain.state import BlockDraft
from chain.transactions import Signed, VoteCheckpoint
from tests.chain.simulation.members import Crash, Member
from tests.chain.simulation.world import World, with_nonce

#: Where a validator may die: before it has written its vote, between writing and sending, after both.
MOMENTS = ("before", "between", "after")


@dataclass
class Voter:
    """An honest validator: it asks one node for its head, and writes its vote down before sending it."""

    world: World
    key: Key
    home: Member
    written: VoteCheckpoint | None = None
    """On its disk."""
    up: bool = True
    dies: str | None = None
    sends_first: bool = False
    """A rule switched off: it sends, then writes."""
    waits: bool = False

    def hear(self, member: Member) -> None:
        """Its node has a new head."""
        if member is self.home and self.up and not self.waits:
            self.waits = True
            self.world.after(self.world.rng.randrange(1, 8), self.consider)

    def consider(self) -> None:
        self.waits = False
        if not (self.up and self.home.up):
            return
        try:
            self.vote()
        except Crash:
            self.up = False
            self.world.note(self.key.address[:8], "the validator dies")
            self.world.after(self.world.rng.randrange(20, 800), self.back)

    def back(self) -> None:
        self.up, self.dies = True, None
        self.consider()

    def vote(self) -> bool:
        """Vote on its node's head where it may; as validators/checkpoints.py does."""
        node, rules = self.home.node, self.world.params.rules
        head = node.head
        if not any(each.weight(self.key.address) for each in head.state.voting_sets):
            return False
        last = self.written
        vote = choose(head, node.chain, last, rules)
        if vote is None and last is not None and last.target == head.id and not head.state.finality.settled:
            vote = last  # it may never have reached the node
        if vote is None:
            return False
        for step in ("send", "write") if self.sends_first else ("write", "send"):
            self._die("before" if step == "write" else "between")
            if step == "write":
                self.written = vote
            else:
                self._send(vote)
        self._die("after")
        return True

    def _die(self, moment: str) -> None:
        if self.dies == moment:
            raise Crash(moment)

    def _send(self, vote: VoteCheckpoint) -> None:
        world = self.world
        if vote.target_height == 0:
            return
        signed = world.sign(self.key, vote)
        world.note(
            self.key.address[:8],
            f"votes {vote.source_height} to {vote.target_height} {vote.target[:8]} at {self.home.name}",
        )
        world.submit(self.home, signed)


def choose(head: Entry, chain: Blockchain, last: VoteCheckpoint | None, rules: Rules) -> VoteCheckpoint | None:
    """By the rules that hold; where a source need not be justified it takes the head's parent."""
    if head.height == 0:
        return None
    if rules.justified_source or head.height < 2:
        return next_vote(head.state.finality, head.id, head.height, last, rules)
    parent = chain.entry(head.parent)
    if parent is None or head.state.finality.settled:
        return None
    vote = VoteCheckpoint(parent.id, parent.height, head.id, head.height)
    return vote if may_follow(vote, last, rules) else None


@dataclass
class Liars:
    """Validators that lie together: they see every block anywhere, remember nothing, and talk to whom they like."""

    world: World
    keys: list[Key]
    daring: float = 0.5

    def __post_init__(self) -> None:
        self.chain = Blockchain(self.world.genesis, self.world.params)
        self.kept: list[Signed] = []
        self.tips: list[Entry] = [self.chain.head]

    def see(self, member: Member) -> None:
        """A node has a new head: so have they, and all before it."""
        fresh: list[Entry] = []
        entry: Entry | None = member.node.head
        while entry is not None and self.chain.entry(entry.id) is None:
            fresh.append(entry)
            entry = member.node.chain.entry(entry.parent)
        for each in reversed(fresh):
            self.learn(each)

    def learn(self, entry: Entry) -> None:
        tree = self.chain._tree  # what is valid need not be applied again
        heights = tree.heights.set(entry.height, (*tree.heights.get(entry.height, ()), entry.id))
        self.chain.commit(replace(tree, entries=tree.entries.set(entry.id, entry), heights=heights))
        self.tips = [*self.tips[-7:], entry]
        if self.world.rng.random() < self.daring:
            self.world.after(self.world.rng.randrange(1, 30), lambda: self.lie(entry))

    def lie(self, target: Entry) -> None:
        """Vote for it, or for another block of its height, from a source that may be too low; now, later, or never."""
        world, rng = self.world, self.world.rng
        if rng.random() < 0.3:
            target = rng.choice(self.tips)
        if target.height == 0:
            return
        finality = target.state.finality
        source, height = finality.justified_hash, finality.justified_height
        justified = [(int(h), block) for h, block in target.state.justified.items() if int(h) < target.height]
        if justified and rng.random() < 0.4:  # around an earlier vote, or inside one
            height, source = rng.choice(sorted(justified))
        if target.height == 1:
            source = self.world.watch.genesis_id
        if height >= target.height:
            return
        vote = VoteCheckpoint(Hash(source), height, target.id, target.height)
        for key in self.keys:
            signed = world.sign(key, vote)
            chance = rng.random()
            if chance < 0.25:
                self.kept.append(signed)
                world.after(rng.randrange(200, 2_000), self.release)
            elif chance < 0.9:
                self.tell(signed)

    def release(self) -> None:
        """Votes that were kept back come all at once."""
        kept, self.kept = self.kept, []
        for signed in kept:
            self.tell(signed)

    def tell(self, signed: Signed) -> None:
        names = sorted(self.world.members)
        for name in self.world.rng.sample(names, self.world.rng.randint(1, len(names))):
            self.world.submit(self.world.members[name], signed)


def forge(
    world: World, chain: Blockchain, parent: Entry, waiting: Sequence[Signed], miner: Address, time: int
) -> Entry:
    """A block that nobody but its miner wanted: on any parent, of those that wait what applies there."""
    time = max(time, parent.time + 1)
    draft = BlockDraft(
        parent.state, parent=parent.id, height=parent.height + 1, time=time, params=world.params,
        ancestor=chain.ancestor(parent),
    )  # fmt: skip
    chosen = []
    for signed in waiting:
        try:
            draft.add(signed)
        except ChainError:
            continue
        chosen.append(signed)
    state, events = draft.finish()
    block = sealed(parent, Commitment(parent.height + 1, miner, state.digest), tuple(chosen), time, world.params)
    total = parent.work + work.work_of(block.header.target)
    return Entry(block, block.id, block.height, state, total, events)


def sealed(
    parent: Entry, commitment: Commitment, transactions: tuple[Signed, ...], time: int, params: Params
) -> Block:
    """With its root and its work."""
    root = merkle_root(commitment, transactions)
    header = Header(VERSION, parent.id, root, time, params.initial_target, 0)
    return with_nonce(Block(header, commitment, transactions))
