"""Every forged block is refused with its own error and changes nothing: the list.

Each goes, as from a peer, to a node that has a real node's blocks. "Changes nothing" is the digest of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chain import work
from chain.blocks import Block
from chain.errors import (
    BadHeight,
    BadParent,
    BadRoot,
    BadStateDigest,
    BadTarget,
    BadTime,
    BadTransaction,
    BadVersion,
    BadWork,
    ChainError,
)
from chain.node.service import clock
from chain.schema import Address
from chain.state import Event, ValidatorSet
from chain.transactions import (
    Payload,
    Signed,
)
from chain.tree import Kind
from tests.chain.forgeries import (
    VALIDATORS,
    ZERO,
    World,
    approval,
    block_of,
    finality_vote,
    refused,
    remade,
    standing,
    transfer,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with standing(tmp_path_factory.mktemp("forgeries")) as found:
        yield found


@pytest.fixture
def block(world: World) -> Block:
    """A valid block with two transfers."""
    return block_of(world, [transfer(world), transfer(world)], lambda digest: digest)


def other_target(block: Block) -> int:
    return work.compact_of(work.target_of(block.header.target) // 2)


#: name: (the forged block, its error)
BLOCKS: dict[str, tuple[Callable[[World, Block], Block], type[ChainError]]] = {
    "header: version": (lambda w, b: remade(b, version=2), BadVersion),
    "header: parent, another block": (lambda w, b: remade(b, parent=w.twin.head.parent), BadHeight),
    "header: parent, below what is final": (lambda w, b: remade(b, parent=w.twin.chain.genesis_id), BadHeight),
    "header: root": (lambda w, b: remade(b, root=ZERO), BadRoot),
    "header: time, the parent's": (lambda w, b: remade(b, time=w.twin.head.time), BadTime),
    "header: time, none": (lambda w, b: remade(b, time=0), BadTime),
    "header: target, harder": (lambda w, b: remade(b, target=other_target(b)), BadTarget),
    "header: target, easier": (lambda w, b: remade(b, target=work.compact_of(work.MAX_TARGET)), BadTarget),
    "header: target, none": (lambda w, b: replace(b, header=replace(b.header, target=0)), BadTarget),
    "header: nonce": (
        lambda w, b: next(
            other for n in range(10**6)
            if not work.meets((other := replace(b, header=replace(b.header, nonce=n))).header)
        ),
        BadWork,
    ),
    "commitment: height": (lambda w, b: remade(b, commitment=replace(b.commitment, height=b.height + 1)), BadHeight),
    "commitment: state": (lambda w, b: remade(b, commitment=replace(b.commitment, state=ZERO)), BadStateDigest),
    "commitment: state, the parent's": (
        lambda w, b: remade(b, commitment=replace(b.commitment, state=w.state.digest)), BadStateDigest,
    ),
    "commitment: another height under the same root": (
        lambda w, b: replace(b, commitment=replace(b.commitment, height=1)), BadRoot,
    ),
    "commitment: another miner under the same root": (
        lambda w, b: replace(b, commitment=replace(b.commitment, miner=Address("0x" + "00" * 20))), BadRoot,
    ),
    "commitment: another state under the same root": (
        lambda w, b: replace(b, commitment=replace(b.commitment, state=ZERO)), BadRoot,
    ),
    "transactions: one left out": (lambda w, b: replace(b, transactions=b.transactions[:1]), BadRoot),
    "transactions: one added": (lambda w, b: replace(b, transactions=(*b.transactions, transfer(w))), BadRoot),
    "transactions: another order": (lambda w, b: replace(b, transactions=b.transactions[::-1]), BadRoot),
    "transactions: one twice": (lambda w, b: replace(b, transactions=b.transactions[:1] * 2), BadRoot),
    "transactions: another signature": (
        lambda w, b: replace(b, transactions=(Signed(b.transactions[0].body, b.transactions[1].signature),) * 2),
        BadRoot,
    ),
    "transactions: one left out, root and work redone": (
        lambda w, b: remade(replace(b, transactions=b.transactions[:1])), BadStateDigest,
    ),
    "transactions: one twice, root and work redone": (
        lambda w, b: remade(replace(b, transactions=b.transactions[:1] * 2)), BadTransaction,
    ),
}  # fmt: skip


def test_the_block_that_the_forgeries_are_made_of_is_valid(world: World, block: Block) -> None:
    _, result = world.twin.chain.prepare(block, clock())  # and is not committed: the world stays as it is
    assert result.kind is Kind.NEW_HEAD


@pytest.mark.parametrize("name", BLOCKS)
def test_a_forged_block(world: World, block: Block, name: str) -> None:
    make, error = BLOCKS[name]
    refused(world, make(world, block), error)


def test_a_block_on_an_unknown_parent_waits_and_changes_nothing(world: World, block: Block) -> None:
    before = world.state.digest
    orphan = remade(block, parent=ZERO, commitment=replace(block.commitment, height=10**6))
    assert world.twin.receive_block_bytes(orphan.encode()).kind is Kind.ORPHAN
    assert world.state.digest == before


def test_a_child_of_a_forged_block_is_refused_with_it(world: World, block: Block) -> None:
    forgery = remade(block, commitment=replace(block.commitment, state=ZERO))
    refused(world, forgery, BadStateDigest)
    refused(world, remade(block, parent=forgery.id), BadParent)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"\x00",
        lambda data: data[:-1],
        lambda data: data.replace(b"fheader", b"eheade"),
        lambda data: data[:9] + data[9:200].upper() + data[200:],
    ],
)
def test_a_block_whose_bytes_are_not_canonical_is_none(world: World, block: Block, spoil: Any) -> None:
    before = world.state.digest
    with pytest.raises(ChainError) as caught:
        world.twin.receive_block_bytes(spoil(block.encode()))
    assert caught.value.code in ("invalid_encoding", "invalid_signature")
    assert world.state.digest == before


def two_of_four(world: World, vote: Payload, monkeypatch: pytest.MonkeyPatch) -> tuple[Block, tuple[Event, ...]]:
    """A block with two votes that claims the digest which the state would have if two were a quorum."""
    votes = [world.signed(vote, key) for key in VALIDATORS[:2]]
    with monkeypatch.context() as patch:
        patch.setattr(ValidatorSet, "quorum", lambda _: 2)
        draft = world.twin.chain.draft(clock())
        for signed in votes:
            draft.add(signed)
        dreamt, events = draft.finish()
    return block_of(world, votes, lambda _: dreamt.digest), events


def test_an_adoption_without_its_quorum_is_a_wrong_digest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    block, events = two_of_four(world, approval(world), monkeypatch)
    assert "adopted" in [event.kind for event in events]
    refused(world, block, BadStateDigest)
    assert world.state.models["flowers"].in_service == 0


def test_a_finality_without_its_quorum_is_a_wrong_digest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    block, events = two_of_four(world, finality_vote(world), monkeypatch)
    assert "justified" in [event.kind for event in events]
    final = world.twin.chain.final.id
    refused(world, block, BadStateDigest)
    assert world.twin.chain.final.id == final
