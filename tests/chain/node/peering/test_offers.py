"""Transactions that are large are offered, and fetched once by each who lacks them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from chain.encoding import cid_of
from chain.node.peering import exchange, gossip
from chain.node.peering.limits import Limits
from chain.node.peering.messages import MAX_IDS, AskTransactions, Offer, Transactions
from chain.schema import Cid
from tests.chain.node.taken import taken


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is more than a transfer with one digit."""
    monkeypatch.setattr(gossip, "OFFERED_BYTES", 300)


def brought(world: Any) -> Counter[tuple[str, str]]:
    """How often each transaction came to each node."""
    return Counter(
        (to, each.id) for _, to, message in world.sent if isinstance(message, Transactions)
        for each in message.transactions
    )  # fmt: skip


def test_a_large_one_reaches_everybody_and_is_sent_to_each_once(world):
    for name in "abcde":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    world.sent.clear()
    size = len(world.transfer(world.members["a"].node.chain.genesis_id).data)
    assert size > gossip.OFFERED_BYTES
    sent = [world.send("a", amount) for amount in range(1, 4)]
    world.run(lambda: all(each.id in member.node.pool for member in world.members.values() for each in sent), ms=2_000)
    world.run_for(100)
    assert set(brought(world).values()) == {1}
    assert len(brought(world)) == 4 * len(sent)


def test_small_ones_are_sent_at_once(world, monkeypatch):
    monkeypatch.setattr(gossip, "OFFERED_BYTES", 16 * 1024)
    for name in "ab":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    world.sent.clear()
    world.send("a")
    world.run_for(100)
    assert not [message for _, _, message in world.sent if isinstance(message, (Offer, AskTransactions))]
    assert len(world.members["b"].node.pool) == 1


def test_who_offered_and_does_not_give_is_passed_over(world):
    for name in "abc":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    signed = world.transfer(world.members["a"].node.chain.genesis_id)
    offer = Offer((signed.id,))
    world.filter = lambda a, b, message: not (isinstance(message, (AskTransactions, Offer)) and "a" in (a, b))
    world.members["b"].peering.on_message("a", offer)  # which never answers
    taken(world.members["c"].node, signed.data)
    world.run(lambda: signed.id in world.members["b"].node.pool, ms=Limits().answer_ms + 1_000)
    assert world.members["b"].reasons() == []


def test_an_answer_that_holds_only_some_is_asked_on_for_the_rest(world, monkeypatch):
    monkeypatch.setattr("chain.node.peering.serving.BATCH_BYTES", 800)
    for name in "ab":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    sent = [world.send("a", amount) for amount in range(1, 2 * exchange.FETCHED)]
    world.run(lambda: len(world.members["b"].node.pool) == len(sent), ms=3_000)


def test_offers_of_one_peer_are_bounded(world):
    for name in "ab":
        world.member(name, mines=False)
    world.connect_all()
    world.run_for(100)
    world.filter = lambda _a, _b, _m: False
    b = world.members["b"]
    for page in range(5):
        b.peering.on_message("a", Offer(tuple(Cid(cid_of(f"{page} {n}".encode())) for n in range(MAX_IDS))))
    assert len(b.peering.peers["a"].offered) <= Limits().offered
    for _ in range(3_000):
        b.peering.on_message("a", Offer((Cid(cid_of(b"x")),)))
    assert b.reasons() == ["too many messages"]
