"""The signed envelope: who says what on which network until when.

An unsigned body is the DAG-CBOR map {kind, sender, genesis, salt, expires, payload}; its CID is the
transaction's id. The signed node {body, signature} is one IPLD block with a CID of its own, which the Merkle
root is over. What the key signs is the SHA-256 digest of the body's bytes, as an EIP-191 personal message
(chain/keys.py).

There are no nonces: a random salt makes equal intentions distinct, the state keeps ids until they expire, and
every kind is idempotent by its natural key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from chain import schema
from chain.encoding import cid_of, cid_of_digest, read_raw, shown, write_raw
from chain.errors import (
    Expired,
    ExpiresTooLate,
    InvalidEncoding,
    InvalidField,
    InvalidSignature,
    TransactionTooLarge,
    WrongNetwork,
)
from chain.keys import Key, recover, recover_all
from chain.params import Params
from chain.payload_types import Payload
from chain.payloads import (
    PAYLOADS,
    AdmitValidator,
    Attest,
    CancelJob,
    ClaimPartition,
    OpenJob,
    RegisterDataset,
    RegisterModel,
    ReportFailure,
    ReportMisconduct,
    SignedCheckpoint,
    SignedVote,
    Stake,
    SubmitAggregate,
    SubmitUpdate,
    Transfer,
    Unstake,
)
from chain.records import assembled
from chain.schema import Address, Cid, Hash, Range, Text
from chain.vote_payloads import VoteCheckpoint, VoteModel

__all__ = [
    "PAYLOADS", "AdmitValidator", "Attest", "Body", "CancelJob", "ClaimPartition", "OpenJob", "Payload",
    "RegisterDataset",
    "RegisterModel", "ReportFailure", "ReportMisconduct", "Signed", "SignedCheckpoint", "SignedVote", "Stake",
    "SubmitAggregate", "SubmitUpdate", "Transfer", "Unstake", "VoteCheckpoint", "VoteModel", "body_of",
    "check_envelope", "find_signers", "sign",
]  # fmt: skip

_SIGNATURE = re.compile(r"[0-9a-f]{130}")
BEFORE_BODY = b"\xa2\x64body"
"""What an encoded transaction begins with; then comes the body."""
_BEFORE_SIGNATURE = b"\x69signature\x78\x82"
"""What comes between body and signature."""
_SIGNATURE_BYTES = 130
"""The signature's digits, with which the bytes end."""


@dataclass(frozen=True)
class _Envelope:
    """The body's fields, with the payload as plain objects, since what it may be depends on the kind."""

    kind: str
    sender: Address
    genesis: Hash
    salt: Annotated[str, Text(32, 32, r"[0-9a-f]{32}", "a salt: 32 lowercase hexadecimal digits")]
    expires: Annotated[int, Range(0)]
    payload: Any


@dataclass(frozen=True)
class Body:
    """What is signed."""

    kind: str
    """A key of PAYLOADS, the payload's class's `kind`."""
    sender: Address
    genesis: Hash
    """Id of the genesis block: the network it is meant for."""
    salt: str
    """16 random bytes in hexadecimal."""
    expires: int
    """A block includes it only while its time (ms) is below this. Ignored for vote_checkpoint (0)."""
    payload: Payload

    def to_bytes(self) -> bytes:
        """Canonical DAG-CBOR. Raises InvalidEncoding for a field that breaks its annotation."""
        return write_raw(_write_body(self))

    @classmethod
    def from_object(cls, obj: object) -> Body:
        """From a plain object (links as Link). Raises InvalidEncoding."""
        return _read_body(obj)

    @cached_property
    def id(self) -> Cid:
        """The transaction's id: the CID of the body's bytes."""
        return Cid(cid_of(self.to_bytes()))


@dataclass(frozen=True)
class Signed:
    """A body and a signature of 130 hexadecimal digits; whether it is the sender's, `verify` says."""

    body: Body
    signature: str

    @cached_property
    def body_data(self) -> bytes:
        """The unsigned body's bytes, which the id and the signature are over."""
        data = self.__dict__.get("data")
        return self.body.to_bytes() if data is None else _parts(data)[0]

    @cached_property
    def data(self) -> bytes:
        """The signed node's bytes: DAG-CBOR of {body, signature}."""
        return BEFORE_BODY + self.body_data + _BEFORE_SIGNATURE + self.signature.encode()

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the unsigned body: what is signed, and what the id is made of."""
        return hashlib.sha256(self.body_data).digest()

    @cached_property
    def id(self) -> Cid:
        """The transaction's id: the CID of the unsigned body, whatever its signature."""
        return Cid(cid_of_digest(self.digest))

    @cached_property
    def cid(self) -> Cid:
        """The CID of the signed node."""
        return Cid(cid_of(self.data))

    @property
    def signer(self) -> Address:
        """The address whose key made the signature (computed once). Raises InvalidSignature."""
        found: Address | None = self.__dict__.get("signer")
        if found is None:
            found = self.__dict__["signer"] = recover(self.digest, self.signature)
        return found

    @property
    def sender(self) -> Address:
        """Who the body says sends it."""
        return self.body.sender

    @property
    def payload(self) -> Payload:
        return self.body.payload

    def verify(self) -> None:
        """Raises InvalidSignature unless the sender signed the body."""
        sender = self.body.sender
        if self.signer != sender:
            raise InvalidSignature(f"a signature by the sender {sender}", f"one by {self.signer}", "signature")
        self.__dict__["signer"] = sender  # one object for both

    def to_object(self) -> dict[str, Any]:
        """As a plain object with its CIDs as Link, for DAG-JSON."""
        body = self.body
        return {
            "body": {
                **{name: getattr(body, name) for name in ("kind", "sender", "genesis", "salt", "expires")},
                "payload": schema.to_object(body.payload),
            },
            "signature": self.signature,
        }

    @classmethod
    def decode(cls, data: bytes, limit: int | None = None) -> Signed:
        """From the signed node's bytes. Raises InvalidEncoding, or InvalidSignature for a malformed one.

        `limit` bounds the bytes, without one that of the roomiest kind on the development network.
        """
        limit = Params("").largest_transaction if limit is None else limit
        data = bytes(data)
        signed = _read_quickly(data, limit)
        if signed is None:
            signed = cls.from_object(read_raw(data, limit))
            signed.__dict__["data"] = data
        return signed

    @classmethod
    def from_object(cls, obj: object) -> Signed:
        """From a plain object (links as Link, or as read_raw yields them). Raises as decode does."""
        if type(obj) is not dict or obj.keys() != {"body", "signature"}:
            raise InvalidEncoding("a signed transaction: a map of body and signature", _keys(obj))
        signature = obj["signature"]
        if type(signature) is not str or not _SIGNATURE.fullmatch(signature):
            raise InvalidSignature("130 lowercase hexadecimal digits", shown(signature), "signature")
        try:
            return cls(_read_body(obj["body"]), signature)
        except InvalidEncoding as error:
            error.inside("body")
            raise


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """The body's bytes and the signature's, of a signed node's."""
    return data[len(BEFORE_BODY) : -_SIGNATURE_BYTES - len(_BEFORE_SIGNATURE)], data[-_SIGNATURE_BYTES:]


def _read_quickly(data: bytes, limit: int) -> Signed | None:
    """A transaction whose bytes are a body's between what is always around it; None where that is not around it.

    Canonical bytes of the body, inside of these, are the canonical bytes of the whole: nothing need be read twice.
    What is amiss around it, the slow way says. Raises InvalidEncoding for the body.
    """
    if not data.startswith(BEFORE_BODY) or len(data) > limit:
        return None
    inside, ending = _parts(data)
    if not data.startswith(_BEFORE_SIGNATURE, len(BEFORE_BODY) + len(inside)):
        return None
    try:
        signature = ending.decode("ascii")
        if not _SIGNATURE.fullmatch(signature):
            return None
    except UnicodeDecodeError:
        return None
    try:
        body = _read_body(read_raw(inside, limit))
    except InvalidEncoding as error:  # what is around it fits, so the whole cannot be one either: it is not read again
        error.inside("body")
        raise
    digest = hashlib.sha256(inside).digest()
    return assembled(
        Signed,
        {
            "body": body,
            "signature": signature,
            "data": data,
            "digest": digest,
            "id": cid_of_digest(digest),
            # What comes later has its place already: a dict that grows is made twice.
            "signer": None,
            "passed_by": None,
            "passed_at": None,
        },
    )


def body_of(payload: Payload, sender: Address, genesis: Hash, salt: str, expires: int) -> Body:
    """The body for a payload, its kind filled in."""
    return Body(payload.kind, sender, genesis, salt, expires, payload)


def sign(body: Body, key: Key) -> Signed:
    """Sign a body with its sender's key.

    Raises InvalidEncoding for a malformed body, InvalidSignature for another sender's key.
    """
    if key.address != body.sender:
        raise InvalidSignature(f"the key of the sender {body.sender}", f"that of {key.address}", "sender")
    data = body.to_bytes()
    digest = hashlib.sha256(data).digest()
    signed = Signed(body, key.sign(digest))
    signed.__dict__.update(body_data=data, digest=digest)
    return signed


def find_signers(transactions: Iterable[Signed]) -> None:
    """Recover who signed, of many faster than of each in its turn. `verify` tells which of them cannot be."""
    unknown = [signed for signed in transactions if signed.__dict__.get("signer") is None]
    found = recover_all([(signed.digest, signed.signature) for signed in unknown])
    for signed, signer in zip(unknown, found, strict=True):
        signed.__dict__["signer"] = signer


def check_envelope(signed: Signed, params: Params, genesis: Hash, now: int) -> None:
    """All rules that need no state, the costly one last.

    `genesis`: the network's genesis block id. `now`: the time (ms) of the block that includes it, or would.
    Raises TransactionTooLarge, WrongNetwork, InvalidField, Expired, ExpiresTooLate, InvalidSignature.
    """
    body = signed.body
    known = signed.__dict__
    if known.get("passed_by") is params and body.genesis == genesis:  # as it is, it passes; time may have
        if known["passed_at"] != now:
            _check_expiry(body, params, now)
        return
    limit = params.transaction_limit(body.kind)
    if len(signed.data) > limit:
        raise TransactionTooLarge(f"at most {limit} bytes for {body.kind}", str(len(signed.data)))
    if body.genesis != genesis:
        raise WrongNetwork(f"the genesis {genesis}", body.genesis, "body.genesis")
    try:
        body.payload.check(params)
    except InvalidField as error:
        error.inside("body.payload")
        raise
    _check_expiry(body, params, now)
    signed.verify()
    known["passed_at"], known["passed_by"] = now, params  # in this order: other threads may look


def _check_expiry(body: Body, params: Params, now: int) -> None:
    if isinstance(body.payload, VoteCheckpoint):
        return  # a vote that came late still counts: finality must not depend on clocks
    if body.expires <= now:
        raise Expired(f"an expiry after {now}", str(body.expires), "body.expires")
    if body.expires > now + params.max_expiry_ms:
        raise ExpiresTooLate(
            f"an expiry of at most {now + params.max_expiry_ms}", str(body.expires), "body.expires"
        )


def _read_body(obj: object) -> Body:
    values = schema.read_values(_Envelope, obj)
    kind = PAYLOADS.get(values["kind"])
    if kind is None:
        raise InvalidEncoding(f"one of {', '.join(PAYLOADS)}", shown(values["kind"]), "kind")
    values["kind"] = kind.kind  # the one object for all
    try:
        values["payload"] = schema.read(kind, values["payload"])
    except InvalidEncoding as error:
        error.inside("payload")
        raise
    return assembled(Body, values)


def _write_body(body: Body) -> dict[str, Any]:
    if PAYLOADS.get(body.kind) is not type(body.payload):
        raise InvalidEncoding(f"the payload of {shown(body.kind)}", type(body.payload).__name__, "payload")
    try:
        payload = schema.write(body.payload)
    except InvalidEncoding as error:
        error.inside("payload")
        raise
    envelope = _Envelope(body.kind, body.sender, body.genesis, body.salt, body.expires, payload)
    return schema.write(envelope)  # type: ignore[no-any-return]  # a dataclass is always written as a map


def _keys(obj: object) -> str:
    return f"the keys {', '.join(map(shown, list(obj)[:8]))}" if isinstance(obj, dict) else shown(obj)
