"""Chains to measure with: so many transactions, in a mix as a busy fleet sends them or transfers alone.

The mix is jobs of 4 to 16 partitions and one or two rounds, many at a time, that open, are claimed, trained,
aggregated, voted on, adopted, final and attested; a transfer for every ten transactions; and in each block every
validator's checkpoint vote for the block before. A chain ends settled: no job open, all but the last votes final.
Equal recipes give equal blocks, byte for byte.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.chain.actors import PATIENCE_MS, START, Cast, Play, Steps
from chain import work
from chain.blockchain import Blockchain
from chain.blocks import Block
from chain.node.core import Node
from chain.node.running import DATABASE
from chain.params import DEVELOPMENT, Genesis, Params
from chain.schema import Address
from chain.store import Store
from chain.transactions import Signed
from chain.tree import Kind

#: Raise it when the chains come out differently, or the rules for them change.
FORMAT = 2
#: Block time between two blocks, ms.
INTERVAL_MS = 1_000
MINER = Address("0x" + "ab" * 20)
_LENGTH = struct.Struct("<I")

Mix = Literal["fleet", "transfer"]


@dataclass(frozen=True)
class Recipe:
    """What a chain is to be like."""

    transactions: int = 100_000
    """How many at least; a few checkpoint votes more, to settle."""
    per_block: int = 400
    """How many beside the checkpoint votes a block holds at most."""
    mix: Mix = "fleet"
    validators: int = 4

    @property
    def name(self) -> str:
        """Tells its file from others'."""
        key = hashlib.sha256(repr((FORMAT, sorted(asdict(self).items()))).encode()).hexdigest()[:8]
        return f"{self.mix}-{self.transactions}-by-{self.per_block}-{key}"


@dataclass(frozen=True)
class Made:
    """A chain as its encoded blocks, the genesis block left out."""

    genesis: Genesis
    params: Params
    blocks: tuple[bytes, ...]

    def decoded(self) -> Iterator[Block]:
        """The blocks, one after another."""
        return (Block.decode(data, self.params.max_block_bytes) for data in self.blocks)

    def kinds(self) -> Counter[str]:
        """How many transactions there are of each kind."""
        return Counter(signed.body.kind for block in self.decoded() for signed in block.transactions)


class _Author:
    """Fills blocks from jobs and transfers."""

    def __init__(self, recipe: Recipe, play: Play) -> None:
        self._recipe = recipe
        self._play = play
        models = max(1, recipe.per_block // 4) if recipe.mix == "fleet" else 0
        self._waiting = list(play.registrations(models))
        self._jobs: list[Steps] = [play.jobs(f"model-{number}", number) for number in range(models)]
        self._answers: list[str | None] = [None] * models
        self._next = 0

    def work(self, room: int) -> list[Signed]:
        """Up to `room` transactions for the next block, at least one."""
        found: list[Signed] = []
        if self._recipe.mix == "fleet":
            if self._waiting:
                found = [self._play.signed(*each) for each in self._waiting[:room]]
                del self._waiting[: len(found)]
                return found
            self._add_steps(found, room - room // 10)
        transfers = room - len(found) if self._recipe.mix == "transfer" else max(room // 10, not found)
        found.extend(self._play.signed(*self._play.transfer()) for _ in range(transfers))
        return found

    def _add_steps(self, found: list[Signed], room: int) -> None:
        """What the jobs have to say now, beginning with the one whose turn it is."""
        for _ in range(len(self._jobs)):
            if len(found) >= room:
                return
            number = self._next
            while len(found) < room:
                said = self._jobs[number].send(self._answers[number])
                self._answers[number] = None
                if said is None:
                    self._next = (number + 1) % len(self._jobs)
                    break
                signed = self._play.signed(*said)
                self._answers[number] = signed.id
                found.append(signed)


def make(recipe: Recipe) -> Iterator[Block]:
    """The blocks of a recipe's chain after genesis, each applied to the one before and mined."""
    cast = Cast.of(recipe.validators)
    chain = Blockchain(cast.genesis(f"benchmark {recipe.name}"), DEVELOPMENT)
    play = Play(cast, chain)
    author = _Author(recipe, play)
    made = 0

    def add(transactions: list[Signed], after: int) -> Block:
        template = chain.build(transactions, MINER, chain.head.time + after)
        if template.dropped:
            raise RuntimeError(f"a transaction of the benchmark does not apply: {template.dropped[0][1]}")
        block = _mined(template.block)
        result = chain.add(block, chain.head.time + after)
        if result.kind is not Kind.NEW_HEAD:
            raise RuntimeError(f"a block of the benchmark is {result.kind.value}: {result.reason}")
        return block

    while made < recipe.transactions:
        votes = play.checkpoint_votes()
        left = max(1, recipe.transactions - made - len(votes))
        block = add([*votes, *author.work(min(recipe.per_block, left))], INTERVAL_MS)
        made += len(block.transactions)
        yield block
    while chain.head.state.open_jobs:  # their deadlines pass
        yield add(play.checkpoint_votes(), 2 * PATIENCE_MS)
    while not chain.head.state.finality.settled:
        yield add(play.checkpoint_votes(), INTERVAL_MS)


def _mined(block: Block) -> Block:
    nonce = work.search(block.header.pack()[:-8], work.target_of(block.header.target), 0, work.NONCES)
    assert nonce is not None  # noqa: S101 - there are 2^64 to try
    return replace(block, header=replace(block.header, nonce=nonce))


def cache_folder() -> Path:
    """Where chains are kept between runs."""
    return Path(tempfile.gettempdir()) / "assay-benchmarks"


def made(recipe: Recipe, folder: Path | None = None) -> Made:
    """The recipe's chain: from the file of an earlier run, or made and kept."""
    folder = cache_folder() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}.blocks"
    genesis = Cast.of(recipe.validators).genesis(f"benchmark {recipe.name}")
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            for block in make(recipe):
                file.write(_LENGTH.pack(len(block.data)) + block.data)
        partial.replace(path)
    return Made(genesis, DEVELOPMENT, tuple(_read(path.read_bytes())))


def _read(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield data[at : at + length]
        at += length


def last_time(chain: Made) -> int:
    """The last block's time, ms since 1970 UTC."""
    return Block.decode(chain.blocks[-1], chain.params.max_block_bytes).header.time if chain.blocks else START


def write_folder(chain: Made, data: Path) -> None:
    """A data folder with the chain in it, as a node that received all its blocks has it.

    `assay node --data FOLDER` takes it up.
    """
    folder = data / "node"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genesis.json").write_text(chain.genesis.to_json())
    now = last_time(chain)
    with closing(Store(folder / DATABASE)) as store:
        store._writer.execute("PRAGMA synchronous=OFF")  # who makes it may make it again
        receive(Node(chain.genesis, chain.params, store, lambda: now, MINER), chain.blocks)


def receive(node: Node, blocks: Iterable[bytes]) -> None:
    """Have a node take encoded blocks, each of which must become its head."""
    for data in blocks:
        result = node.receive_block_bytes(data)
        if result.kind is not Kind.NEW_HEAD:
            raise RuntimeError(f"the node did not take a block of the benchmark: {result.kind.value}, {result.reason}")
