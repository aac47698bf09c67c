"""A validator reports what its node has caught, once, and again where the report was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from chain.client import NodeRefused, NodeUnavailable
from chain.keys import Key
from chain.misconduct import accuse
from chain.schema import Hash
from chain.transactions import ReportMisconduct, VoteCheckpoint, body_of, sign
from validators.reporter import Reporter

GENESIS = Hash("ab" * 32)
LIARS = [Key(bytes([number]) * 32) for number in (1, 2)]
REPORTER = Key(bytes([3]) * 32)


def report_on(liar: Key) -> ReportMisconduct:
    votes = [VoteCheckpoint(GENESIS, 0, Hash(block * 64), 9) for block in "ab"]
    report = accuse(*(sign(body_of(vote, liar.address, GENESIS, "0" * 32, 0), liar) for vote in votes))
    assert report is not None
    return report


@dataclass
class Node:
    """What a reporter sees of a node, and what it sent."""

    caught: list[ReportMisconduct] = field(default_factory=list)
    sent: list[ReportMisconduct] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    refusal: Exception | None = None

    def evidence(self) -> list[ReportMisconduct]:
        return self.caught

    def transaction(self, transaction: str) -> dict[str, Any] | None:
        return {"status": self.status[transaction]} if transaction in self.status else None

    def send(self, payload: ReportMisconduct, key: Key) -> str:
        if self.refusal is not None:
            raise self.refusal
        assert key == REPORTER
        self.sent.append(payload)
        self.status[f"transaction {len(self.sent)}"] = "pending"
        return f"transaction {len(self.sent)}"


@pytest.fixture
def node() -> Node:
    return Node([report_on(liar) for liar in LIARS])


def test_each_liar_is_reported_once(node: Node) -> None:
    reporter = Reporter(node, REPORTER)  # type: ignore[arg-type]
    reporter.consider()
    reporter.consider()
    assert [report.validator for report in node.sent] == [liar.address for liar in LIARS]


@pytest.mark.parametrize("fate", [{}, {"transaction 1": "dropped"}], ids=["unknown", "dropped"])
def test_a_report_that_was_lost_is_sent_again(node: Node, fate: dict[str, str]) -> None:
    node.caught = node.caught[:1]
    reporter = Reporter(node, REPORTER)  # type: ignore[arg-type]
    reporter.consider()
    node.status = fate
    reporter.consider()
    assert len(node.sent) == 2


def test_a_refusal_does_not_keep_others_from_being_reported(node: Node) -> None:
    node.refusal = NodeRefused(409, {"code": "duplicate"})
    reporter = Reporter(node, REPORTER)  # type: ignore[arg-type]
    reporter.consider()
    node.refusal = None
    reporter.consider()
    assert len(node.sent) == 2


def test_an_absent_node_is_told_to_the_caller(node: Node) -> None:
    node.refusal = NodeUnavailable("nobody")
    with pytest.raises(NodeUnavailable):
        Reporter(node, REPORTER).consider()  # type: ignore[arg-type]
