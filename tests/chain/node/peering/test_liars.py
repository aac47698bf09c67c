"""Peers that claim much and bring little keep nobody from the honest branch, and are not fed on for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain import work
from chain.blocks import Block, Header
from chain.node.peering.codec import decode, encode
from chain.node.peering.messages import (
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskPeers,
    Blocks,
    Headers,
    Inventory,
    Message,
    Peers,
    Status,
)
from chain.schema import Hash
from tests.chain.node.peering.conftest import VALIDATORS, Member, World


class Liars(World):
    """A world in which some members are nothing but answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}

    def deliver(self, a: str, b: str, message: Message) -> None:
        if b in self.answers:
            self.after(5, lambda: self.tell(b, a, *self.answers[b](message)))
            return
        super().deliver(a, b, message)

    def tell(self, liar: str, name: str, *messages: Message) -> None:
        for message in messages:
            checked: Any = decode(type(message), encode(message), self.params)
            peering = self.members[name].peering
            self.after(5, lambda c=checked, p=peering: liar in p.peers and p.on_message(liar, c))

    def lie(self, name: str, to: Member, status: Status, answers: Any) -> None:
        """Connect a member that has this status, and answers with messages."""
        self.answers[name] = answers
        hello = replace(to.peering.hello(), node=name.encode().hex().rjust(32, "0"), url=f"http://{name}:1")
        to.peering.connected(name, replace(hello, status=status), host=f"host of {name}")


def mined(parent: Header, number: int) -> Header:
    header = Header(1, parent.id, Hash(f"{number:064x}"), parent.time + 1, parent.target, 0)
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    assert nonce is not None
    return replace(header, nonce=nonce)


def claim(genesis: Hash, **changes: Any) -> Status:
    return replace(Status(10**6, Hash("ab" * 32), str(10**30), str(10**30), 0, genesis, 0, genesis), **changes)


@pytest.fixture
def world() -> Liars:
    return Liars()


def test_bodies_that_cannot_be_applied_keep_no_others_out(world: Liars) -> None:
    """One peer brings 160 headers and all their bodies but the first."""
    honest = world.member("a")
    world.mine("a", 60)
    honest.mines = False
    new = world.member("n", mines=False)
    genesis = new.node.chain.genesis_block
    headers = [genesis.header]
    for number in range(160):
        headers.append(mined(headers[-1], number + 1))
    headers = headers[1:]
    bodies = {header.id: Block(header, genesis.commitment, ()) for header in headers}
    status = claim(genesis.id)

    def answers(asked: Message) -> list[Message]:
        match asked:
            case AskHeaders():
                news = not {headers[0].id, headers[129].id} & set(asked.locator)
                return [Headers(status, tuple(each.pack().hex() for each in headers[:130]) if news else ())]
            case AskBlocks():
                return [Blocks(tuple(bodies[each] for each in asked.ids if each != headers[0].id and each in bodies))]
            case AskInventory():
                return [Inventory(status, (), 0), *(Blocks((bodies[each.id],)) for each in headers[130:])]
            case AskPeers():
                return [Peers(())]
        return []

    world.lie("l", new, status, answers)
    world.run_for(15_000)
    held, _ = new.peering.sync.held
    assert held >= 128, "the places are taken"
    world.connect("a", "n")
    world.run_for(60_000)
    assert new.head == honest.head


@pytest.mark.parametrize("liars", [4, 8])
def test_claims_without_bodies_do_not_take_all_turns(world: Liars, liars: int) -> None:
    """Each claims the highest justified block there could be, has one header to show, and never a body."""
    honest = world.member("a")
    world.voting = {"a": VALIDATORS}
    world.send("a")
    world.run(lambda: honest.node.chain.final.height > 0)
    world.voting, honest.mines = {}, False
    world.mine("a", 20)
    new = world.member("n", mines=False)
    genesis = new.node.chain.genesis_block.header

    def liar(number: int) -> None:
        header, count = mined(genesis, number + 1), [0]

        def status() -> Status:
            count[0] += 1
            other = Hash(f"{number + 7:064x}")
            return claim(
                genesis.id, head=Hash(f"{number:032x}{count[0]:032x}"), justified_height=2**52, justified=other,
                final_height=2**52 - 1, final=other,
            )  # fmt: skip

        def answers(asked: Message) -> list[Message]:
            match asked:
                case AskHeaders():
                    return [Headers(status(), (header.pack().hex(),))]
                case AskBlocks():
                    return [Blocks(())]
                case AskInventory():
                    return [Inventory(status(), (), 0)]
                case AskPeers():
                    return [Peers(())]
            return []

        world.lie(f"l{number}", new, status(), answers)

    for number in range(liars):
        liar(number)
    world.run_for(1_000)
    world.connect("a", "n")
    world.run_for(120_000)
    assert new.head == honest.head


def test_a_claimed_final_block_buys_only_so_many_blocks_and_no_bodies(world: Liars) -> None:
    """No vote of anybody is in them."""
    victim = world.member("a")
    world.voting = {"a": VALIDATORS}
    world.send("a")
    world.run(lambda: victim.node.chain.final.height > 0)
    world.run(lambda: victim.node.head.state.finality.settled)
    world.voting, victim.mines = {}, False
    maker = world.member("l", mines=False)
    world.mine("l", 300)
    branch = {entry.id: entry.block for entry in maker.node.chain.branch(0)[:300]}
    places = {block: number for number, block in enumerate(branch)}
    packed = [block.header.pack().hex() for block in branch.values()]
    genesis = victim.node.chain.genesis_id
    status = claim(genesis, final_height=1, final=Hash("ef" * 32))

    def answers(asked: Message) -> list[Message]:
        match asked:
            case AskHeaders():
                known = max((places[each] for each in asked.locator if each in places), default=-1)
                return [Headers(status, tuple(packed[known + 1 : known + 513]))]
            case AskBlocks():
                return [Blocks(tuple(branch[each] for each in asked.ids))]
            case AskInventory():
                return [Inventory(status, (), 0)]
            case AskPeers():
                return [Peers(())]
        return []

    head = victim.head
    world.lie("x", victim, status, answers)
    world.run(lambda: "x" not in victim.peering.peers)
    assert any("none of them is final" in reason for reason in victim.reasons())
    taken = [entry for each in branch if (entry := victim.node.chain.entry(each)) is not None]
    assert 200 < len(taken) <= 260
    assert all(entry.bare for entry in taken)
    assert victim.head == head
