"""One valid example of everything that the stateless half of the chain knows, and the means to spoil it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain import work
from chain.blocks import VERSION, Block, Commitment, Header, merkle_root
from chain.encoding import cid_of
from chain.keys import Key
from chain.params import DEVELOPMENT
from chain.schema import Address, Cid, Hash
from chain.transactions import (
    AdmitValidator,
    Attest,
    CancelJob,
    ClaimPartition,
    OpenJob,
    Payload,
    RegisterDataset,
    RegisterModel,
    ReportFailure,
    ReportMisconduct,
    Signed,
    SignedCheckpoint,
    Stake,
    SubmitAggregate,
    SubmitUpdate,
    Transfer,
    Unstake,
    VoteCheckpoint,
    VoteModel,
    body_of,
    sign,
)

NOW = 1_700_000_000_000
GENESIS = Hash("ab" * 32)
OTHER = Hash("cd" * 32)
SALT = "0123456789abcdef" * 2
ALICE = Key(b"\x01" * 32)
BOB = Key(b"\x02" * 32)
CID = Cid(cid_of(b"one"))
CID_2 = Cid(cid_of(b"two"))
RAW_CID = Cid("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")

EXAMPLES: tuple[Payload, ...] = (
    Transfer(BOB.address, 5),
    RegisterDataset("iris", RAW_CID, CID, 150, "species", "classification"),
    RegisterModel(
        "iris-net", ("iris",), "classification", "accuracy", 1, -5_000, 1_000_000, 200_000, None, CID,
        (OTHER,), (), (ALICE.address, BOB.address),
    ),
    OpenJob(
        "iris-net", "iris", '{"class":"sklearn.linear_model.Ridge","params":{"alpha":0.5}}', 4, 2,
        '{"scheme":"disjoint"}', "average", 3, 1, 60_000, 30_000, 500,
    ),
    CancelJob(CID),
    ClaimPartition(CID, 0, 1, 3),
    ReportFailure(CID, 0, 1, None, "out_of_memory", "needs 3 GiB", (RAW_CID,), "kubo"),
    SubmitUpdate(CID, 0, 1, 3, OTHER, RAW_CID, RAW_CID, 30, 966_667, 120, OTHER),
    SubmitAggregate(CID, 0, 1, (CID, CID_2), RAW_CID, 966_667, OTHER),
    VoteModel(
        CID, 0, RAW_CID, 1, OTHER, "approve", 966_667, 900_000, (CID, CID_2), (), (), "", "bytes", OTHER,
        "replayed 2 of 2 updates",
    ),
    VoteCheckpoint(GENESIS, 0, OTHER, 3),
    Attest("iris-net", 2, 1, "1b" * 65),
    Stake(5),
    Unstake(3),
    AdmitValidator(4, BOB.address, None, 1, ((ALICE.address, "1b" * 65),)),
    ReportMisconduct(
        BOB.address,
        (
            SignedCheckpoint(SALT, 0, VoteCheckpoint(GENESIS, 0, OTHER, 3), "1b" * 65),
            SignedCheckpoint(SALT, 0, VoteCheckpoint(GENESIS, 0, GENESIS, 3), "1c" * 65),
        ),
        (),
    ),
)  # fmt: skip


@pytest.fixture(scope="session")
def examples() -> dict[str, Payload]:
    """A valid payload of each kind."""
    return {payload.kind: payload for payload in EXAMPLES}


@pytest.fixture(scope="session")
def signed_of() -> Callable[..., Signed]:
    """Sign a payload as Alice for GENESIS, expiring a minute after NOW; fields of the body may be given."""

    def make(payload: Payload, key: Key = ALICE, **fields: Any) -> Signed:
        expires = 0 if isinstance(payload, VoteCheckpoint) else NOW + 60_000
        body = body_of(payload, key.address, GENESIS, SALT, expires)
        return sign(dataclasses.replace(body, **fields), key)

    return make


@pytest.fixture(scope="session")
def parent_header() -> Header:
    return Header(VERSION, OTHER, OTHER, NOW - 1000, DEVELOPMENT.initial_target, 0)


@pytest.fixture(scope="session")
def mined() -> Callable[[Header], Header]:
    """The header with the first nonce that meets its target."""

    def mine(header: Header) -> Header:
        nonce = work.search(header.pack()[:80], work.target_of(header.target), 0, 1 << 32)
        assert nonce is not None
        return dataclasses.replace(header, nonce=nonce)

    return mine


@pytest.fixture(scope="session")
def block(signed_of: Callable[..., Signed], parent_header: Header, mined: Callable[[Header], Header]) -> Block:
    """A valid block at height 7 with a transaction of every kind."""
    transactions = tuple(signed_of(payload) for payload in EXAMPLES)
    commitment = Commitment(7, Address(ALICE.address), Hash("ef" * 32))
    root = merkle_root(commitment, transactions)
    header = Header(VERSION, parent_header.id, root, NOW, DEVELOPMENT.initial_target, 0)
    return Block(mined(header), commitment, transactions)


@pytest.fixture(scope="session")
def vectors() -> Any:
    """The committed test vectors, for other implementations too."""
    return json.loads((Path(__file__).parent / "vectors.json").read_text())
