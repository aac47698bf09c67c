"""A claim that is kept while the training lasts."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from chain.client import NodeRefused, NodeUnavailable, TransactionRefused
from chain.keys import Key
from chain.params import DEVELOPMENT
from chain.schema import Cid
from chain.transactions import ClaimPartition
from workers import lease as module
from workers.lease import Lease, LeaseLost

CLAIM = ClaimPartition(Cid("bafkqaaa"), 0, 0, 3)
KEY = Key(b"\x07" * 32)


class Node:
    """Counts claims; `answers` are raised one after the other instead of taking one."""

    def __init__(self) -> None:
        self.claims = 0
        self.answers: list[Exception | None] = []
        self.many = threading.Event()
        self.waited: list[str] = []
        self.refusal: Exception | None = None

    def send(self, payload: Any, key: Key) -> str:
        assert (payload, key) == (CLAIM, KEY)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.claims += 1
        if self.claims >= 4:
            self.many.set()
        return f"claim {self.claims}"

    def wait_transaction(self, transaction: str, until: str, timeout: float) -> None:
        self.waited.append(transaction)
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.005)
    return Node()


def lease_on(node: Node) -> Lease:
    return Lease(node, KEY, CLAIM)  # type: ignore[arg-type]


def test_two_renewals_may_fail_before_a_lease_lapses() -> None:
    assert DEVELOPMENT.lease_ms >= module.RENEW_SECONDS * 1000 * 3


def test_it_is_renewed_until_the_end_and_not_after(node: Node) -> None:
    with lease_on(node):
        assert node.many.wait(20)
    after = node.claims
    assert not threading.Event().wait(0.03)
    assert node.claims == after


def test_a_renewal_that_fails_is_tried_again(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.answers = [None, NodeUnavailable("away"), NodeUnavailable("away")]
    with lease_on(node):
        assert node.many.wait(20)
    assert caplog.text.count("lease not renewed") == 2


def test_a_partition_that_is_not_to_be_had_is_refused_at_once(node: Node) -> None:
    node.answers = [NodeRefused(409, {"code": "conflict"})]
    with pytest.raises(NodeRefused), lease_on(node):
        pytest.fail("there is no lease")
    assert node.claims == 0


def test_it_is_confirmed_by_the_first_claim_s_block(node: Node) -> None:
    with lease_on(node) as lease:
        lease.confirm()
    assert node.waited == ["claim 1"]


def test_a_claim_that_the_chain_refused_after_all_is_a_lost_lease(node: Node) -> None:
    node.refusal = TransactionRefused("claim 1", "conflict", "another has it")
    with lease_on(node) as lease, pytest.raises(LeaseLost, match=r"partition 3 of .* is not ours: another has it"):
        lease.confirm()


def test_a_training_that_fails_ends_the_renewals_too(node: Node) -> None:
    with pytest.raises(ValueError, match="bad"), lease_on(node):
        raise ValueError("bad")
    assert [thread for thread in threading.enumerate() if thread.name == "lease"] == []
