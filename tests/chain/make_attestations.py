"""Makes attestations.json with eth-account alone: EIP-712 typed data, their digests and signatures.

    python tests/chain/make_attestations.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data

SECRETS = [bytes([number]) * 32 for number in (1, 2, 3)]
GENESIS = "ab" * 32
RAW = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
NODE = "bafyreidic7b26rnleydscy7ov5orb7o23mdvnq5hgcujykprgk5z3wcc6m"
TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "salt", "type": "bytes32"},
    ],
    "Attestation": [
        {"name": "set", "type": "uint64"}, {"name": "model", "type": "string"}, {"name": "version", "type": "uint64"},
        {"name": "candidate", "type": "string"}, {"name": "dataset", "type": "string"},
        {"name": "metric", "type": "string"}, {"name": "score", "type": "int64"},
    ],
}  # fmt: skip
MESSAGES: list[dict[str, Any]] = [
    {"set": 0, "model": "iris", "version": 1, "candidate": RAW, "dataset": NODE, "metric": "accuracy",
     "score": 966_667},
    {"set": 7, "model": "a", "version": 2**53 - 1, "candidate": NODE, "dataset": RAW, "metric": "r2", "score": 0},
    {"set": 2**53 - 1, "model": "boston-ridge.v2_x", "version": 12, "candidate": RAW, "dataset": RAW,
     "metric": "neg_mean_squared_error", "score": -(2**63)},
    {"set": 1, "model": "m" * 64, "version": 3, "candidate": NODE, "dataset": NODE, "metric": "neg_log_loss",
     "score": 2**63 - 1},
]  # fmt: skip


def entry(genesis: str, message: dict[str, Any]) -> dict[str, Any]:
    domain = {"name": "Assay", "version": "1", "salt": f"0x{genesis}"}
    data = {"types": TYPES, "primaryType": "Attestation", "domain": domain, "message": message}
    signable = encode_typed_data(full_message=data)
    return {
        "typed_data": data,
        "domain_hash": signable.header.hex(),
        "struct_hash": signable.body.hex(),
        "digest": _hash_eip191_message(signable).hex(),
        "signatures": {
            Account.from_key(secret).address.lower(): Account.sign_message(signable, secret).signature.hex()
            for secret in SECRETS
        },
    }


if __name__ == "__main__":
    entries = [entry(GENESIS, message) for message in MESSAGES] + [entry("01" * 32, MESSAGES[0])]
    vectors = {"note": "Made with eth-account alone.", "secrets": [s.hex() for s in SECRETS], "attestations": entries}
    (Path(__file__).parent / "attestations.json").write_text(json.dumps(vectors, indent=1) + "\n")
