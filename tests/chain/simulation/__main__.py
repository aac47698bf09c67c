"""One seed again: ``python -m tests.chain.simulation SEED [--weaken RULE]`` prints what it does and the last events."""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.chain.simulation.journeys import WEAKENED
from tests.chain.simulation.play import RECENT, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chain.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--weaken", choices=WEAKENED, help="switch one rule off; a violation is then expected")
    parser.add_argument("--events", type=int, default=60, help="how many of the last events are shown")
    asked = parser.parse_args()
    error: Exception | None = None
    try:
        play(asked.seed, asked.weaken)
    except Exception as found:  # noqa: BLE001 - whatever it was, the events say how it came
        error = found
        if not isinstance(found, AssertionError):
            traceback.print_exc()
    world = RECENT[-1]
    for at, who, what in list(world.trace)[-asked.events :]:
        sys.stdout.write(f"{at:8} ms  {who:9} {what}\n")
    sys.stdout.write(f"seed {asked.seed}: {'holds' if error is None else f'{type(error).__name__}: {error}'}\n")
    return int(error is not None)


if __name__ == "__main__":
    sys.exit(main())
