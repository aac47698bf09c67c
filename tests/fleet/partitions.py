"""Whatever can happen to a network, in an order that follows from a seed: ``python -m tests.fleet.partitions SEED
--steps N`` plays it on seven members of a new network, prints what it does, and ends with status 1 when something does
not hold. Needs what :mod:`tests.fleet.namespaces` does."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from chain.client import NodeError
from tests.fleet import namespaces
from tests.fleet.network import Network

#: Seconds that pass at most between two steps.
PAUSE = 1.0
#: The longest time in which nothing is done, seconds.
LONG = 15.0
#: Nodes and validators that are down at a time, at most.
DOWN = 3
#: Steps after which everything heals, and must agree, before it goes on.
ROUND = 25
#: Between the errors of two clocks, seconds: twice what a block may lie ahead, so that somebody is always too early.
BEHIND, AHEAD = -20, 10
PLACES = (
    ("commit", None), ("after", None), ("commit", "reorganisation"), ("after", "reorganisation"), ("replay", None),
)  # fmt: skip
VOTES = (("vote", None), ("torn", None))
#: Until all agree after a round. Whoever is BEHIND sees blocks of who is AHEAD so much later, and waits double.
SECONDS = 150.0


class Player:
    """Does one thing after another to a network, and says what."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network, self.rng = network, random.Random(seed)
        self.begun = time.monotonic()
        self.did: Counter[str] = Counter()
        self.steps: dict[str, tuple[int, Callable[[], str]]] = {
            "part": (4, self.part),
            "heal": (2, self.heal),
            "pay": (8, self.pay),
            "kill": (3, self.kill),
            "doom": (5, self.doom),
            "start": (4, self.start),
            "clock": (2, self.clock),
            "wait": (2, self.wait),
        }

    def say(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self.begun:7.1f} s  {text}\n")
        sys.stdout.flush()

    def step(self) -> None:
        names = list(self.steps)
        name = self.rng.choices(names, [self.steps[each][0] for each in names])[0]
        self.say(f"{name}: {self.steps[name][1]()}")
        assert self.network.watch is not None
        self.network.watch.news(self.rng.uniform(0, PAUSE))

    def part(self) -> str:
        members = list(range(len(self.network.members)))
        self.rng.shuffle(members)
        cuts = sorted(self.rng.sample(range(1, len(members)), self.rng.choice((1, 1, 2, 2, 3))))
        groups = [sorted(members[a:b]) for a, b in zip([0, *cuts], [*cuts, len(members)], strict=True)]
        self.network.part(*groups)
        self.did["partitions"] += 1
        return " | ".join(" ".join(map(str, group)) for group in groups)

    def heal(self) -> str:
        self.network.heal()
        return "all"

    def pay(self) -> str:
        taken = []
        for number in self.rng.sample(range(len(self.network.members)), 3):
            try:
                self.network.pay(number)
            except NodeError:
                continue  # it is down, or died of this very transfer: not acknowledged
            taken.append(number)
        self.did["transfers"] += len(taken)
        return f"acknowledged by {taken}"

    def kill(self) -> str:
        process = self.rng.choice(self.network.processes)
        if not process.up or self._down() >= DOWN:
            return f"not {process.name}"
        process.kill()
        self.did["kills"] += 1
        return process.name

    def doom(self) -> str:
        process = self.rng.choice(self.network.processes)
        at, of = self.rng.choice(PLACES if process.name.startswith("node") else VOTES)
        nth = self.rng.randrange(1, 4 if at == "replay" or of else 8)
        if self._down() >= DOWN:
            return f"not {process.name}"
        process.die(at, of, nth)
        if at == "replay":
            process.kill()  # it comes to that when it is started again
        return f"{process.name} at {at} {of or ''} {nth}"

    def start(self) -> str:
        started = [process.name for process in self.network.processes if process.revive()]
        return ", ".join(started) or "all run"

    def clock(self) -> str:
        member = self.rng.choice(self.network.members)
        error = self.rng.choice((0, 0, self.rng.uniform(BEHIND, AHEAD)))
        member.clock(error)
        return f"{member.number} is {error:+.1f} s wrong"

    def wait(self) -> str:
        """Long enough that nodes give up those they do not reach, or nearly."""
        seconds = self.rng.uniform(1, LONG)
        until = time.monotonic() + seconds
        assert self.network.watch is not None
        while time.monotonic() < until:
            self.network.watch.news(until - time.monotonic())
        return f"{seconds:.1f} s"

    def _down(self) -> int:
        return sum(not process.up for process in self.network.processes)

    def end(self) -> None:
        """Everything runs and is connected; then all have to agree. Clocks stay as wrong as they are."""
        self.network.heal()
        for process in self.network.processes:
            process.spare()
        self.network.start_some(range(len(self.network.members)))
        chain = self.network.agree(SECONDS)
        died = [each for process in self.network.processes for each in process.died]
        deaths = Counter(f"died at {each['at']} {each['of'] or ''}".strip() for each in died)
        self.say(f"all agree at height {chain['height']}, final {chain['final']['height']}; {dict(self.did + deaths)}")


def play(network: Network, seed: int | None, steps: int) -> None:
    """Do so many steps to a network that has started, in rounds, each of which ends with all in agreement."""
    seed = random.SystemRandom().randrange(1, 2**32) if seed is None else seed
    validators = ",".join(str(member.number) for member in network.members if member.validates)
    sys.stdout.write(f"\npython -m tests.fleet.partitions {seed} --steps {steps} --validators {validators}\n")
    player = Player(network, seed)
    for number in range(1, steps + 1):
        player.step()
        if number % ROUND == 0:
            player.end()
    player.end()


def opening(network: Network) -> None:
    """Three and four, then two, two and three of seven validators: each part goes on and is final nowhere, for five are
    a quorum, until it heals."""
    player = Player(network, 0)
    for groups in (((0, 1, 2), (3, 4, 5, 6)), ((0, 1), (2, 3), (4, 5, 6))):
        before = network.agree()["final"]["height"]
        network.part(*groups)
        for group in groups:
            for number in group:
                network.spread(network.pay(number), group)
        heads = {network.at(group[0])["head"] for group in groups}
        finals = {network.at(member.number)["final"]["height"] for member in network.members}
        assert len(heads) == len(groups), heads
        assert finals == {before}, (finals, before)
        player.say(f"{groups} go on apart, final at {before}")
        network.heal()
        after = network.agree(SECONDS)
        assert after["final"]["height"] > before
        player.say(f"all agree at height {after['height']}, final {after['final']['height']}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.partitions", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="a folder that does not exist yet, for data and logs to look at")
    parser.add_argument("--validators", default="0,1,2,3,4,5,6", help="which of the seven vote")
    asked = parser.parse_args()
    why = namespaces.why_not()
    if why is not None:
        parser.error(f"there are no network namespaces: {why}")
    namespaces.sweep()
    with tempfile.TemporaryDirectory(prefix="assay-partitions-") as made:
        folder = Path(made) if asked.keep is None else asked.keep
        folder.mkdir(exist_ok=asked.keep is None)
        network = Network(folder, validators=[int(number) for number in asked.validators.split(",")])
        with network.reached():
            try:
                network.start()
                if all(member.validates for member in network.members):
                    opening(network)
                play(network, asked.seed, asked.steps)
            except AssertionError as error:
                sys.stdout.write(f"seed {asked.seed}: {error}\n")
                return 1
            finally:
                network.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
