"""vectors.json, made with other libraries, fixes the formats: whoever changes one of these changes the network."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from chain import schema
from chain.blocks import Block, Commitment, Header, merkle_root_of
from chain.encoding import cid_to_bytes, from_json, to_json
from chain.keys import Key
from chain.transactions import PAYLOADS, Body, Signed, sign


def _value(obj: Any) -> Any:
    """A plain object from the vectors' DAG-JSON."""
    return from_json(json.dumps(obj))


def test_there_is_a_vector_of_every_kind(vectors: Any) -> None:
    assert {entry["body"]["kind"] for entry in vectors["transactions"]} == set(PAYLOADS)


def test_bodies_ids_signatures_and_signed_nodes(vectors: Any) -> None:
    key = Key(bytes.fromhex(vectors["secret"]))
    assert key.address == vectors["address"]
    for entry in vectors["transactions"]:
        body = Body.from_object(_value(entry["body"]))
        assert body.to_bytes().hex() == entry["unsigned"]
        assert body.id == entry["id"]
        signed = sign(body, key)
        assert (signed.signature, signed.data.hex()) == (entry["signature"], entry["signed"])
        assert (signed.id, signed.cid) == (entry["id"], entry["cid"])
        assert to_json(signed.to_object()["body"]) == to_json(_value(entry["body"]))
        read = Signed.decode(bytes.fromhex(entry["signed"]))
        assert read == signed
        assert (read.id, read.cid, read.signer) == (entry["id"], entry["cid"], key.address)


def test_the_block(vectors: Any) -> None:
    expected = vectors["block"]
    header = Header(**expected["header"])
    assert header.pack().hex() == expected["packed"]
    assert Header.unpack(bytes.fromhex(expected["packed"])) == header
    assert header.id == expected["id"]
    transactions = tuple(Signed.decode(bytes.fromhex(entry["signed"])) for entry in vectors["transactions"])
    block = Block(header, schema.from_object(Commitment, expected["commitment"]), transactions)
    assert hashlib.sha256(block.encode()).hexdigest() == expected["data_sha256"]
    assert block.cid == expected["ipld_cid"]


def test_merkle_roots_are_those_of_rfc_6962_trees(vectors: Any) -> None:
    for entry in vectors["merkle_roots"]:
        assert merkle_root_of([cid_to_bytes(cid) for cid in entry["cids"]]) == entry["root"]
