"""Makes vectors.json anew from the bodies in it, with other libraries than the chain's own.

For another kind of transaction append an entry {"body": {...}} (DAG-JSON) to `transactions`, then:

    python tests/chain/make_vectors.py
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import dag_cbor
from eth_account import Account
from eth_account.messages import encode_defunct
from multiformats import CID, multihash

VECTORS = Path(__file__).parent / "vectors.json"


def linked(value: Any) -> Any:
    """DAG-JSON's links as CIDs."""
    if isinstance(value, dict):
        return CID.decode(value["/"]) if set(value) == {"/"} else {key: linked(item) for key, item in value.items()}
    return [linked(item) for item in value] if isinstance(value, list) else value


def cid_of(data: bytes) -> CID:
    return CID("base32", 1, "dag-cbor", multihash.digest(data, "sha2-256"))


def root_of(cids: list[CID]) -> str:
    level = [hashlib.sha256(b"\x00" + bytes(cid)).digest() for cid in cids]
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0].hex()


def transaction(body: dict[str, Any], secret: bytes) -> dict[str, Any]:
    unsigned = dag_cbor.encode(linked(body))
    message = encode_defunct(primitive=hashlib.sha256(unsigned).digest())
    signature = Account.sign_message(message, secret).signature.hex().removeprefix("0x")
    signed = dag_cbor.encode({"body": linked(body), "signature": signature})
    return {
        "body": body,
        "unsigned": unsigned.hex(),
        "id": str(cid_of(unsigned)),
        "signature": signature,
        "signed": signed.hex(),
        "cid": str(cid_of(signed)),
    }


def block(given: dict[str, Any], transactions: list[dict[str, Any]]) -> dict[str, Any]:
    header, commitment = dict(given["header"]), given["commitment"]
    links = [CID.decode(entry["cid"]) for entry in transactions]
    header["root"] = root_of([cid_of(dag_cbor.encode(commitment)), *links])
    exponent, mantissa = header["target"] >> 24, header["target"] & 0xFFFFFF
    target = mantissa << 8 * (exponent - 3)
    for nonce in range(1 << 32):
        packed = struct.pack(
            "<I32s32sQIQ", header["version"], bytes.fromhex(header["parent"]), bytes.fromhex(header["root"]),
            header["time"], header["target"], nonce,
        )  # fmt: skip
        identifier = hashlib.sha256(hashlib.sha256(packed).digest()).digest()
        if int.from_bytes(identifier, "big") <= target:
            break
    signed = [dag_cbor.decode(bytes.fromhex(entry["signed"])) for entry in transactions]
    whole = {"header": packed.hex(), "commitment": commitment, "transactions": signed}
    return {
        "header": {**header, "nonce": nonce},
        "packed": packed.hex(),
        "id": identifier.hex(),
        "commitment": commitment,
        "data_sha256": hashlib.sha256(dag_cbor.encode(whole)).hexdigest(),
        "ipld_cid": str(cid_of(dag_cbor.encode({**whole, "transactions": links}))),
    }


def make(given: dict[str, Any]) -> dict[str, Any]:
    """All vectors, from bodies, block and lists of CIDs in the old ones."""
    transactions = [transaction(entry["body"], bytes.fromhex(given["secret"])) for entry in given["transactions"]]
    return {
        "note": given["note"],
        "secret": given["secret"],
        "address": given["address"],
        "transactions": transactions,
        "block": block(given["block"], transactions),
        "merkle_roots": [
            {"cids": entry["cids"], "root": root_of([CID.decode(cid) for cid in entry["cids"]])}
            for entry in given["merkle_roots"]
        ],
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make(json.loads(VECTORS.read_text())), indent=1) + "\n")
