"""Jobs that are opened and cancelled on a bad day: closed ones leave the state, on every node and branch alike."""

from __future__ import annotations

import random
from collections.abc import Iterable

from chain.transactions import CancelJob
from tests.chain.node.acts import People
from tests.chain.simulation.members import Member
from tests.chain.simulation.watch import Violation
from tests.chain.simulation.world import KEYS, OWNERS, World

PEOPLE = People(OWNERS[0], tuple(KEYS))
MODEL = "iris"


def busy(world: World, rng: random.Random) -> None:
    """Have somebody open and cancel jobs at whichever node."""
    names = sorted(world.members)
    for _ in range(rng.randint(4, 10)):
        member = world.members[rng.choice(names)]
        world.after(rng.randrange(20, 1_400), lambda member=member: act(world, rng, member))


def act(world: World, rng: random.Random, member: Member) -> None:
    """What makes sense there now; nothing of it is promised to last, since a branch may go with what it was about."""
    if not member.up:
        return
    state = member.node.head.state
    if MODEL not in state.models:
        acts = PEOPLE.registrations(MODEL)
    elif state.open_jobs and rng.random() < 0.6:
        acts = [(CancelJob(state.jobs[sorted(state.open_jobs)[0]].id), PEOPLE.owner)]
    else:
        acts = [PEOPLE.opening(MODEL)]
    for payload, key in acts:
        world.submit(member, world.sign(key, payload))


def check_jobs(members: Iterable[Member]) -> None:
    """All know the same jobs, wherever they keep them, and none is kept in the state for longer than it takes."""
    known = set()
    for member in members:
        if member.up:
            state = member.node.head.state
            jobs, _ = member.node.listing.jobs(state, "all", None, 1_000)
            known.add(tuple(jobs))
            parent = member.node.chain.entry(member.node.head.parent)
            over = 0 if parent is None else parent.state.finality.final_height
            late = [job for job, height in state.closed_jobs.items() if height <= over]
            if late or set(state.jobs) != {*state.open_jobs, *state.closed_jobs}:
                raise Violation(f"{member.name} keeps jobs {late or sorted(state.jobs)}")
    if len(known) > 1:
        raise Violation(f"nodes know different jobs: {known}")
