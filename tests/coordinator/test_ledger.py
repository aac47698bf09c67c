"""What the coordinator has sent and is not final yet: kept on disk, sent again, given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.client import NodeRefused, NodeUnavailable
from chain.keys import Key
from chain.transactions import Transfer, body_of, sign
from coordinator.ledger import Ledger
from coordinator.outbox import KEEP_KEYS_MS, Outbox, Pending

KEY = Key((7).to_bytes(32, "big"))
GENESIS = "ab" * 32


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "own" / "outbox.sqlite")
    yield box
    box.close()


def signed(salt: int = 1, expires: int = 2_000_000_000_000):
    return sign(body_of(Transfer(KEY.address, 1), KEY.address, GENESIS, f"{salt:032x}", expires), KEY)  # type: ignore[arg-type]


def pending(salt: int = 1) -> Pending:
    one = signed(salt)
    return Pending(one.id, one.data, "transfer", one.body.expires)


def test_what_is_put_is_there_after_a_restart_in_order(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.sqlite")
    put = [pending(n) for n in range(3)]
    for item in put:
        first.put(item)
    first.put(put[0])
    second = Outbox(tmp_path / "outbox.sqlite")  # the first was killed: it never closed
    assert second.pending() == put
    second.forget(put[1].id)
    assert first.pending() == [put[0], put[2]]
    first.close()
    second.close()


def test_a_key_stands_for_one_request_for_a_day(outbox: Outbox) -> None:
    outbox.put(pending(1), "key", "digest", now=1000)
    found = outbox.remembered("key")
    assert found is not None
    assert (found.digest, found.job) == ("digest", pending(1).id)
    outbox.put(pending(2), "other", "digest", now=1000 + KEEP_KEYS_MS)
    assert outbox.remembered("key") is not None
    outbox.put(pending(3), "third", "digest", now=1001 + KEEP_KEYS_MS)
    assert outbox.remembered("key") is None
    outbox.forget_key(pending(2).id)
    assert outbox.remembered("other") is None


class FakeNode:
    """A node whose answers the test decides."""

    url = "http://node"

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self.received: list[bytes] = []
        self.refuse: Exception | None = None
        self.salt = 0

    def prepare(self, payload: object, key: Key):
        self.salt += 1
        return signed(self.salt)

    def submit(self, transaction) -> str:
        if self.refuse is not None:
            raise self.refuse
        self.received.append(transaction.data)
        self.status[transaction.id] = "pending"
        return transaction.id

    def transaction(self, identity: str) -> dict[str, str] | None:
        status = self.status.get(identity)
        return None if status is None else {"status": status, "reason": "why"}


@pytest.fixture
def ledger(outbox: Outbox) -> Ledger:
    return Ledger(FakeNode(), KEY, outbox)  # type: ignore[arg-type]


def test_a_transaction_is_kept_until_it_is_final(ledger: Ledger) -> None:
    identity = ledger.send(Transfer(KEY.address, 1))
    for status in ("pending", "included"):
        ledger.node.status[identity] = status  # type: ignore[attr-defined]
        ledger.settle()
        assert [item.id for item in ledger.outbox.pending()] == [identity]
    ledger.node.status[identity] = "final"  # type: ignore[attr-defined]
    ledger.settle()
    assert ledger.outbox.pending() == []


@pytest.mark.parametrize("lost", ["unknown", "dropped"])
def test_what_the_node_lost_is_sent_again_byte_for_byte(ledger: Ledger, lost: str) -> None:
    identity = ledger.send(Transfer(KEY.address, 1))
    node: FakeNode = ledger.node  # type: ignore[assignment]
    node.status.pop(identity)
    if lost == "dropped":
        node.status[identity] = "dropped"
    ledger.settle()
    assert node.received[0] == node.received[1]
    assert node.status[identity] == "pending"


@pytest.mark.parametrize("code", ["mempool_full", "expires_too_late", "insufficient_balance"])
def test_what_the_node_does_not_take_for_now_is_kept_and_sent_again(ledger: Ledger, code: str) -> None:
    identity = ledger.send(Transfer(KEY.address, 1), idempotency_key="k", digest="d")
    node: FakeNode = ledger.node  # type: ignore[assignment]
    node.status[identity], node.refuse = "dropped", NodeRefused(400, {"code": code, "detail": "no"})
    ledger.settle()
    node.refuse = None
    ledger.settle()
    for_good = code == "insufficient_balance"
    assert len(node.received) == (1 if for_good else 2)
    assert (ledger.outbox.remembered("k") is None) == for_good


def test_a_refusal_is_forgotten_with_its_key(ledger: Ledger) -> None:
    node: FakeNode = ledger.node  # type: ignore[assignment]
    node.refuse = NodeRefused(400, {"code": "unknown", "detail": "no such model"})
    with pytest.raises(NodeRefused):
        ledger.send(Transfer(KEY.address, 1), idempotency_key="k", digest="d")
    assert ledger.outbox.pending() == []
    assert ledger.outbox.remembered("k") is None


def test_a_request_that_may_be_repeated_is_kept_while_the_node_is_away(ledger: Ledger) -> None:
    node: FakeNode = ledger.node  # type: ignore[assignment]
    node.refuse = NodeUnavailable("away")
    with pytest.raises(NodeUnavailable):
        ledger.send(Transfer(KEY.address, 1))
    assert ledger.outbox.pending() == []
    with pytest.raises(NodeUnavailable):
        ledger.send(Transfer(KEY.address, 1), idempotency_key="k", digest="d")
    node.refuse = None
    ledger.settle()
    assert len(node.received) == 1
    assert ledger.outbox.remembered("k") is not None
