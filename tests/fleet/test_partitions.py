"""Seven real nodes that a network cuts apart, that are killed at the worst moments, and whose clocks are wrong: when it
is over all have one head, all that any of them acknowledged is final, and no two ever called different blocks final.

Every scenario ends with :meth:`tests.fleet.network.Network.agree`, which also reads logs and databases. The steps of
the last one follow from a seed; more of them:

    python -m tests.fleet.partitions SEED --steps 200
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from chain.client import NodeError
from tests.fleet.network import Network
from tests.fleet.partitions import play

ALL = range(7)
#: The validators; three of them are a quorum.
VALIDATORS = (2, 3, 4, 5)

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def _network(namespaces, tmp_path_factory) -> Iterator[Network]:
    made = Network(tmp_path_factory.mktemp("network"), validators=VALIDATORS)
    try:
        with made.reached():
            made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def network(_network) -> Iterator[Network]:
    """Seven members in agreement, of which 2, 3, 4 and 5 are validators; this thread reaches them."""
    with _network.reached():
        _network.agree()
        yield _network


def finals(network: Network) -> list[int]:
    return [network.at(number)["final"]["height"] for number in ALL]


# Partitions


def test_three_and_four_without_a_quorum_go_on_apart_and_agree_when_it_heals(network):
    three, four = (1, 2, 3), (0, 4, 5, 6)
    before = finals(network)
    network.part(three, four)
    for side in (three, four):
        for number in side:
            network.spread(network.pay(number), side)
    heads = {side: network.at(side[0])["head"] for side in (three, four)}
    assert heads[three] != heads[four]
    assert finals(network) == before, "two of four validators are no quorum"
    network.heal()
    network.agree()
    assert min(finals(network)) > max(before)
    kept = {side for side in heads if network.members[0].client.block(heads[side])["on_branch"]}
    assert len(kept) < 2, "one side, or both, took up another branch"


def test_two_two_and_three_heal_in_steps(network):
    two, others, three = (0, 2), (1, 3), (4, 5, 6)
    before = finals(network)
    network.part(two, others, three)
    for side in (two, others, three):
        network.spread(network.pay(side[0]), side)
    assert len({network.at(number)["head"] for number in ALL}) >= 3
    assert finals(network) == before
    network.part(two, others + three)
    network.settle(others + three)
    assert network.at(4)["final"]["height"] > before[4], "three validators are a quorum"
    assert [network.at(number)["final"]["height"] for number in two] == [before[0], before[2]]
    network.heal()
    network.agree()


def test_the_side_without_a_quorum_gives_up_more_work_for_what_is_final(network):
    three, four = (0, 1, 2), (3, 4, 5, 6)
    before = finals(network)
    network.part(three, four)
    for _ in range(6):
        network.spread(network.pay(0), three)  # a block each
    network.spread(network.pay(3), four)
    network.settle(four)
    final = network.at(3)["final"]
    assert final["height"] > before[3]
    assert finals(network)[:3] == before[:3]
    theirs = network.at(0)["head"]
    network.heal()
    network.agree()
    for number in three:
        assert network.members[number].client.block(final["height"])["hash"] == final["hash"]
        assert not network.members[number].client.block(theirs)["on_branch"]


# Kills


def test_nodes_that_die_in_the_middle_of_a_write(network):
    """Before the COMMIT and behind it, of what a client sent and of what a peer did. What was acknowledged stays; what
    was not may be there or not, and its sender sends again."""
    dying = {
        0: ("commit", "transactions"), 1: ("after", "transactions"), 2: ("commit", "blocks"), 6: ("after", "blocks"),
    }  # fmt: skip
    for number, (at, of) in dying.items():
        network.members[number].node.die(at, of)
    for number in (0, 1):
        with pytest.raises(NodeError):
            network.pay(number)
    network.pay(3)
    for number, (at, of) in dying.items():
        died = network.members[number].node.buried()
        assert (died["at"], died["of"]) == (at, of)
    network.settle((3, 4, 5))
    network.start_some(dying)
    for number in dying:
        network.pay(number)
    network.agree()


def test_nodes_that_die_while_they_reorganise_and_while_they_come_back(network):
    three, four = (0, 1, 2), (3, 4, 5, 6)
    network.part(three, four)
    for number in three:
        network.spread(network.pay(number), three)
    network.spread(network.pay(3), four)
    network.settle(four)
    first, second = network.members[0].node, network.members[1].node
    first.die("commit", "reorganisation")
    second.die("after", "reorganisation")
    network.heal()
    for node in (first, second):
        assert node.buried()["of"] == "reorganisation"
    # They come back, and die as they take up their chain.
    for node in (first, second):
        node.die("replay", nth=3)
        node.start()
    for node in (first, second):
        assert node.buried()["at"] == "replay"
    # And again, as they fetch what they have missed.
    for _ in range(3):
        network.spread(network.pay(4), four)
    first.die("commit", "reorganisation")
    second.die("after", "blocks")
    for node in (first, second):
        node.start()
    assert first.buried()["at"] == "commit"
    assert second.buried()["at"] == "after"
    network.start_some((0, 1))
    network.agree()


def test_validators_that_die_between_writing_a_vote_and_sending_it(network):
    """Two of four: nothing is final without one of them, and nobody has signed twice when they are back."""
    before = finals(network)
    votes = {2: "vote", 3: "torn"}
    for number, at in votes.items():
        network.members[number].validator.die(at)
    network.spread(network.pay(5), ALL)
    for number, at in votes.items():
        assert network.members[number].validator.buried()["at"] == at
    assert finals(network) == before
    network.start_some(votes)
    network.agree()
    assert min(finals(network)) > max(before)


# Clocks


def test_clocks_that_are_wrong_and_that_jump(network):
    """One is further behind than what the others make may lie ahead, 15 s; one is ahead. Then both are set right."""
    network.members[0].clock(-16)
    network.members[3].clock(4)
    for number in ALL:
        network.pay(number)
    network.agree()
    network.members[0].clock(0)
    network.members[3].clock(-5)
    for number in ALL:
        network.pay(number)
    network.agree()
    network.members[3].clock(0)


def test_clocks_that_are_all_set_back(network):
    """As long as blocks of before do not lie too far ahead, nothing waits for the clocks to come to where they were."""
    for member in network.members:
        member.clock(14)
    network.spread(network.pay(0), ALL)
    network.settle(ALL)
    for member in network.members:
        member.clock(0)
    network.spread(network.pay(1), ALL, seconds=13)
    network.agree()


# Anything


def test_whatever_happens_in_whatever_order(network):
    seed = os.environ.get("ASSAY_SEED", "")
    play(network, int(seed) if seed else None, int(os.environ.get("ASSAY_STEPS", "5")))
