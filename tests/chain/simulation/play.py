"""From a seed to the world it stands for."""

from __future__ import annotations

import random

from structlog.testing import capture_logs

from tests.chain.simulation.journeys import WEAKENED, gang, journey
from tests.chain.simulation.scenarios import everyday, majority
from tests.chain.simulation.world import RECENT, World

__all__ = ["RECENT", "WEAKENED", "play"]


def play(seed: int, weaken: str | None = None) -> World:
    """Raises AssertionError (a Violation) where something fails that must hold."""
    with capture_logs():
        return _play(seed, weaken)


def _play(seed: int, weaken: str | None) -> World:
    if weaken is not None:
        return journey(seed, weaken, weak=True)
    turn = seed % 10
    if turn == 7:
        return gang(seed)
    if turn == 6:
        return journey(seed, random.Random(seed).choice(WEAKENED), weak=False)
    return majority(seed) if turn == 8 else everyday(seed)
