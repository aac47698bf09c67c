"""What a validator says of an adopted version to whoever is not on the chain: an EIP-712 attestation.

EIP-712 (https://eips.ethereum.org/EIPS/eip-712) makes it readable in any Ethereum wallet and checkable in a contract:

    EIP712Domain(string name,string version,bytes32 salt)    name "Assay", version "1", salt the genesis block's id
    Attestation(uint64 set,string model,uint64 version,string candidate,string dataset,string metric,int64 score)

    keccak256(0x1901 || hash of the domain || hash of the attestation)

The network stands in the domain, where EIP-712 wants what tells two uses of one key apart; as a salt and not as
chainId and verifyingContract, because an attestation is of no EVM chain and has to hold on every one. A contract
computes the domain's hash once. CIDs are signed as their text (version 1, base32).

Pure. What a quorum of attestations amounts to is in chain/certificates.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from chain.keccak import keccak256
from chain.keys import Key, recover_hash
from chain.payload_types import Name, Word
from chain.schema import Address, Cid, Hash, Range

#: RFC 8785 writes numbers as IEEE 754 doubles; what is counted stays below 2^53, so that it may be one.
Counted = Annotated[int, Range(0, 2**53 - 1)]

DOMAIN_TYPE = "EIP712Domain(string name,string version,bytes32 salt)"
TYPE = "Attestation(uint64 set,string model,uint64 version,string candidate,string dataset,string metric,int64 score)"
NAME = "Assay"
VERSION = "1"


@dataclass(frozen=True)
class Statement:
    """What is attested: under the validator set `set`, this candidate is version `version` of `model`, adopted for
    good with this score on its holdout."""

    genesis: Hash
    """Id of the genesis block: the network."""
    set: Counted
    """Serial number of the validator set that attests."""
    model: Name
    version: Annotated[int, Range(1, 2**53 - 1)]
    candidate: Cid
    """The model itself."""
    dataset: Cid
    """The data it was trained on."""
    metric: Word
    score: int
    """Millionths of the metric."""


def digest(statement: Statement) -> bytes:
    """The 32 bytes that EIP-712 has the key sign."""
    return keccak256(b"\x19\x01" + domain_hash(statement.genesis) + struct_hash(statement))


def attest(statement: Statement, key: Key) -> str:
    """The key's signature under the statement: 130 hexadecimal digits, as all signatures (chain/keys.py)."""
    return key.sign_hash(digest(statement))


def signer(statement: Statement, signature: str) -> Address:
    """Whose signature under the statement this is. Raises InvalidSignature.

    Any well-formed signature is somebody's: under another statement it is a stranger's. Compare the address.
    """
    return recover_hash(digest(statement), signature)


@lru_cache(maxsize=16)
def domain_hash(genesis: Hash) -> bytes:
    """EIP-712's domain separator of a network."""
    return keccak256(_text(DOMAIN_TYPE) + _text(NAME) + _text(VERSION) + bytes.fromhex(genesis))


def struct_hash(statement: Statement) -> bytes:
    """EIP-712's hashStruct: the type's hash and each member in 32 bytes, a text as its hash."""
    return keccak256(
        _text(TYPE)
        + _integer(statement.set)
        + _text(statement.model)
        + _integer(statement.version)
        + _text(statement.candidate)
        + _text(statement.dataset)
        + _text(statement.metric)
        + _integer(statement.score)
    )


def typed_data(statement: Statement) -> dict[str, Any]:
    """The same as the JSON document of `eth_signTypedData_v4`, for wallets and other libraries."""
    return {
        "types": {"EIP712Domain": _members(DOMAIN_TYPE), "Attestation": _members(TYPE)},
        "primaryType": "Attestation",
        "domain": {"name": NAME, "version": VERSION, "salt": f"0x{statement.genesis}"},
        "message": {
            "set": statement.set,
            "model": statement.model,
            "version": statement.version,
            "candidate": statement.candidate,
            "dataset": statement.dataset,
            "metric": statement.metric,
            "score": statement.score,
        },
    }


def _members(encoded: str) -> list[dict[str, str]]:
    pairs = (member.split(" ") for member in encoded[encoded.index("(") + 1 : -1].split(","))
    return [{"name": name, "type": kind} for kind, name in pairs]


@lru_cache(maxsize=1024)
def _text(text: str) -> bytes:
    return keccak256(text.encode())


def _integer(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=True)
