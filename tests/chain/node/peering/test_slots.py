"""Places are few: no host takes them all, and those that we or the operator chose have theirs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chain.node.http import Refused
from chain.node.peering.http import in_writer
from chain.node.peering.limits import Limits
from chain.node.peering.peer import PeerRefused
from tests.chain.node.peering.conftest import Member, World

LIMITS = Limits(peers=12, per_host=4, unreachable=6)


@pytest.fixture
def node(world: World) -> Member:
    world.member("x", mines=False)
    return world.member("n", mines=False, limits=LIMITS)


def come(world: World, node: Member, number: int, host: str, **how: bool) -> str:
    """One more node connects from a host; under which name."""
    url = f"http://{host}:{number}"
    hello = replace(world.members["x"].peering.hello(), node=f"{number:032x}", url=url)
    name = url if how.get("reachable", True) else f"{host}/{number}"
    node.peering.connected(name, hello, host=host, **how)
    return name


def test_one_host_gets_so_many_places_and_others_have_theirs(world, node):
    for number in range(1, 5):
        come(world, node, number, "h1")
    with pytest.raises(PeerRefused, match="4 peers of host h1 are connected") as refused:
        come(world, node, 5, "h1")
    assert refused.value.code == "full"
    come(world, node, 6, "h2")
    assert len(node.peering.peers) == 5


def test_those_that_were_dialled_or_named_by_the_operator_are_not_counted(world, node):
    for number in range(1, 5):
        come(world, node, number, "h1")
    come(world, node, 5, "h1", dialled=True)
    node.peering.add("http://h1:6")
    come(world, node, 6, "h1")
    with pytest.raises(PeerRefused):
        come(world, node, 7, "h1")
    assert len(node.peering.peers) == 6


def test_who_only_claims_to_be_the_operators_peer_is_counted(world, node):
    node.peering.add("http://h1:1")
    for number in range(1, 5):
        come(world, node, number, "h1", reachable=False)
    with pytest.raises(PeerRefused):
        come(world, node, 9, "h1", reachable=False)


def test_where_all_places_are_taken_the_youngest_of_the_most_crowded_host_leaves(world, node):
    for host in ("h1", "h2", "h3"):
        for number in range(1, 5):
            come(world, node, number, host)
    come(world, node, 1, "h4")
    assert len(node.peering.peers) == 12
    assert "http://h1:4" not in node.peering.peers
    assert "http://h1:3" in node.peering.peers


def test_where_all_hosts_have_few_places_nobody_leaves(world, node):
    names = [come(world, node, 1, f"h{number}") for number in range(12)]
    with pytest.raises(PeerRefused, match="12 peers are connected"):
        come(world, node, 1, "another")
    assert list(node.peering.peers) == names


def test_those_that_only_ask_take_a_part_of_the_places(world, node):
    for host in ("h1", "h2"):
        for number in range(1, 4):
            come(world, node, number, host, reachable=False)
    with pytest.raises(PeerRefused, match="6 peers that cannot be reached"):
        come(world, node, 5, "h1", reachable=False)
    come(world, node, 1, "h3", reachable=False)
    assert sum(not peer.reachable for peer in node.peering.peers.values()) == 6
    come(world, node, 1, "h4")


def test_addresses_are_dialled_however_many_came_by_themselves(world, node):
    """They could all be one's own, and hide the network."""
    for number in range(12):
        come(world, node, number, f"h{number}")
    node.peering.book.add("http://other:1")
    assert node.peering.dials() == ["http://other:1"]
    for number in range(LIMITS.chosen):
        come(world, node, 1, f"d{number}", dialled=True)
    assert node.peering.dials() == []
    assert node.peering.next_dial() is None


def test_an_operators_peer_is_tried_again_soon_however_long_it_was_away(world, node):
    """A network that was cut for hours is whole again seconds after."""
    node.peering.add("http://t:1")
    for _ in range(20):
        node.peering.dial_failed("http://t:1", "nobody")
    due = node.peering.next_dial()
    assert due is not None
    assert due - world.now <= 12_500


def test_who_only_claims_an_address_does_not_keep_it_from_being_dialled(world, node):
    node.peering.add("http://h1:1")
    hello = replace(world.members["x"].peering.hello(), node="ab" * 16, url="http://h1:1")
    node.peering.connected("h2/1", hello, who="http://h1:1 from h2", reachable=False, host="h2")
    assert node.peering.dials() == ["http://h1:1"]
    come(world, node, 1, "h1")
    assert node.peering.dials() == []


def test_who_finds_no_place_is_told_when_to_come_again(world, node):
    for number in range(1, 5):
        come(world, node, number, "h1")
    writer: Any = SimpleNamespace(call=lambda do: do())
    with pytest.raises(Refused, match="4 peers of host h1") as refused:
        in_writer(writer, lambda: come(world, node, 5, "h1"))
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "60"})
