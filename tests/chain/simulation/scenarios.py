"""What happens in the world of a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from chain.blockchain import Entry
from chain.keys import Key
from chain.rules import ALL_RULES, Rules
from chain.schema import Address, Hash
from chain.state import State
from chain.transactions import AdmitValidator, Payload, Stake, Unstake
from tests.chain.simulation.jobs import busy, check_jobs
from tests.chain.simulation.liars import Liars
from tests.chain.simulation.members import Member, Weather
from tests.chain.simulation.strangers import Majority, pester
from tests.chain.simulation.voters import LOOK_MS, MOMENTS, Voter
from tests.chain.simulation.watch import MAX_SKEW_MS, Violation
from tests.chain.simulation.world import KEYS, OWNERS, START, World


@dataclass
class Cast:
    """A world with its validators."""

    world: World
    voters: list[Voter]
    liars: Liars | None


def populate(world: World, lying: int = 0, votes: bool = True) -> Cast:
    """Start all nodes, and a validator for each key; the first `lying` of genesis lie."""
    names = list(world.members.values())
    voters = [
        Voter(world, key, names[number % len(names)]) for number, key in enumerate(KEYS[:8]) if number >= lying
    ]
    liars = Liars(world, KEYS[:lying]) if lying else None
    if votes:
        world.on_head += [voter.hear for voter in voters]
        for voter in voters:
            world.after(world.rng.randrange(LOOK_MS), voter.look)
        if liars is not None:
            world.on_head.append(liars.see)
    world.start_all()
    return Cast(world, voters, liars)


def everyday(seed: int, rules: Rules = ALL_RULES) -> World:
    """A network on a bad day: whatever the seed wants, at the same time; less than a third lies."""
    rng = random.Random(seed ^ 0xA55A)
    lying = int(rng.random() < 0.4)
    network = "stake" if rng.random() < 0.4 else "development"
    world = World(
        seed, rng.choice([2, 3, 3, 3, 4]), network=network, rules=rules,
        lying=frozenset(key.address for key in KEYS[:lying]),
    )  # fmt: skip
    world.weather = Weather(
        *rng.choice([(1, 4), (3, 25), (20, 120)]),
        loss=rng.choice([0.0, 0.03, 0.12]), doubled=rng.choice([0.0, 0.1]), straggler=rng.choice([0.0, 0.05]),
    )  # fmt: skip
    names = sorted(world.members)
    if rng.random() < 0.3:
        for name in names:
            world.members[name].skew = rng.randint(-MAX_SKEW_MS, MAX_SKEW_MS)
    sparse(world, rng)
    cast = populate(world, lying)
    for _ in range(rng.randint(2, 4)):
        member = world.members[rng.choice(names)]
        life = 1_500 if rng.random() < 0.05 else 600_000
        world.after(rng.randrange(20, 1_300), lambda member=member, life=life: world.transfer(member, life))
    if rng.random() < 0.55:
        shuffled = rng.sample(names, len(names))
        at = rng.randint(1, len(names) - 1)
        groups = ["".join(shuffled[:at]), "".join(shuffled[at:])]
        if len(groups[1]) > 2 and rng.random() < 0.3:
            groups[1:] = [groups[1][:1], groups[1][1:]]
        begin = rng.randrange(50, 600)
        world.after(begin, lambda: world.cut(*groups))
        world.after(begin + rng.randrange(300, 1_300), world.cut)
    for _ in range(rng.choice([0, 1, 1, 2])):
        crash(world, rng, world.members[rng.choice(names)], rng.randrange(40, 1_200))
    for _ in range(rng.choice([0, 0, 1, 2])):
        voter = rng.choice(cast.voters)
        moment = rng.choice(MOMENTS)
        world.after(rng.randrange(10, 1_000), lambda voter=voter, moment=moment: setattr(voter, "dies", moment))
    if rng.random() < (0.4 if network == "development" else 0.8):
        for _ in range(rng.randint(1, 3)):
            member = world.members[rng.choice(names)]
            world.after(rng.randrange(20, 1_200), lambda member=member: change(world, rng, member, lying))
    for _ in range(rng.choice([0, 0, 1, 3])):
        member = world.members[rng.choice(names)]
        world.after(rng.randrange(30, 1_400), lambda member=member: pester(world, rng, member))
    working = random.Random(seed ^ 0x10B5)
    if working.random() < 0.4:
        busy(world, working)
    world.run(1_700)
    finish(cast)
    check_jobs(world.members.values())
    return world


def majority(seed: int) -> World:
    """Somebody mines most of the blocks, leaves out what it likes, and rewrites what it can: nothing that is final."""
    rng = random.Random(seed ^ 0x3A10)
    world = World(seed, rng.choice([2, 3]))
    world.weather = Weather(*rng.choice([(1, 4), (3, 25)]))
    cast = populate(world)
    miner = Majority(world, rng)
    world.on_head.append(miner.see)
    names = sorted(world.members)
    for _ in range(3):
        member = world.members[rng.choice(names)]
        world.after(rng.randrange(20, 900), lambda member=member: world.transfer(member))
    attacks: list[tuple[Entry, dict[str, Hash]]] = []

    def rewrite() -> None:
        finals = {each.name: each.node.chain.final.id for each in world.members.values()}
        attacks.append((miner.rewrite(rng.randint(1, 2), rng.randint(2, 6)), finals))

    world.after(rng.randrange(400, 1_000), rewrite)
    world.run(1_100)
    miner.active = False
    finish(cast)
    for tip, finals in attacks:
        for member in world.members.values():
            node = member.node
            if not all(node.on_branch(block, entry_height(member, block)) for block in finals.values()):
                raise Violation(f"{member.name} has left a final block for {tip.id}")
    return world


def entry_height(member: Member, block: Hash) -> int:
    entry = member.node.chain.entry(block)
    if entry is None:
        raise Violation(f"{member.name} does not have the final block {block}")
    return entry.height


def sparse(world: World, rng: random.Random) -> None:
    """Each node knows the one before it, and perhaps others."""
    names = sorted(world.members)
    for number, name in enumerate(names):
        others = {names[number - 1], *(each for each in names[: max(0, number - 1)] if rng.random() < 0.3)}
        world.members[name].seeds = sorted(others - {name})


def crash(world: World, rng: random.Random, member: Member, at: int) -> None:
    """The process dies: at a moment of its own, or in the middle of its next write, or right after it."""
    how = rng.choice(["kill", "torn", "torn", "written"])
    if how == "kill":
        world.after(at, lambda: world.kill(member, rng.randrange(50, 1_000)))
    else:
        world.after(at, lambda: setattr(member.disk, "dies", how))


def change(world: World, rng: random.Random, member: Member, lying: int) -> None:
    """Somebody brings a change of the set, signed by all who are in it (the liars sign everything)."""
    if not member.up:
        return
    state = member.node.head.state
    keys: dict[Address, Key] = {key.address: key for key in KEYS}
    if world.params.power == "stake" and rng.random() < 0.6:
        key = rng.choice(KEYS[lying:4])
        kind = rng.choice([Stake, Unstake])
        payload: Payload = kind(rng.choice([50, 100, 150]))
        if isinstance(payload, Unstake) or state.accounts[key.address].balance >= 200:
            world.submit(member, world.sign(key, payload))
        return
    add, remove = proposed(state, rng, lying)
    if add is None and remove is None:
        return
    admission = admitted(world, state, keys, add, remove, 1 if world.params.power == "member" else 1_000)
    if world.submit(member, world.sign(OWNERS[0], admission)) and add is not None and world.params.power == "stake":
        world.submit(member, world.sign(keys[add], Stake(900)))


def proposed(state: State, rng: random.Random, lying: int) -> tuple[Address | None, Address | None]:
    """Whom to add and to remove so that less than a third lies in every set."""
    spare = [key.address for key in KEYS[4:7] if key.address not in state.admissions]
    honest = [key.address for key in KEYS[lying:7] if key.address in state.admissions]
    add = rng.choice(spare) if spare and rng.random() < 0.8 else None
    remove = rng.choice(honest) if rng.random() < 0.7 else None
    left = {member: state.validators.weight(member) for member in state.admissions if member != remove}
    liars = sum(left.get(key.address, 0) for key in KEYS[:lying])
    if len([weight for weight in left.values() if weight]) < 3 or 3 * liars >= sum(left.values()):
        remove = None  # whoever comes may have no weight for a while
    return add, remove


def admitted(
    world: World, state: State, keys: dict[Address, Key], add: Address | None, remove: Address | None, power: int
) -> AdmitValidator:
    change = AdmitValidator(state.validators.serial, add, remove, 0 if add is None else power, ())
    digest = change.digest(world.watch.genesis_id)
    signatures = tuple((signer, keys[signer].sign(digest)) for signer in state.validators.members)
    return replace(change, signatures=signatures)


def finish(cast: Cast, most: int = 60_000) -> None:
    """Heal the network and see that everybody agrees in the end, and on what."""
    world = cast.world
    world.heal()
    if cast.liars is not None:
        cast.liars.daring = 0.0
    for voter in cast.voters:
        voter.dies = None
        world.after(5, voter.consider)
    world.run(world.now - START + most, world.settled)
    world.watch.check_end(world.members.values(), world.now)
    if not world.settled():
        raise_unsettled(world)
    world.watch.check_proofs()


def raise_unsettled(world: World) -> None:
    states = {
        member.name: (member.up, member.node.head.height, member.node.head.state.finality, len(member.node.pool))
        for member in world.members.values()
    }
    raise Violation(f"it never comes to rest: {states}")
