"""Whether the hosted wallet may send: known before the first thing that it is to sign."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from chain.client import NodeClient, NodeUnavailable
from chain.params import CONSORTIUM, STAKE, Params
from chain.schema import Address, Hash
from chain.state import Account, ValidatorSet
from chain.state.electorate import PendingSet
from chain.state.membership import Membership
from coordinator.follower import Follower
from coordinator.permission import Permission
from coordinator.readiness import Readiness

WALLET, MEMBER = Address("0x" + "ab" * 20), Address("0x" + "cd" * 20)
NOTHING = Account(0)


@dataclass
class Node(NodeClient):
    """Answers with what it is given; `asked` has what it was asked for."""

    of: Params = STAKE
    owned: Account = NOTHING
    members: tuple[Address, ...] = (MEMBER,)
    coming: tuple[Address, ...] = ()
    asked: list[str] = field(default_factory=list)

    def params(self) -> Params:
        return self.of

    def account(self, address: str) -> Account:
        self.asked.append("account")
        return self.owned

    def membership(self) -> Membership:
        self.asked.append("membership")
        pending = PendingSet(as_set(self.coming), "waiting", 3) if self.coming else None
        return Membership("stake", as_set(self.members), pending, (), 0)


def as_set(members: tuple[Address, ...]) -> ValidatorSet:
    return ValidatorSet(0, members, (1,) * len(members))


@pytest.mark.parametrize(
    ("node", "asked"),
    [
        (Node(of=CONSORTIUM), []),
        (Node(owned=Account(1_000)), ["account"]),
        (Node(owned=Account(0, stake=1_000)), ["account"]),
        (Node(members=(MEMBER, WALLET)), ["account", "membership"]),
        (Node(coming=(WALLET,)), ["account", "membership"]),
    ],
)
def test_who_owns_enough_or_votes_or_needs_nothing_may_send(node: Node, asked: list[str]) -> None:
    assert node.may_not_send(WALLET) is None
    assert node.asked == asked


def test_who_may_not_is_told_what_it_lacks() -> None:
    assert Node(owned=Account(999), coming=(MEMBER,)).may_not_send(WALLET) == (
        f"on this network a sender is a validator or owns at least 1000, and {WALLET} owns 999"
    )


def test_it_is_said_in_readiness_with_what_to_do_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    node: Any = Node()
    node.chain = node.genesis_hash = lambda: Hash("ab" * 32)
    permission = Permission(node, "coordinator", WALLET)
    parts: Any = SimpleNamespace(ready=True, failure=None, has=lambda cid: True)
    now = iter(range(0, 1000, 10))
    readiness = Readiness(node, parts, None, parts, Follower(None), parts, permission, lambda: next(now))  # type: ignore[arg-type] # no broker

    assert readiness.document()["parts"]["wallet"]["ready"] is False
    permission.look()
    permission.look()
    wallet = readiness.document()["parts"]["wallet"]
    assert wallet["ready"] is False
    for words in ("wallet 'coordinator' may not send", "owns at least 1000", f"send FROM {WALLET}", "--wallet NAME"):
        assert words in str(wallet["reason"])
    assert len(caplog.records) == 1

    node.owned, asked = Account(1_000), len(node.asked)
    permission.look()
    assert len(node.asked) == asked + 1
    assert readiness.document()["parts"]["wallet"] == {"ready": True, "reason": None}
    assert len(node.asked) == asked + 1  # readiness itself asks nothing


def test_a_node_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.permission.POOR_SECONDS", 0.0)
    stop, answers = threading.Event(), [NodeUnavailable("away"), None]

    def may_not_send(address: str) -> str | None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        stop.set()
        return None

    permission = Permission(SimpleNamespace(may_not_send=may_not_send), "c", WALLET)  # type: ignore[arg-type] # all it asks
    permission.run(Follower(None), stop)  # type: ignore[arg-type] # never run
    assert (permission.reason, answers) == (None, [])
