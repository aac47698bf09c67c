"""What forgeries are made of, and the world that refuses them: a real node, and a second one that has its blocks."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import libipld

from chain import work
from chain.attestations import attest
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.client import NodeClient
from chain.encoding import cid_of, read_raw
from chain.errors import (
    ChainError,
)
from chain.finality import next_vote
from chain.keys import Key
from chain.node.core import Node
from chain.node.running import run
from chain.node.service import clock
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address, Cid, Hash
from chain.state import Job, State, record_digest
from chain.state.attestations import statement_of
from chain.store import Store
from chain.transactions import (
    Attest,
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

    def raw(self, of: Payload | None = None, **changes: Any) -> bytes:
        """What the owner sends, by default a transfer, with fields of body or payload replaced unchecked; signed."""
        node = read_raw(self.signed(of or Transfer(BOB.address, 5)).data, 10_000)
        inner = node["body"]["payload"]
        for name, value in changes.items():
            (inner if name in inner or name == "memo" else node["body"])[name] = value
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


@contextmanager
def standing(folder: Path) -> Iterator[World]:
    """A world in a folder."""
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
        adopt(client)
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


def adopt(client: NodeClient) -> None:
    """A version of another model, attested by the first validator."""
    sent(client, model("roses"), OWNER)
    job = open_job(client, "roses")
    updates = []
    for index, key in enumerate((ALICE, BOB)):
        sent(client, ClaimPartition(job, 0, 0, index), key)
        updates.append(sent(client, update(client, job, index), key))
    sent(client, SubmitAggregate(job, 0, 0, tuple(updates), content("roses"), 950_000, ENVIRONMENT), ALICE)
    shown = client.job(job)
    assert shown is not None
    for key in VALIDATORS[:3]:
        sent(client, approval_of(shown, job), key)
    settle(client)
    sent(client, attestation(client, VALIDATORS[0]), VALIDATORS[0])


def attestation(client: NodeClient, key: Key, genesis: Hash | None = None, **changes: Any) -> Attest:
    """A validator's signature under the adopted version, or under another statement."""
    registered, version = client.model("roses"), client.version("roses", 1)
    assert registered is not None
    assert version is not None
    statement = statement_of(genesis or Hash(client.genesis_hash()), 0, registered, version)
    return Attest("roses", 1, 0, attest(replace(statement, **changes), key))


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
    return approval_of(world.state.jobs[world.voting], world.voting)


def approval_of(job: Job, identifier: Cid) -> VoteModel:
    assert job.candidate is not None
    return VoteModel(
        identifier, 0, job.candidate.artifact, 0, record_digest(job), "approve", job.candidate.score, None,
        job.update_ids, (), (), "", "bytes", ENVIRONMENT, "replayed all",
    )  # fmt: skip


def finality_vote(world: World) -> VoteCheckpoint:
    finality, head = world.state.finality, world.twin.head
    return VoteCheckpoint(finality.justified_hash, finality.justified_height, head.id, head.height)


def transfer(world: World) -> Signed:
    return world.signed(Transfer(BOB.address, 5))


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
