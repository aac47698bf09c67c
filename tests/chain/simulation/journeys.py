"""Validators that travel between two halves of a network: the schedules that each rule of finality is there for.

A script says, step by step, on which side how many blocks are mined and whether all validators then vote there.
With all rules on nothing comes of it; with its rule switched off each ends in two conflicting final blocks.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace

from chain.keys import Key
from chain.rules import ALL_RULES, Rules
from chain.schema import Address
from tests.chain.simulation.members import Crash, Member
from tests.chain.simulation.scenarios import Cast, admitted, finish, populate
from tests.chain.simulation.voters import MOMENTS, SendsFirst, Voter
from tests.chain.simulation.watch import Violation
from tests.chain.simulation.world import KEYS, OWNERS, World

SENDS_FIRST, UNSYNCED = "send-before-write", "send-before-sync"
DISKS = (SENDS_FIRST, UNSYNCED)
WEAKENED = (*(each.name for each in fields(Rules)), *DISKS)
"""The rules that can be switched off."""

Step = tuple[int, int, bool]
"""The side, how many blocks are mined there, whether everybody then votes there."""


def script(rule: str, rng: random.Random) -> list[Step]:
    lead = rng.randrange(3)
    more = rng.randrange(3)
    if rule in ("targets_rise", *DISKS):
        # The same heights on both sides, in turns.
        steps = [(0, 1 + lead, True), (1, 1 + lead, True), (0, 1, True), (1, 1, True), (0, 1, False), (1, 1, False)]
    elif rule == "sources_stay":
        # One side is final; the other one grows higher and starts from genesis.
        steps = [(0, 1 + lead, True), (0, 1, True), (0, 1, False), (1, 4 + lead + more, True), (1, 1, True),
                 (1, 1, False)]  # fmt: skip
    elif rule == "justified_source":
        steps = [(0, 2 + lead, True), (0, 1, False), (1, 4 + lead + more, True), (1, 1, False)]
    elif rule == "direct_child":
        # Justified there, then here; then links over many blocks, each above what was voted for on the other side.
        steps = [(0, 1 + lead, True), (0, 1, False), (1, 3 + lead, True), (1, 1, False), (0, 4 + lead + more, True),
                 (0, 1, False), (1, 8 + lead + more, True), (1, 1, False)]  # fmt: skip
    else:
        steps = [(side, 1, vote) for vote in (True, True, False) for side in (0, 1)]
    return steps


def journey(seed: int, rule: str, weak: bool) -> World:
    """The script for a rule, with it switched off or not."""
    rng = random.Random(seed ^ 0x70B5)
    rules = replace(ALL_RULES, **{rule: False}) if weak and rule not in DISKS else ALL_RULES
    world = World(seed, 2, rules=rules)
    for member in world.members.values():
        member.mines = False
    world.cut("a", "b")
    cast = populate(world, votes=False)
    for voter in cast.voters if weak else ():
        voter.drive.syncs = rule != UNSYNCED
        if rule == SENDS_FIRST:
            voter.casts = SendsFirst
            voter.revive(power=False)
    travel(cast, rule, weak, rng)
    for member in world.members.values():
        member.mines = True
    world.on_head += [voter.hear for voter in cast.voters]
    finish(cast)
    return world


def travel(cast: Cast, rule: str, weak: bool, rng: random.Random) -> None:
    world = cast.world
    sides = list(world.members.values())
    if rng.random() < 0.5:
        sides.reverse()
    here: list[list[Voter]] = [cast.voters[:4], cast.voters[:4]]
    if rule == "two_thirds":
        shuffled = rng.sample(cast.voters[:4], 4)
        here = [shuffled[:2], shuffled[2:]]
    elif rule == "joint_sets":
        here = [cast.voters[4:8], cast.voters[:4]]
        replace_all(world, sides[0])
    for side, blocks, votes in script(rule, rng):
        for _ in range(blocks):
            world.transfer(sides[side])
            world.mine(sides[side])
        if votes:
            for voter in rng.sample(here[side], len(here[side])):
                ballot(voter, sides[side], rule, weak, rng)
        world.run(world.now - world.watch.start + 15)


def ballot(voter: Voter, at: Member, rule: str, weak: bool, rng: random.Random) -> None:
    """It votes there, and where the script is about its disk the machine dies while it does."""
    voter.home = at
    if rule in DISKS:
        worst = "before" if rule == SENDS_FIRST else "sent"
        voter.dies = worst if weak else rng.choice(MOMENTS)
    try:
        voter.vote()
    except Crash:
        voter.revive(power=weak or rng.random() < 0.5)
    voter.dies = None


def replace_all(world: World, at: Member) -> None:
    """On one side all validators are replaced, one after the other, by signatures that were made before the cut."""
    keys: dict[Address, Key] = {key.address: key for key in KEYS}
    for old, new in zip(KEYS[:4], KEYS[4:8], strict=True):
        state = at.node.head.state
        change = admitted(world, state, keys, new.address, old.address, 1)
        world.submit(at, world.sign(OWNERS[1], change))
        world.mine(at)
        world.transfer(at)
        world.mine(at)


def gang(seed: int) -> World:
    """Two of four lie, each side of the cut sees them vote: what follows from that is proven."""
    rng = random.Random(seed ^ 0x6A46)
    world = World(seed, 2, lying=frozenset(key.address for key in KEYS[:2]))
    for member in world.members.values():
        member.mines = False
    world.cut("a", "b")
    populate(world, votes=False)
    sides = list(world.members.values())
    honest = rng.sample([Voter(world, key, sides[0]) for key in KEYS[2:4]], 2)
    for number in range(rng.randint(6, 8)):
        member = sides[number % 2]
        world.transfer(member)
        world.mine(member)
        for voter in [*(Voter(world, key, member) for key in KEYS[:2]), honest[number % 2]]:
            voter.home = member
            voter.vote()
    world.heal()
    world.run(world.now - world.watch.start + 20_000, lambda: any(each.halted for each in sides))
    world.watch.check_proofs()
    if world.watch.conflict is None:
        raise AssertionError("the gang was to succeed")
    halted = [each for each in sides if each.halted is not None]
    if not halted:
        raise Violation("the nodes are together again, and none has seen that both are final")
    for member in halted:
        world.watch.check_caught(member)
    return world
