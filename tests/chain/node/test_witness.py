"""What a node makes of votes that contradict each other, wherever it sees them."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import ChainError
from chain.node import witness as witnesses
from chain.node.witness import Witness
from chain.schema import Cid, Hash
from chain.transactions import ReportMisconduct, Signed, VoteCheckpoint, VoteModel


def checkpoint(source: int, target: int, block: str = "a") -> VoteCheckpoint:
    return VoteCheckpoint(Hash("0" * 64), source, Hash(block * 64), target)


def verdict(content: Any, decision: str, **changes: Any) -> VoteModel:
    fields = {
        "job": content("job"), "attempt": 0, "candidate": content("candidate"), "compared": 0,
        "record": Hash("c" * 64), "decision": decision, "score": 9, "baseline": None, "replayed": (content("update"),),
        "disproved": (), "missing": (), "asked": "", "mode": "bytes", "environment": Hash("e" * 64), "reason": "",
    }  # fmt: skip
    return VoteModel(**{**fields, **changes})


@pytest.fixture
def content() -> Any:
    from chain.encoding import cid_of

    return lambda name: Cid(cid_of(name.encode()))


@pytest.fixture
def seen(sim: Any, net: Any) -> Any:
    """Show votes of the first validator to a fresh witness; who it can report then."""
    witness = Witness(sim.node.chain.genesis_id)

    def show(*payloads: Any, key: Any = None) -> tuple[ReportMisconduct, ...]:
        for payload in payloads:
            witness.saw(sim.signed(payload, key or net.validators[0]), sim.node.head.state)
        return witness.reports

    show.witness = witness  # type: ignore[attr-defined]
    return show


def test_two_targets_of_one_height(seen: Any, net: Any) -> None:
    assert seen(checkpoint(1, 5), checkpoint(1, 6)) == ()
    (report,) = seen(checkpoint(1, 5, "b"))
    assert report.validator == net.validators[0].address
    assert [each.vote.target_height for each in report.checkpoints] == [5, 5]


@pytest.mark.parametrize("order", [1, -1], ids=["inner first", "outer first"])
def test_one_around_the_other(seen: Any, order: int) -> None:
    assert len(seen(*[checkpoint(3, 5), checkpoint(2, 8)][::order])) == 1


def test_votes_that_follow_each_other_prove_nothing(seen: Any) -> None:
    assert seen(*(checkpoint(height - 1, height) for height in range(1, 40)), checkpoint(38, 39)) == ()


def test_approving_and_rejecting_the_same(seen: Any, content: Any) -> None:
    assert seen(verdict(content, "approve"), verdict(content, "approve")) == ()
    assert seen(verdict(content, "unavailable", missing=(content("x"),)), verdict(content, "reject", attempt=1)) == ()
    (report,) = seen(verdict(content, "reject"))
    assert {each.vote.decision for each in report.votes} == {"approve", "reject"}


def test_others_are_not_watched(seen: Any, net: Any) -> None:
    assert seen(checkpoint(1, 5), checkpoint(1, 5, "b"), key=net.owner) == ()


def test_a_false_signature_accuses_nobody(seen: Any, sim: Any, net: Any) -> None:
    seen(checkpoint(1, 5))
    honest, other = sim.signed(checkpoint(1, 5, "b"), net.validators[0]), sim.signed(checkpoint(1, 5), net.owner)
    seen.witness.saw(Signed(honest.body, other.signature), sim.node.head.state)
    assert seen.witness.reports == ()


def test_what_is_kept_is_bounded(seen: Any, content: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "CHECKPOINTS_KEPT", 8)
    monkeypatch.setattr(witnesses, "VOTES_KEPT", 4)
    seen(*(checkpoint(height - 1, height) for height in range(1, 20)))
    seen(*(verdict(content, "approve", job=content(f"job {n}")) for n in range(20)))
    (record,) = seen.witness._records.values()
    assert (len(record.checkpoints), len(record.votes)) == (8, 4)
    assert record.size == sum(len(each.data) for each in record.votes.values())


def refused(sim: Any, signed: Signed) -> ChainError:
    (answer,) = sim.node.receive_transactions([signed.data])
    assert isinstance(answer, ChainError)
    return answer


def test_a_refused_vote_is_evidence_and_ends_in_a_slash(sim: Any, net: Any) -> None:
    """The node refuses the second vote as it must, and remembers it; anybody reports; the set changes."""
    liar, head = net.validators[0], sim.node.head
    sim.register()
    sim.run()
    vote = sim.last[liar.address]
    other = VoteCheckpoint(vote.source, vote.source_height, Hash("f" * 64), vote.target_height)
    assert refused(sim, sim.signed(other, liar)).code == "duplicate", "of two heights it has one vote already"
    (report,) = sim.node.witness.reports
    assert report.validator == liar.address
    sim.send(report, net.owner)
    sim.run(lambda: liar.address in sim.node.head.state.slashed)
    assert sim.node.head.height > head.height
    sim.alive = 4
    sim.run(lambda: sim.node.chain.final.state.slashed)
    assert sim.node.witness.reports == (), "final: nothing is left to report"
    assert sim.node.head.state.sets_at(sim.node.head.height)


def test_a_restarted_node_still_knows_the_votes_of_its_last_blocks(sim: Any, net: Any) -> None:
    liar = net.validators[0]
    sim.register()
    sim.run()
    vote = sim.last[liar.address]
    sim.start()
    other = VoteCheckpoint(vote.source, vote.source_height, Hash("f" * 64), vote.target_height)
    assert refused(sim, sim.signed(other, liar)).code == "duplicate", "of two heights it has one vote already"
    assert [report.validator for report in sim.node.witness.reports] == [liar.address]


def test_over_http(served: Any, net: Any) -> None:
    client, liar = served.client, net.validators[0]
    assert client.evidence() == []
    assert client.misconduct() == []
    found = client.membership()
    assert (found.power, found.pending, found.signed_from) == ("member", None, 0)
    assert [each.address for each in found.admitted] == sorted(key.address for key in net.validators)
    assert {(each.power, each.stake, each.height) for each in found.admitted} == {(1, 0, 0)}
    for block in "ab":
        client.send(VoteCheckpoint(Hash(client.genesis_hash()), 0, Hash(block * 64), 9), liar)
    (report,) = client.evidence()
    client.wait_transaction(client.send(report, net.validators[1]))
    (slashed,) = client.misconduct()
    assert (slashed.validator, slashed.reporter) == (liar.address, net.validators[1].address)
    assert "targets at height 9" in slashed.reason
    assert client.evidence() == []
    pending = client.membership().pending
    assert pending is not None
    assert liar.address not in pending.set.members
    assert client.escrowed(net.owner.address) == 0


def test_votes_far_from_the_head_push_out_none_that_matters(seen: Any) -> None:
    """Else a liar would have the vote that it is about to contradict forgotten first."""
    seen(checkpoint(1, 5))
    far = 10**9
    seen(*[checkpoint(far, far + 1 + number) for number in range(witnesses.CHECKPOINTS_KEPT + 1)])
    assert len(seen(checkpoint(1, 5, "b"))) == 1
