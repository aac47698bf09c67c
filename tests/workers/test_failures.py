"""What errors mean for the job, and how they are told."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.client import NodeRefused, NodeUnavailable
from chain.keys import Key
from chain.schema import Address, Hash
from chain.state.claims import RETRYABLE
from chain.transactions import Signed, body_of, sign
from ipfs.errors import (
    ContentCorrupt,
    ContentError,
    ContentLooping,
    ContentMissing,
    ContentTooLarge,
    InvalidCid,
    StoreUnavailable,
)
from learning.errors import InvalidArtifact, InvalidData, InvalidSpec, WrongEnvironment
from workers import failures
from workers.failures import Failed, NotThere, attempt, failure_of, plain

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
V0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
V0_AS_V1 = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
KEY = Key(b"\x07" * 32)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContentMissing(CID, "kubo", "not here"), "unavailable"),
        (StoreUnavailable("", "kubo", "away"), "unavailable"),
        (NotThere("the node is behind"), "unavailable"),
        (ContentCorrupt(CID, "kubo", "bad bytes"), "corrupt_content"),
        (ContentLooping(CID, "kubo", "loops"), "corrupt_content"),
        (ContentTooLarge(CID, "kubo", "huge"), "corrupt_content"),
        (InvalidCid("x", "", "no CID"), "corrupt_content"),
        (InvalidData("no such column"), "invalid_data"),
        (InvalidSpec("no such class"), "invalid_spec"),
        (InvalidArtifact("no model"), "invalid_artifact"),
        (WrongEnvironment("another numpy"), "wrong_environment"),
        (MemoryError(), "out_of_memory"),
        (ZeroDivisionError("division by zero"), "training_failed"),
        (OSError(28, "No space left on device"), "training_failed"),
    ],
)
def test_each_error_has_its_code(error: Exception, code: str) -> None:
    assert failure_of(error).code == code


def test_what_may_pass_has_the_code_that_the_chain_lets_try_again() -> None:
    assert failures.UNAVAILABLE == RETRYABLE


@pytest.mark.parametrize(("said", "named"), [(CID, (CID,)), (V0, (V0_AS_V1,)), ("", ()), ("'no cid'", ())])
def test_content_is_named_as_the_chain_writes_it(said: str, named: tuple[str, ...]) -> None:
    assert failure_of(ContentMissing(said, "kubo", "not here")).cids == named


def test_who_was_asked_is_told() -> None:
    assert failure_of(ContentMissing(CID, "Kubo /ip4/127.0.0.1/tcp/5001", "x")).asked == "Kubo /ip4/127.0.0.1/tcp/5001"


def test_an_attempt_returns_what_came_out_or_why_nothing_did() -> None:
    assert attempt(lambda: 5) == 5
    assert attempt(lambda: 1 // 0) == Failed("training_failed", "ZeroDivisionError: integer division or modulo by zero")


@pytest.mark.parametrize("error", [NodeUnavailable("away"), NodeRefused(409, {})])
def test_what_the_node_says_passes(error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        attempt(work)


def test_after_a_failed_attempt_nothing_holds_what_it_had_in_memory() -> None:
    class Large:
        """Something whose references can be counted."""

    large = Large()

    def work(held: Any) -> None:
        assert held is large
        raise MemoryError

    before = sys.getrefcount(large)
    assert isinstance(attempt(lambda: work(large)), Failed)
    assert sys.getrefcount(large) == before


class Node:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[Any] = []

    def send(self, payload: Any, key: Key) -> str:
        if self.error is not None:
            raise self.error
        body = body_of(payload, Address(key.address), Hash("0" * 64), "0" * 32, 1)
        self.sent.append(Signed.decode(sign(body, key).data).payload)
        return "id"


texts = st.text(max_size=1500) | st.text("\x00\n\ud800é…", max_size=300)
contents = st.sampled_from([ContentMissing, ContentCorrupt, InvalidCid, StoreUnavailable])


@given(kind=contents, cid=st.sampled_from(["", CID, V0]) | texts, asked=texts, detail=texts)
def test_every_report_is_one_that_the_chain_can_read(
    kind: type[ContentError], cid: str, asked: str, detail: str
) -> None:
    node = Node()
    failed = failure_of(kind(cid, asked, detail))
    failures.report(node, KEY, job=CID, attempt=0, round_=0, partition=None, failed=failed)  # type: ignore[arg-type]
    (report,) = node.sent
    assert report.code == failed.code
    assert len(report.message) <= failures.MAX_MESSAGE
    assert len(report.asked) <= failures.MAX_ASKED


@pytest.mark.parametrize("error", [NodeUnavailable("away"), NodeRefused(409, {"code": "conflict"})])
def test_a_report_that_does_not_arrive_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    node = Node(error)
    failed = Failed("out_of_memory", "too much")
    failures.report(node, KEY, job=CID, attempt=0, round_=0, partition=1, failed=failed)  # type: ignore[arg-type]
    assert "failure not reported" in caplog.text


def test_a_long_message_is_cut_with_an_ellipsis() -> None:
    assert plain("x" * 2000) == "x" * 999 + "…"
