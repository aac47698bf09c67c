"""A node of the simulation with the machine it runs on, and the weather between machines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chain.blockchain import Entry
from chain.blocks import Block
from chain.errors import ConflictingFinality
from chain.node.core import Node
from chain.node.peering.protocol import Peering
from chain.schema import Address
from chain.store import Store


class Crash(Exception):  # noqa: N818 - what it is
    """The process dies here."""


class Disk(Store):
    """A store in memory whose process can be made to die in the middle of a write, or right after one."""

    def __init__(self) -> None:
        self.dies: str | None = None
        super().__init__(None)

    @contextmanager
    def write(self) -> Iterator[None]:
        how, self.dies = self.dies, None
        with super().write():
            yield
            if how == "torn":
                raise Crash("before the commit")
        if how == "written":
            raise Crash("after the commit")


@dataclass
class Member:
    """One node and the machine it runs on."""

    name: str
    disk: Disk
    rng: random.Random
    skew: int = 0
    """Milliseconds that its clock is ahead."""
    mines: bool = True
    up: bool = False
    halted: ConflictingFinality | None = None
    node: Node = None
    peering: Peering = None
    sessions: dict[str, int] = field(default_factory=dict)
    """The connection with each peer, by its number."""
    dialling: set[str] = field(default_factory=set)
    mining: int = 0
    planned: int | None = None
    head: str = ""
    crashes: int = 0
    seeds: list[str] | None = None
    """The nodes whose addresses it was given; None: all."""

    @property
    def address(self) -> Address:
        return Address("0x" + self.name.encode().hex().rjust(40, "0"))

    def whole(self, entry: Entry) -> Block:
        """A block with its body, of which memory has only the newest."""
        found = self.node.block(entry.id) if entry.bare else entry.block
        assert found is not None
        return found


@dataclass
class Weather:
    """What the network does to messages, drawn for each of them."""

    least: int = 2
    most: int = 20
    loss: float = 0.0
    doubled: float = 0.0
    straggler: float = 0.0
    """Of messages that take ten times as long, and so are overtaken."""
