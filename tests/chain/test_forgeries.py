"""Every forgery is refused with its own error and changes nothing: the list.

Each forged transaction is tried three times: on a real node over HTTP, on the state that the node's blocks lead
to, and in a block with all its work done. Each forged block goes to a second node as from a peer. "Changes
nothing" is the digest of the state.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import libipld
import pytest
import requests

from chain import work
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.client import NodeClient
from chain.encoding import cid_of, read_raw, to_json, write_raw
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
from chain.finality import next_vote
from chain.keys import ORDER, Key
from chain.node.core import Node
from chain.node.service import clock, run
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address, Cid, Hash
from chain.state import Event, State, ValidatorSet, record_digest
from chain.store import Store
from chain.transactions import (
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    Signed,
    SubmitAggregate,
    SubmitUpdate,
    Transfer,
    VoteCheckpoint,
    VoteModel,
    body_of,
    sign,
)
from chain.tree import Kind

CBOR, JSON = "application/vnd.ipld.dag-cbor", "application/vnd.ipld.dag-json"
VALIDATORS = [Key(bytes([n]) * 32) for n in (1, 2, 3, 4)]
OWNER, ALICE, BOB, POOR = (Key(bytes([n]) * 32) for n in (11, 12, 13, 14))
MINER = Address("0x" + "ab" * 20)
ENVIRONMENT = Hash("e" * 64)
ZERO = Hash("0" * 64)


def content(name: str) -> Cid:
    return Cid(cid_of(name.encode()))


@dataclass
class World:
    """A real node that stands still (all is final), and a second one that was handed its blocks."""

    url: str
    client: NodeClient
    twin: Node
    training: Cid
    """A job whose partition 0 Alice has claimed."""
    voting: Cid
    """A job whose candidate is up for the vote."""
    repeated: Signed
    """A transaction that is on the chain."""

    @property
    def state(self) -> State:
        return self.twin.head.state

    def signed(self, payload: Payload, key: Key = OWNER, **fields: Any) -> Signed:
        expires = 0 if isinstance(payload, VoteCheckpoint) else clock() + 600_000
        body = body_of(payload, key.address, self.twin.chain.genesis_id, secrets.token_hex(16), expires)
        return sign(replace(body, **fields), key)

    def raw(self, **changes: Any) -> bytes:
        """A transfer by the owner whose body's or payload's fields are replaced without any check, and signed."""
        node = read_raw(self.signed(Transfer(BOB.address, 5)).data, 10_000)
        for name, value in changes.items():
            where = node["body"]["payload"] if name in ("amount", "recipient", "memo") else node["body"]
            where[name] = value
        body = libipld.encode_dag_cbor(node["body"])
        signature = OWNER.sign(hashlib.sha256(body).digest())
        return bytes(libipld.encode_dag_cbor({"body": node["body"], "signature": signature}))

    def digest(self) -> str:
        """The digest of the real node's state."""
        head = self.client.block(self.client.chain()["height"])
        assert head is not None
        return str(head["state"])


def open_job(world_client: NodeClient, model: str) -> Cid:
    spec = OpenJob(
        model, "iris", '{"class":"sklearn.linear_model.Ridge","params":{}}', 2, 1, '{"scheme":"disjoint"}',
        "average", 2, 1, 3_600_000, 3_600_000,
    )  # fmt: skip
    job = Cid(world_client.send(spec, OWNER))
    world_client.wait_transaction(job)
    deadline = time.monotonic() + 20
    seen = 0
    while (found := world_client.job(job)) is None or found.seed is None:
        assert time.monotonic() < deadline
        seen = world_client.events(after=seen, wait=1).next
    return job


def sent(client: NodeClient, payload: Payload, key: Key) -> Cid:
    identifier = client.send(payload, key)
    client.wait_transaction(identifier)
    return Cid(identifier)


def settle(client: NodeClient) -> None:
    """Four validators vote until all is final."""
    last: dict[str, VoteCheckpoint] = {}
    deadline = time.monotonic() + 30
    while not (shown := client.chain())["settled"]:
        assert time.monotonic() < deadline
        view = client.finality()
        for key in VALIDATORS:
            vote = next_vote(view.value, Hash(view.head), view.height, last.get(key.address))
            if vote is not None:
                last[key.address] = vote
                client.send(vote, key)
        client.events(after=shown["seq"], wait=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    genesis = Genesis(
        "development",
        clock() - 60_000,
        tuple(sorted(key.address for key in VALIDATORS)),
        tuple(sorted((key.address, 1_000_000) for key in (OWNER, ALICE, BOB))),
        "forgeries",
    )
    stop, ready, ports = threading.Event(), threading.Event(), list[int]()

    def on_ready(port: int) -> None:
        ports.append(port)
        ready.set()

    folder = tmp_path_factory.mktemp("forgeries")
    thread = threading.Thread(target=run, args=(folder, "127.0.0.1", 0, genesis, MINER, stop, on_ready))
    thread.start()
    assert ready.wait(20)
    client = NodeClient(f"http://127.0.0.1:{ports[0]}", timeout=5)
    try:
        iris = RegisterDataset("iris", content("iris"), content("manifest"), 150, "kind", "classification")
        sent(client, iris, OWNER)
        sent(client, model("flowers"), OWNER)
        training, voting = open_job(client, "flowers"), open_job(client, "flowers")
        sent(client, ClaimPartition(training, 0, 0, 0), ALICE)
        updates = []
        for index, key in enumerate((ALICE, BOB)):
            sent(client, ClaimPartition(voting, 0, 0, index), key)
            updates.append(sent(client, update(client, voting, index), key))
        sent(client, SubmitAggregate(voting, 0, 0, tuple(updates), content("all"), 950_000, ENVIRONMENT), ALICE)
        repeated = client.prepare(Transfer(BOB.address, 7), OWNER)
        client.submit(repeated)
        client.wait_transaction(repeated.id)
        settle(client)
        twin = Node(genesis, DEVELOPMENT, Store(None), clock, MINER)
        for height in range(1, client.chain()["height"] + 1):
            data = client.raw_block(height)
            assert data is not None
            assert twin.receive_block_bytes(data).kind is Kind.NEW_HEAD
        yield World(client.url, client, twin, training, voting, repeated)
    finally:
        stop.set()
        thread.join(20)
        client.close()


def model(name: str) -> RegisterModel:
    return RegisterModel(
        name, ("iris",), "classification", "accuracy", 1, 0, 1_000_000, 200_000, None, content("statistics"),
        (ENVIRONMENT,), (), (),
    )  # fmt: skip


def update(client: NodeClient, job: Cid, partition: int, **fields: Any) -> SubmitUpdate:
    found = client.job(job)
    assert found is not None
    assert found.seed is not None
    artifact = content(f"{job} {partition}")
    payload = SubmitUpdate(job, 0, 0, partition, found.seed, None, artifact, 60, 900_000, 12, ENVIRONMENT)
    return replace(payload, **fields)


def approval(world: World) -> VoteModel:
    job = world.state.jobs[world.voting]
    assert job.candidate is not None
    return VoteModel(
        world.voting, 0, job.candidate.artifact, 0, record_digest(job), "approve", job.candidate.score, None,
        job.update_ids, (), (), "", "bytes", ENVIRONMENT, "replayed all",
    )  # fmt: skip


def finality_vote(world: World) -> VoteCheckpoint:
    finality, head = world.state.finality, world.twin.head
    return VoteCheckpoint(finality.justified_hash, finality.justified_height, head.id, head.height)


# ---------------------------------------------------------------------- transactions


def high_s(signed: Signed) -> bytes:
    """The other form of the same signature: s mirrored, v flipped. Many libraries accept both."""
    data = bytes.fromhex(signed.signature)
    mirrored = (ORDER - int.from_bytes(data[32:64], "big")).to_bytes(32, "big")
    return Signed(signed.body, (data[:32] + mirrored + bytes([55 - data[64]])).hex()).data


def with_signature(signed: Signed, signature: str) -> bytes:
    return write_raw({"body": read_raw(signed.body_data, 10_000), "signature": signature})


def transfer(world: World) -> Signed:
    return world.signed(Transfer(BOB.address, 5))


def patched(world: World, old: bytes, new: bytes) -> bytes:
    data = transfer(world).data
    assert data.count(old) == 1
    return data.replace(old, new)


Forgery = Callable[[World], bytes]
#: name: (the bytes, status over HTTP, code, words of the message)
TRANSACTIONS: dict[str, tuple[Forgery, int, str, str]] = {
    # signatures
    "another's signature": (
        lambda w: Signed(transfer(w).body, w.signed(Transfer(BOB.address, 5), ALICE).signature).data,
        400, "invalid_signature", "a signature by the sender",
    ),
    "a signature of something else": (
        lambda w: Signed(transfer(w).body, transfer(w).signature).data, 400, "invalid_signature", "by the sender",
    ),
    "a high s": (lambda w: high_s(transfer(w)), 400, "invalid_signature", "lower half"),
    "a v that is neither 27 nor 28": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:128] + "00"), 400, "invalid_signature", "27 or 28",
    ),
    "an r that is on no curve": (
        lambda w: with_signature(transfer(w), "ff" * 32 + "11" * 32 + "1b"), 400, "invalid_signature", "secp256k1",
    ),
    "a signature in capitals": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:-2].upper() + "1B"),
        400, "invalid_signature", "lowercase",
    ),
    "a signature cut short": (
        lambda w: with_signature(transfer(w), transfer(w).signature[:-2]), 400, "invalid_signature", "130",
    ),
    # envelope
    "another network's": (lambda w: w.signed(Transfer(BOB.address, 5), genesis=ZERO).data, 400, "wrong_network", ZERO),
    "expired": (
        lambda w: w.signed(Transfer(BOB.address, 5), expires=w.state.time).data, 400, "expired", "an expiry after",
    ),
    "an expiry out of reach": (
        lambda w: w.signed(Transfer(BOB.address, 5), expires=clock() + 10**8).data,
        400, "expires_too_late", "at most",
    ),
    "a kind that does not exist": (lambda w: w.raw(kind="mint"), 400, "invalid_encoding", "body.kind"),
    "a field too many": (lambda w: w.raw(memo="hi"), 400, "invalid_encoding", "unknown field"),
    "a salt in capitals": (lambda w: w.raw(salt="AB" * 16), 400, "invalid_encoding", "body.salt"),
    # encoding
    "bytes after the end": (lambda w: transfer(w).data + b"\x00", 400, "invalid_encoding", "DAG-CBOR"),
    "keys in another order": (
        lambda w: b"\xa2" + transfer(w).data[-142:] + transfer(w).data[1:-142], 400, "invalid_encoding", "sorted",
    ),
    "a number longer than need be": (
        lambda w: patched(w, b"famount\x05", b"famount\x18\x05"), 400, "invalid_encoding", "canonical",
    ),
    "a map of open length": (
        lambda w: b"\xbf" + transfer(w).data[1:] + b"\xff", 400, "invalid_encoding", "Indefinite",
    ),
    "bytes where text belongs": (lambda w: w.raw(recipient=b"\x01\x02"), 400, "invalid_encoding", "recipient"),
    "nested a million deep": (lambda w: b"\x81" * 1_000_000, 400, "invalid_encoding", "deeper nesting"),
    "nothing": (lambda w: b"", 400, "invalid_encoding", "DAG-CBOR"),
    # types
    "a float": (lambda w: w.raw(amount=5.0), 400, "invalid_encoding", "amount"),
    "true for one": (lambda w: w.raw(amount=True), 400, "invalid_encoding", "amount"),
    "a number as text": (lambda w: w.raw(amount="5"), 400, "invalid_encoding", "amount"),
    "null": (lambda w: w.raw(amount=None), 400, "invalid_encoding", "amount"),
    "2^63": (lambda w: w.raw(amount=2**63), 400, "invalid_encoding", "amount"),
    "zero": (lambda w: w.raw(amount=0), 400, "invalid_encoding", "at least 1"),
    "a negative amount": (lambda w: w.raw(amount=-5), 400, "invalid_encoding", "at least 1"),
    "an address in capitals": (
        lambda w: w.raw(recipient="0x" + "AB" * 20), 400, "invalid_encoding", "body.payload.recipient",
    ),
    # rights
    "overdrawn": (lambda w: w.signed(Transfer(BOB.address, 10**9)).data, 422, "insufficient_balance", "at most"),
    "a sender without the minimum balance": (
        lambda w: w.signed(Transfer(BOB.address, 1), POOR).data, 403, "forbidden", "owns at least",
    ),
    "an update for another's claim": (
        lambda w: w.signed(update(w.client, w.training, 0), BOB).data, 403, "forbidden", "the holder of the lease",
    ),
    "an update with a seed of its own": (
        lambda w: w.signed(update(w.client, w.training, 0, seed=ZERO), ALICE).data, 409, "conflict", "the job's seed",
    ),
    "an update after the round": (
        lambda w: w.signed(update(w.client, w.voting, 0, artifact=content("better")), ALICE).data,
        409, "conflict", "training",
    ),
    "an aggregate by who trained nothing": (
        lambda w: w.signed(
            SubmitAggregate(w.voting, 0, 0, w.state.jobs[w.voting].update_ids, content("x"), 1, ENVIRONMENT), OWNER
        ).data,
        403, "forbidden", "an update in the round",
    ),
    "an approval by who is no validator": (
        lambda w: w.signed(approval(w), ALICE).data, 403, "forbidden", "a validator",
    ),
    "an approval of another score": (
        lambda w: w.signed(replace(approval(w), score=999_999), VALIDATORS[0]).data,
        400, "invalid_field", "the candidate's score",
    ),
    "an approval without the replays": (
        lambda w: w.signed(replace(approval(w), replayed=approval(w).replayed[:1]), VALIDATORS[0]).data,
        400, "invalid_field", "all 2 updates",
    ),
    "an approval of another candidate": (
        lambda w: w.signed(replace(approval(w), candidate=content("mine")), VALIDATORS[0]).data,
        409, "conflict", "the candidate",
    ),
    "an approval of another record": (
        lambda w: w.signed(replace(approval(w), record=ZERO), VALIDATORS[0]).data, 409, "conflict", "the record",
    ),
    "a checkpoint vote by who is no validator": (
        lambda w: w.signed(finality_vote(w), ALICE).data, 403, "forbidden", "a validator",
    ),
    "a checkpoint vote downwards": (
        lambda w: w.signed(VoteCheckpoint(w.twin.head.id, 5, w.twin.chain.genesis_id, 0), VALIDATORS[0]).data,
        400, "invalid_field", "above its source",
    ),
}  # fmt: skip


@pytest.fixture(params=list(TRANSACTIONS))
def forged(request: pytest.FixtureRequest, world: World) -> tuple[bytes, int, str, str]:
    make, status, code, words = TRANSACTIONS[request.param]
    return make(world), status, code, words


def test_what_the_forgeries_are_made_of_is_valid(world: World) -> None:
    for signed in (
        transfer(world),
        world.signed(update(world.client, world.training, 0), ALICE),
        world.signed(approval(world), VALIDATORS[0]),
    ):
        world.twin.chain.draft(clock()).add(signed)
    assert Signed.decode(world.raw()).signer == OWNER.address


def test_a_forged_transaction_is_refused_over_http(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, status, code, words = forged
    before, pending = world.digest(), world.client.chain()["pending"]
    response = requests.post(f"{world.url}/transactions", data=data, headers={"Content-Type": CBOR}, timeout=10)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert words in problem["detail"]
    assert world.digest() == before
    assert world.client.chain()["pending"] == pending


def test_a_forged_transaction_does_not_apply(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, _, code, words = forged
    draft, other = world.twin.chain.draft(clock()), world.twin.chain.draft(clock())
    with pytest.raises(ChainError) as caught:
        draft.add(Signed.decode(data))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert draft.finish()[0].digest == other.finish()[0].digest


def test_a_forged_transaction_in_a_block_with_its_work_done(world: World, forged: tuple[bytes, int, str, str]) -> None:
    data, _, code, _ = forged
    try:
        signed = Signed.decode(data)
    except ChainError:
        return  # no block can hold it: its bytes are no transaction
    reason = refused(world, block_of(world, [signed], lambda digest: digest), BadTransaction)
    assert isinstance(reason, BadTransaction)
    assert reason.cause is not None
    assert (reason.index, reason.cause.code) == (0, code)


def test_a_float_in_json(world: World) -> None:
    before = world.digest()
    for written in ("5.0", "5e0", "NaN", "-Infinity", "-0.0"):
        text = to_json(transfer(world).to_object()).replace('"amount":5', f'"amount":{written}')
        assert written in text
        response = requests.post(f"{world.url}/transactions", data=text, headers={"Content-Type": JSON}, timeout=10)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_encoding")
    assert world.digest() == before


def test_a_repeated_transaction_is_acknowledged_and_applied_once(world: World) -> None:
    before = world.digest()
    response = requests.post(
        f"{world.url}/transactions", data=world.repeated.data, headers={"Content-Type": CBOR}, timeout=10
    )
    assert (response.status_code, response.json()["status"]) == (202, "final")
    assert world.digest() == before
    reason = refused(world, block_of(world, [world.repeated], lambda digest: digest), BadTransaction)
    assert isinstance(reason, BadTransaction)
    assert reason.cause is not None
    assert reason.cause.code == "duplicate"


# ---------------------------------------------------------------------- blocks


def mined(header: Header) -> Header:
    nonce = work.search(header.pack()[:-8], work.target_of(header.target), 0, 2**32)
    assert nonce is not None
    return replace(header, nonce=nonce)


def block_of(world: World, transactions: list[Signed], claim: Callable[[Hash], Hash]) -> Block:
    """A block on the head, its work done; `claim` says which digest it claims, given the true one of no forgery."""
    head = world.twin.head
    draft = world.twin.chain.draft(clock())
    for signed in transactions:
        try:
            draft.add(signed)
        except ChainError:
            continue
    commitment = Commitment(head.height + 1, MINER, claim(draft.finish()[0].digest))
    root = merkle_root(commitment, transactions)
    header = Header(1, head.id, root, max(clock(), head.time + 1), DEVELOPMENT.initial_target, 0)
    return Block(mined(header), commitment, tuple(transactions))


def refused(world: World, block: Block, error: type[ChainError]) -> ChainError:
    """The second node refuses it, as from a peer, and stays as it is."""
    before, digest = world.twin.head.id, world.state.digest
    result = world.twin.receive_block_bytes(block.encode())
    assert (result.kind, type(result.reason)) == (Kind.INVALID, error), result
    assert result.reason is not None
    assert str(result.reason)
    assert (world.twin.head.id, world.state.digest) == (before, digest)
    assert world.twin.chain.entry(block.id) is None
    return result.reason


def remade(block: Block, *, commitment: Commitment | None = None, **header: Any) -> Block:
    """With another field, and root and work redone, so that only the field itself is wrong."""
    commitment = commitment or block.commitment
    fields = {"root": merkle_root(commitment, block.transactions)} | header
    return Block(mined(replace(block.header, **fields)), commitment, block.transactions)


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
