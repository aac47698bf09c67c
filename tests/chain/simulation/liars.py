"""Validators that lie, and blocks that nobody but their miner wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chain import work
from chain.blockchain import Blockchain, Entry
from chain.blocks import VERSION, Block, Commitment, Header, merkle_root
from chain.errors import ChainError
from chain.keys import Key
from chain.params import Params
from chain.schema import Address, Hash
from chain.state import BlockDraft
from chain.transactions import Signed, VoteCheckpoint
from tests.chain.simulation.members import Member
from tests.chain.simulation.world import World, with_nonce


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
            fresh.append(replace(entry, block=member.whole(entry)))
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
