"""What outlasts a node's process beside the chain: proof of misconduct, and that it has to stay stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.errors import ChainError, ConflictingFinality
from chain.misconduct import proof
from chain.node import remembering, running
from chain.node.core import Node
from chain.schema import Hash
from chain.store import Store
from chain.transactions import Transfer, VoteCheckpoint
from cli import main


def contradict(sim: Any, key: Any) -> None:
    """A second vote for the height of its last one, which the node refuses and remembers."""
    last = sim.last[key.address]
    other = VoteCheckpoint(last.source, last.source_height, Hash("f" * 64), last.target_height)
    (answer,) = sim.node.receive_transactions([sim.signed(other, key).data])
    assert isinstance(answer, ChainError)


def test_what_was_caught_is_still_reported_after_a_restart(sim: Any, net: Any) -> None:
    sim.register()
    sim.run()
    for key in net.validators[:2]:
        contradict(sim, key)
    before = sim.node.witness.reports
    sim.start()
    assert sim.node.witness.reports == before
    assert [report.validator for report in before] == [key.address for key in net.validators[:2]]
    for report in before:
        assert "two votes with targets" in proof(report, sim.node.chain.genesis_id, sim.params)

    sim.send(before[0], net.owner)
    sim.run(lambda: before[0].validator in sim.node.chain.final.state.slashed)
    sim.start()
    assert sim.node.witness.reports == before[1:], "what is final needs no report"


def test_evidence_that_the_disk_refused_is_written_with_the_next_chance(
    sim: Any, net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.register()
    sim.run()

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(remembering, "keep_evidence", full)
        with pytest.raises(OSError, match="no space left"):
            contradict(sim, net.validators[0])
    sim.send(Transfer(net.owner.address, 1), net.owner)
    sim.start()
    assert [report.validator for report in sim.node.witness.reports] == [net.validators[0].address]


@pytest.fixture
def divided(make_sim: Callable[..., Any], net: Any) -> tuple[Any, list[Any]]:
    """A node that is final, and blocks of a branch on which the same validators made others final."""
    one, two = make_sim(), make_sim()
    for sim, amount in ((one, 1), (two, 2)):
        sim.send(Transfer(net.validators[0].address, amount), net.owner)
        sim.run()
        assert sim.node.chain.final.height > 0
    return one, [two.node.block(entry.id) for entry in two.node.chain.branch(0)]


def learn(sim: Any, blocks: list[Any]) -> None:
    for block in blocks:
        sim.node.receive_block(block)


def test_a_node_that_saw_two_final_branches_stays_stopped(divided: Any, net: Any) -> None:
    sim, blocks = divided
    with pytest.raises(ConflictingFinality) as first:
        learn(sim, blocks)
    caught = {report.validator for report in sim.node.witness.reports}
    assert caught == {key.address for key in net.validators}, "it has seen the votes of both branches"
    with pytest.raises(ConflictingFinality) as again:
        sim.start()
    assert str(again.value) == str(first.value)
    assert "--forget-conflict" in str(again.value)


def test_an_operator_lets_it_go_on_and_it_stops_for_the_next_conflict(divided: Any) -> None:
    sim, blocks = divided
    with pytest.raises(ConflictingFinality):
        learn(sim, blocks)
    final = sim.node.chain.final.id
    assert remembering.forget_conflict(sim.store)
    assert not remembering.forget_conflict(sim.store)
    sim.start()
    assert sim.node.chain.final.id == final
    assert len(sim.node.witness.reports) == 4, "the proof is still there to be reported"
    with pytest.raises(ConflictingFinality):
        learn(sim, blocks)


@pytest.fixture
def stopped(tmp_path: Path, net: Any) -> Path:
    """A data folder whose node has seen two branches final."""
    folder = tmp_path / "data"
    (folder / "node").mkdir(parents=True)
    store = Store(folder / "node" / running.DATABASE)
    Node(net.genesis(), net.params, store, lambda: 0, net.miner)
    remembering.keep_conflict(store, ConflictingFinality("one final block", "two"), 0)
    store.close()
    return folder


def test_the_process_says_so_until_it_is_told_to_go_on(stopped: Path, net: Any) -> None:
    arguments = (stopped, "127.0.0.1", 0, net.genesis(), net.miner)
    with pytest.raises(ConflictingFinality, match="one final block"):
        running.run(*arguments, threading.Event())
    for flag in (True, False):
        stop = threading.Event()
        running.run(*arguments, stop, lambda _, stop=stop: stop.set(), forget_conflict=flag)


def test_its_exit_status_is_4(
    stopped: Path, net: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.guard.watch_parent", lambda: None)
    monkeypatch.setattr("runtime.logs.configure", lambda *_: None)
    (stopped / "node" / "genesis.json").write_text(net.genesis().to_json())
    with pytest.raises(SystemExit) as ended:
        main.main(["node", "--data", str(stopped), "--port", "0"])
    assert ended.value.code == 4
    assert "expected one final block, found two" in capsys.readouterr().err
