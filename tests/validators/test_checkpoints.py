"""One vote for every head that has something to make final, sent until the node has answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.client import NodeRefused, NodeUnavailable, View
from chain.keys import Key
from chain.schema import Hash
from chain.state import Finality
from chain.transactions import VoteCheckpoint
from chain.voting import VoteFile, VoteFileError
from validators.checkpoints import CheckpointVoter

KEY = Key(b"\x07" * 32)


def block(height: int) -> Hash:
    return Hash(f"{height:064x}")


class Node:
    """Shows one head; `answer` is what it says of a vote."""

    def __init__(self) -> None:
        self.height, self.final, self.work = 5, 3, 5
        self.answer: Exception | None = None
        self.received: list[VoteCheckpoint] = []

    def genesis_hash(self) -> str:
        return block(0)

    def finality(self) -> View[Finality]:
        value = Finality(self.final + 1, block(self.final + 1), self.final, block(self.final), self.work)
        return View(value, self.height, block(self.height), self.final, False)

    def send(self, vote: VoteCheckpoint, key: Key) -> str:
        if self.answer is not None:
            raise self.answer
        self.received.append(vote)
        return "id"


@pytest.fixture
def votes(tmp_path: Path) -> Iterator[VoteFile]:
    with VoteFile(tmp_path / "votes.json", KEY.address, create=True) as file:
        yield file


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def voter(node: Node, votes: VoteFile) -> CheckpointVoter:
    return CheckpointVoter(node, KEY, votes)  # type: ignore[arg-type]


def test_it_votes_once_for_each_head(node: Node, voter: CheckpointVoter) -> None:
    assert voter.consider() == VoteCheckpoint(block(4), 4, block(5), 5)
    assert voter.consider() is None
    node.height = 6
    assert voter.consider() == VoteCheckpoint(block(4), 4, block(6), 6)
    assert [vote.target_height for vote in node.received] == [5, 6]


def test_it_rests_while_all_is_final(node: Node, voter: CheckpointVoter) -> None:
    node.work = 3
    assert voter.consider() is None


def test_a_vote_is_on_the_disk_before_it_is_sent(node: Node, voter: CheckpointVoter, votes: VoteFile) -> None:
    on_disk: list[Any] = []
    node.send = lambda vote, key: on_disk.append(votes.last) or "id"  # type: ignore[method-assign,func-returns-value]
    assert voter.consider() is not None
    assert on_disk == [votes.last]


@pytest.mark.parametrize("error", [NodeUnavailable("away"), NodeRefused(503, {"code": "mempool_full"})])
def test_a_vote_that_the_node_did_not_take_is_sent_again(
    node: Node, voter: CheckpointVoter, votes: VoteFile, error: Exception
) -> None:
    node.answer = error
    with pytest.raises(NodeUnavailable):
        voter.consider()
    node.answer = None
    assert voter.consider() == votes.last
    assert voter.consider() is None


def test_also_one_from_before_a_crash(node: Node, votes: VoteFile) -> None:
    votes.record(VoteCheckpoint(block(4), 4, block(5), 5))
    assert CheckpointVoter(node, KEY, votes).consider() == votes.last  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["duplicate", "conflict", "forbidden"])
def test_a_vote_that_the_node_refuses_is_not_sent_again(node: Node, voter: CheckpointVoter, code: str) -> None:
    node.answer = NodeRefused(409, {"code": code})
    assert voter.consider() is not None
    node.answer = None
    assert voter.consider() is None
    assert node.received == []


def test_what_is_there_already_or_was_overtaken_or_comes_from_no_member_is_no_warning(
    node: Node, voter: CheckpointVoter, caplog: pytest.LogCaptureFixture
) -> None:
    for height, code in ((5, "duplicate"), (6, "conflict"), (7, "forbidden"), (8, "bad_signature")):
        node.height, node.answer = height, NodeRefused(409, {"code": code})
        voter.consider()
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "bad_signature" in warning.getMessage()


def test_it_does_not_vote_where_its_votes_are_of_another_network(
    node: Node, voter: CheckpointVoter, votes: VoteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    voter.consider()
    sent = len(node.received)
    monkeypatch.setattr(node, "genesis_hash", lambda: "f" * 64)
    with pytest.raises(VoteFileError, match="network of genesis"):
        voter.consider()
    assert len(node.received) == sent
