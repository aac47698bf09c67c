"""A validator attests what is final: once, again under a new set, and whatever crashes in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chain.attestations import attest, signer
from chain.client import EventPage, NodeEvent, NodeRefused, NodeUnavailable, View
from chain.encoding import cid_of
from chain.keys import Key
from chain.schema import Cid, Hash
from chain.state import (
    Attestation,
    Attested,
    AttestedBy,
    Model,
    ValidatorSet,
    Version,
    statement_of,
)
from chain.transactions import (
    Attest,
)
from validators.attester import RETRY, Attester

GENESIS = Hash("ab" * 32)
ENVIRONMENT = Hash("e" * 64)
KEYS = [Key(bytes([number]) * 32) for number in range(1, 5)]
OWNER, WORKER = Key(b"\x21" * 32), Key(b"\x22" * 32)
SET = ValidatorSet(0, tuple(sorted(key.address for key in KEYS)), (1, 1, 1, 1))


def cid(text: str) -> Cid:
    return Cid(cid_of(text.encode()))


def model(versions: int, **fields: Any) -> Model:
    found = Model(
        "flowers", OWNER.address, ("iris",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None,
        cid("statistics"), (ENVIRONMENT,), (), (), cid("registration"), 1, versions, versions,
    )  # fmt: skip
    return replace(found, **fields)


def version(number: int, height: int) -> Version:
    return Version(
        number, "flowers", cid("job"), 0, cid(f"candidate {number}"), "iris", cid("iris"), 900_000, None, number - 1,
        120, "replay", SET.members[:3], height, 0,
    )  # fmt: skip


@dataclass
class Node:
    """What an attester sees of a node, and what it sent. `include` puts what waits on the chain."""

    versions: list[Version] = field(default_factory=list)
    final_height: int = 0
    set: ValidatorSet = SET
    attested: dict[int, Attested] = field(default_factory=dict)
    waiting: dict[str, Attest] = field(default_factory=dict)
    sent: list[Attest] = field(default_factory=list)
    settled: bool = True
    refusal: Exception | None = None

    def validators(self) -> ValidatorSet:
        return self.set

    def genesis_hash(self) -> str:
        return GENESIS

    def models(self) -> list[Model]:
        return [model(len(self.versions))]

    def version_view(self, name: str, number: int) -> View[Version]:
        found = self.versions[number - 1]
        return View(found, 100, "head", self.final_height, found.height <= self.final_height)

    def attested_view(self, name: str, number: int) -> View[Attested]:
        return View(self.attested.get(number, Attested(name, number, ())), 100, "head", self.final_height, self.settled)

    def transaction(self, transaction: str) -> dict[str, Any] | None:
        return {"status": "pending"} if transaction in self.waiting else None

    def send(self, payload: Attest, key: Key) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(payload)
        transaction = f"transaction {len(self.sent)}"
        self.waiting[transaction] = payload
        return transaction

    def include(self, *others: Key) -> None:
        """What waits is in a block, and `others` have attested the same."""
        for payload in self.waiting.values():
            said = statement_of(GENESIS, payload.set, model(len(self.versions)), self.versions[payload.version - 1])
            signatures = {signer(said, payload.signature): payload.signature}
            signatures |= {key.address: attest(said, key) for key in others}
            found = AttestedBy(self.set, tuple(Attestation(who, text, 9, 9) for who, text in signatures.items()))
            before = self.attested.get(payload.version, Attested("flowers", payload.version, ()))
            self.attested[payload.version] = replace(before, sets=(*before.sets[-1:], found))
        self.waiting.clear()


def attester(node: Node, key: Key = KEYS[0]) -> Attester:
    return Attester(node, key)  # type: ignore[arg-type]


def page(*kinds: str, undone: bool = False) -> EventPage:
    events = tuple(NodeEvent(seq, 1, "block", kind, undone, 1, {}) for seq, kind in enumerate(kinds))
    return EventPage(events, 1, "run", "head", 1, 1)


def test_it_attests_once_the_adoption_is_final() -> None:
    node = Node([version(1, 5)], final_height=4)
    each = attester(node)
    assert each.consider() is None
    assert node.sent == []
    node.final_height = 5
    assert each.consider() is None
    (only,) = node.sent
    assert (only.model, only.version, only.set) == ("flowers", 1, 0)
    assert signer(statement_of(GENESIS, 0, model(1), version(1, 5)), only.signature) == KEYS[0].address


def test_what_is_under_way_or_there_is_not_sent_again() -> None:
    node = Node([version(1, 5)], final_height=9)
    each = attester(node)
    for _ in range(3):
        each.consider()
    node.include()
    for _ in range(3):
        each.consider()
    assert len(node.sent) == 1


def test_what_was_lost_is_sent_again() -> None:
    node = Node([version(1, 5)], final_height=9)
    each = attester(node)
    each.consider()
    node.waiting.clear()  # the node came back without it
    each.consider()
    assert len(node.sent) == 2
    assert node.sent[0] == node.sent[1]


def test_what_a_reorganisation_took_out_is_sent_again() -> None:
    node = Node([version(1, 5)], final_height=9, settled=False)
    each = attester(node)
    each.consider()
    node.include()
    each.consider()
    node.attested.clear()
    each.consider()
    assert len(node.sent) == 2


def test_a_new_process_goes_by_the_chain() -> None:
    node = Node([version(1, 5)], final_height=9)
    attester(node).consider()
    node.include()
    attester(node).consider()
    assert len(node.sent) == 1


def test_all_versions_that_nobody_certified_are_attested_and_none_before() -> None:
    node = Node([version(1, 2)], final_height=9)
    attester(node).consider()
    node.include(*KEYS[1:])
    node.versions += [version(2, 5), version(3, 6)]
    each = attester(node)
    each.consider()
    assert sorted(sent.version for sent in node.sent) == [1, 2, 3]
    assert attester(node, KEYS[1]).consider() is None
    assert sorted(sent.version for sent in node.sent[3:]) == [2, 3]


def test_under_a_new_set_the_version_in_service_is_attested_again() -> None:
    node = Node([version(1, 2), version(2, 3)], final_height=9)
    each = attester(node)
    each.consider()
    node.include(*KEYS[1:])
    each.consider()
    node.set = ValidatorSet(1, SET.members, SET.weights)
    each.consider()
    assert [(sent.version, sent.set) for sent in node.sent] == [(2, 0), (1, 0), (2, 1)]


def test_who_is_no_validator_attests_nothing_until_it_is_one() -> None:
    newcomer = Key(b"\x44" * 32)
    node = Node([version(1, 2)], final_height=9)
    each = attester(node, newcomer)
    each.consider()
    assert node.sent == []
    node.set = ValidatorSet(1, tuple(sorted([*SET.members, newcomer.address])), (1,) * 5)
    each.consider()
    assert len(node.sent) == 1


def test_a_refusal_is_tried_again_later() -> None:
    node = Node([version(1, 5)], final_height=9, refusal=NodeRefused(503, {"code": "mempool_full"}))
    each = attester(node)
    assert each.consider() == RETRY
    node.refusal = None
    assert each.consider() is None
    assert len(node.sent) == 1


def test_a_duplicate_is_no_trouble() -> None:
    node = Node([version(1, 5)], final_height=9, refusal=NodeRefused(409, {"code": "duplicate"}))
    assert attester(node).consider() is None


def test_a_node_that_went_away_is_asked_again_for_all() -> None:
    node = Node([version(1, 5)], final_height=9, refusal=NodeUnavailable("away"))
    each = attester(node)
    with pytest.raises(NodeUnavailable):
        each.consider()
    node.refusal = None
    each.consider()
    assert len(node.sent) == 1


def test_only_adoptions_and_what_is_undone_make_it_look_at_models_again() -> None:
    node = Node([], final_height=9)
    each = attester(node)
    each.consider()
    node.versions.append(version(1, 5))
    assert each.notice(page("final"))
    each.consider()
    assert node.sent == []  # nobody told of an adoption: nothing is asked about models for every block
    assert not each.notice(page("adopted"))
    assert each.notice(page("final"))
    each.consider()
    assert len(node.sent) == 1
    node.waiting.clear()
    assert each.notice(page())


def test_who_is_no_member_is_told_so_on_a_chain_where_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    assert attester(Node(), OWNER).consider() is None
    (warning,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "not a member of set 0" in warning.getMessage()
    assert OWNER.address in warning.getMessage()
