"""SIGKILL at random moments, of any process or all of them, while jobs run: every job still ends, and nothing that was
acknowledged is lost.

The suite kills a few; by hand, with the seed that a failure printed:

    python tests/fleet/test_random_kills.py [KILLS] [SEED]
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest

from chain.client import NodeError
from chain.transactions import Transfer
from chain.wallets import Wallets
from coordinator.client import CoordinatorUnavailable, Problem

BAYES = "sklearn.naive_bayes.GaussianNB"
PARTITIONS = 4
#: The longest pause between two kills, in seconds.
PAUSE = 2.5
#: Seconds that a job is given: what keeps killing a partition's workers keeps it from being done.
DEADLINE = 300
EVERYTHING = "everything"

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]


def test_kills_at_random_moments(fleet):
    from validators.audit import check_chain

    seed = int(os.environ.get("ASSAY_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
    rng = random.Random(seed)
    print(f"\nASSAY_SEED={seed}")  # noqa: T201
    story, jobs, heads, transfers = [], [], {}, []
    begun = time.monotonic()
    for kill in range(int(os.environ.get("ASSAY_KILLS", "6"))):
        jobs += opened(fleet, f"kills-{seed}-{len(jobs)}") if not jobs or ended(fleet, jobs[-1]) else []
        time.sleep(rng.uniform(0, PAUSE))  # the random moment
        transfers += transferred(fleet)
        heads |= head(fleet)
        names = [name for name in sorted(fleet.look()) if name != "unknown"]
        name = rng.choice([*names, EVERYTHING] if kill % 5 == 4 else names)
        story.append(f"{time.monotonic() - begun:6.1f} s  {name}")
        print(story[-1], flush=True)  # noqa: T201
        if name == EVERYTHING:
            fleet.end(signal.SIGKILL, within=10)
            fleet.start().ready()  # a fleet that cannot even start says so and ends
        else:
            fleet.kill(name)
    fleet.ready()
    told = f"ASSAY_SEED={seed}\n" + "\n".join(story)
    for job in jobs:
        document = fleet.closed(job, DEADLINE + 60)
        print(document["state"], document["reason"] or "", flush=True)  # noqa: T201
        if document["state"] != "adopted":  # what three deaths of its workers in one partition come to
            assert document["state"] == "expired", (told, document)
            assert document["reason"], told
            continue
        assert document["adopted"], told
        fleet.assert_nothing_trained_twice_over(job)
    for transfer in transfers:
        assert fleet.node.wait_transaction(transfer, "final", 30)["status"] == "final", told
    chain = check_chain(fleet.node, fleet.genesis, lambda height, of: None)
    for height, block in heads.items():
        found = fleet.node.block(height)
        assert found is not None, told
        assert found["hash"] == block, (height, told)
    assert chain.height >= max(heads)


def opened(fleet, model: str) -> list[str]:
    """A new job, if the coordinator is there to take it; what it answers is acknowledged."""
    try:
        return [fleet.client.train(model, "iris", BAYES, partitions=PARTITIONS, deadline=DEADLINE)]
    except (CoordinatorUnavailable, Problem):
        return []


def ended(fleet, job: str) -> bool:
    found = fleet.job(job)
    return found is not None and bool(found["closed"])


def transferred(fleet) -> list[str]:
    """A transfer that the node took, if it is there to take one."""
    wallets = Wallets(fleet.folder.wallets)
    try:
        return [fleet.node.send(Transfer(wallets.address("node"), 1), wallets.load("coordinator"))]
    except NodeError:
        return []


def head(fleet) -> dict[int, str]:
    """Height and hash of the node's head, if it is there: the only node's, so nothing may replace it."""
    try:
        chain = fleet.node.chain()
    except NodeError:
        return {}
    return {int(chain["height"]): str(chain["head"])}


if __name__ == "__main__":
    given = dict(zip(("ASSAY_KILLS", "ASSAY_SEED"), sys.argv[1:], strict=False))
    os.environ.update({"ASSAY_KILLS": "50", **given})
    raise SystemExit(pytest.main([__file__, "-s", "-q", "--import-mode=importlib"]))
