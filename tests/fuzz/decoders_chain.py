"""The ledger's decoders: encodings, transactions of every kind, blocks, genesis, certificates, snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from chain import keys, schema
from chain.admission import Proposal, SignatureOf
from chain.attestations import Statement, attest
from chain.blocks import VERSION, Block, Commitment, Header, check_body, merkle_root
from chain.certificates import Certificate, certify, verify
from chain.encoding import (
    Link,
    cid_to_bytes,
    cid_to_text,
    decode,
    encode,
    from_json,
    guard_json_depth,
    read_raw,
    to_json,
    write_raw,
)
from chain.errors import ChainError, InvalidEncoding, InvalidSignature
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address, Hash
from chain.state import State, ValidatorSet, genesis_state
from chain.state.tables import TABLES
from chain.transactions import Body, Signed, body_of, check_envelope, sign
from tests.chain.conftest import ALICE, BOB, CID, EXAMPLES, GENESIS, NOW, OTHER, RAW_CID, SALT
from tests.fuzz.decoders import Decoder, as_text
from tests.fuzz.mutate import Example

LIMIT = 1 << 20
VALIDATORS = tuple(sorted((Key(bytes((n,)) * 32) for n in range(1, 5)), key=lambda key: key.address))
NETWORK = Genesis(
    "development", NOW, tuple(key.address for key in VALIDATORS),
    tuple(sorted((key.address, 1_000_000) for key in (ALICE, BOB))), "to be spoiled",
)  # fmt: skip


def signed(payload: Any) -> Signed:
    """A transaction by Alice."""
    expires = 0 if payload.kind == "vote_checkpoint" else NOW + 60_000
    return sign(body_of(payload, ALICE.address, GENESIS, SALT, expires), ALICE)


SIGNED = [signed(payload) for payload in EXAMPLES]


def block(transactions: Sequence[Signed]) -> Block:
    """A block that its header belongs to; nobody has worked for it."""
    commitment = Commitment(7, Address(ALICE.address), Hash("ef" * 32))
    root = merkle_root(commitment, tuple(transactions))
    return Block(Header(VERSION, OTHER, root, NOW, DEVELOPMENT.initial_target, 0), commitment, tuple(transactions))


def cbor(*values: bytes) -> tuple[Example, ...]:
    return tuple(Example(value, "cbor") for value in values)


def json(*values: bytes | str) -> tuple[Example, ...]:
    return tuple(Example(value.encode() if isinstance(value, str) else value, "json") for value in values)


def afresh(found: Signed) -> bytes:
    """A transaction's bytes, from its fields alone."""
    return Signed(found.body, found.signature).data


def certificate() -> Certificate:
    """A certificate that holds."""
    validators = ValidatorSet(3, tuple(Address(key.address) for key in VALIDATORS), (1,) * 4)
    statement = Statement(GENESIS, 3, "iris", 2, RAW_CID, CID, "accuracy", 966_667)
    return certify(statement, validators, [(key.address, attest(statement, key)) for key in VALIDATORS[:3]])


def proposal() -> Proposal:
    """A change of the set that two have signed."""
    change = Proposal("assay-admission-1", GENESIS, 3, Address("0x" + "ab" * 20), None, 1, ())
    digest = change._payload().digest(change.genesis)
    signatures = (SignatureOf(key.address, key.sign(digest)) for key in VALIDATORS[:2])
    return dataclasses.replace(change, signatures=tuple(signatures))


def _verified(data: bytes) -> Any:
    found = Certificate.from_json(data)
    verify(found, ValidatorSet(3, tuple(Address(key.address) for key in VALIDATORS), (1,) * 4), genesis=GENESIS)
    return found


def _checked(data: bytes) -> Any:
    found = Signed.decode(data)
    check_envelope(found, DEVELOPMENT, GENESIS, NOW)
    return found


def _block(data: bytes) -> Block:
    found = Block.decode(data, LIMIT)
    check_body(found, DEVELOPMENT, GENESIS, 7)
    return found


def _recovered(data: bytes) -> Any:
    keys.recover_hash(data[:32].ljust(32, b"\0"), as_text(data[32:]))
    return keys.recover(data[:32].ljust(32, b"\0"), as_text(data[32:]))


def _snapshot(data: bytes) -> State:
    found = State.from_snapshot(data)
    for table in TABLES:
        list(found.tables[table].items())
    return found


def _kind(found: Signed, data: bytes) -> bool:
    return afresh(found) == data and Signed.from_object(from_json(to_json(found.to_object()))) == found


def decoders() -> list[Decoder]:
    whole = block(SIGNED)
    links = encode({"link": Link(CID), "list": [1, -1, "text", None, True], "map": {"a": {"b": []}}})
    values = cbor(links, SIGNED[3].data, schema.to_bytes(NETWORK))
    proof = certificate()
    signature = ALICE.sign(bytes(32))
    return [
        Decoder("chain/encoding.read_raw", lambda data: read_raw(data, LIMIT), values, (InvalidEncoding,),
                ("chain.encoding.read_raw",), lambda value, data: write_raw(value) == data),
        Decoder("chain/encoding.decode", lambda data: decode(data, LIMIT), values, (InvalidEncoding,),
                ("chain.encoding.decode",), lambda value, data: encode(value) == data),
        Decoder("chain/encoding.from_json", lambda data: from_json(data, LIMIT),
                json(to_json(decode(links, LIMIT)), to_json(SIGNED[3].to_object())), (InvalidEncoding,),
                ("chain.encoding.from_json", "chain.encoding.guard_json_depth"),
                lambda value, data: decode(encode(value), LIMIT) == value),
        Decoder("chain/encoding.guard_json_depth", lambda data: guard_json_depth(as_text(data)),
                json(to_json(SIGNED[3].to_object())), (InvalidEncoding,), ("chain.encoding.guard_json_depth",)),
        Decoder("chain/encoding.cid_to_bytes", lambda data: cid_to_bytes(as_text(data)),
                (Example(CID.encode()), Example(RAW_CID.encode())), (InvalidEncoding,),
                ("chain.encoding.cid_to_bytes",), lambda value, data: cid_to_text(value).encode() == data),
        Decoder("chain/encoding.cid_to_text", cid_to_text, (Example(cid_to_bytes(CID)), Example(cid_to_bytes(RAW_CID))),
                (InvalidEncoding,), ("chain.encoding.cid_to_text", "chain.encoding.is_cid"),
                lambda value, data: cid_to_bytes(value) == data),
        Decoder("chain/keys.recover", _recovered, (Example(bytes(32) + signature.encode()),), (InvalidSignature,),
                ("chain.keys.recover", "chain.keys.recover_hash")),
        *(
            Decoder(f"chain/transactions.{one.body.kind}", Signed.decode, cbor(one.data),
                    (InvalidEncoding, InvalidSignature),
                    ("chain.transactions.Signed.decode", "chain.transactions.Signed.from_object", "chain.schema.read"),
                    _kind)
            for one in SIGNED
        ),
        Decoder("chain/transactions.body", lambda data: Body.from_object(decode(data, LIMIT)),
                cbor(*(one.body_data for one in SIGNED)), (InvalidEncoding,), ("chain.transactions.Body.from_object",),
                lambda value, data: value.to_bytes() == data),
        Decoder("chain/transactions.json", lambda data: Signed.from_object(from_json(data)),
                json(*(to_json(one.to_object()) for one in SIGNED)), (InvalidEncoding, InvalidSignature),
                ("chain.transactions.Signed.from_object",),
                lambda value, data: Signed.decode(value.data) == value),
        Decoder("chain/transactions.check_envelope", _checked,
                cbor(*(one.data for one in SIGNED if one.body.kind not in ("attest", "admit_validator",
                                                                          "report_misconduct"))),
                (ChainError,), ("chain.transactions.check_envelope", "chain.transactions.Signed.verify")),
        Decoder("chain/blocks.Header", Header.unpack, (Example(whole.header.pack()),), (InvalidEncoding,),
                ("chain.blocks.Header.unpack",), lambda value, data: value.pack() == data),
        Decoder("chain/blocks.Block", lambda data: Block.decode(data, LIMIT),
                cbor(whole.data, block(SIGNED[:2]).data, block(()).data), (InvalidEncoding, InvalidSignature),
                ("chain.blocks.Block.decode",), _whole),
        Decoder("chain/blocks.check_body", _block, cbor(block(SIGNED[:1]).data, block(()).data), (ChainError,),
                ("chain.blocks.check_body",)),
        Decoder("chain/params.Genesis", Genesis.from_bytes, cbor(NETWORK.to_bytes()), (InvalidEncoding,),
                ("chain.params.Genesis.from_bytes", "chain.schema.from_bytes"),
                lambda value, data: value.to_bytes() == data),
        Decoder("chain/params.Genesis.json", Genesis.from_json, json(NETWORK.to_json()), (InvalidEncoding,),
                ("chain.params.Genesis.from_json", "chain.schema.from_object"),
                lambda value, data: Genesis.from_json(value.to_json()) == value),
        Decoder("chain/certificates.Certificate", Certificate.from_bytes, cbor(proof.to_bytes()), (InvalidEncoding,),
                ("chain.certificates.Certificate.from_bytes",), lambda value, data: value.to_bytes() == data),
        Decoder("chain/certificates.json", Certificate.from_json, json(proof.to_json()), (InvalidEncoding,),
                ("chain.certificates.Certificate.from_json", "chain.certificates.Certificate.from_document"),
                lambda value, data: Certificate.from_json(value.to_json()) == value),
        Decoder("chain/certificates.verify", _verified, json(proof.to_json()), (ChainError,),
                ("chain.certificates.verify", "chain.attestations.signer")),
        Decoder("chain/admission.Proposal", Proposal.from_json, json(proposal().to_json()),
                (InvalidEncoding, InvalidSignature), ("chain.admission.Proposal.from_json",),
                lambda value, data: Proposal.from_json(value.to_json()) == value),
        Decoder("chain/state.from_snapshot", _snapshot, cbor(genesis_state(NETWORK, DEVELOPMENT).snapshot()),
                (InvalidEncoding,), ("chain.state.tables.State.from_snapshot",)),
    ]  # fmt: skip


def _whole(found: Block, data: bytes) -> bool:
    anew = Block(found.header, found.commitment, tuple(Signed(one.body, one.signature) for one in found.transactions))
    return anew.data == data
