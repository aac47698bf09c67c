"""The Solidity of docs/certificates.md, compiled and run, against the vectors made with eth-account.

Needs node and the npm packages ``solc`` and ``@ethereumjs/evm``; see docs/developing.md.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from eth_abi import decode, encode
from eth_utils import keccak

from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
TYPES = (
    "bytes32", "uint64", "string", "uint64", "string", "string", "string", "int64", "uint8", "bytes32", "bytes32",
)  # fmt: skip
CONTRACT = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Check {
    function check(
        bytes32 genesis, uint64 set, string memory model, uint64 version, string memory candidate,
        string memory dataset, string memory metric, int64 score, uint8 v, bytes32 r, bytes32 s
    ) public pure returns (bytes32, address) {
        %s
        return (digest, validator);
    }
}
"""


def node(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], input=text, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    if shutil.which("node") is None:
        missing("no node on PATH")
    found = node("-e", "require.resolve('solc'); require.resolve('@ethereumjs/evm')")
    if found.returncode:
        missing("node finds no solc and @ethereumjs/evm: npm install them, and name their folder in NODE_PATH")


def test_a_contract_computes_our_digest_and_recovers_the_validator() -> None:
    text = (ROOT / "docs" / "certificates.md").read_text()
    snippet = re.search(r"```solidity\n(.*?)```", text, re.DOTALL)
    assert snippet is not None
    vectors = json.loads((ROOT / "tests" / "chain" / "attestations.json").read_text())["attestations"]
    calls, expected = [], []
    for vector in vectors:
        data = vector["typed_data"]
        message, salt = data["message"], bytes.fromhex(data["domain"]["salt"][2:])
        statement = [message[each["name"]] for each in data["types"]["Attestation"]]
        for signer, written in vector["signatures"].items():
            signature = bytes.fromhex(written)
            values = [salt, *statement, signature[64], signature[:32], signature[32:64]]
            calls.append("0x" + (keccak(text=f"check({','.join(TYPES)})")[:4] + encode(TYPES, values)).hex())
            expected.append((vector["digest"], signer))
    script = str(ROOT / "tests" / "chain" / "attestation.js")
    ran = node(script, text=json.dumps({"source": CONTRACT % snippet[1], "calls": calls}))
    assert ran.returncode == 0, ran.stderr
    answers = [decode(("bytes32", "address"), bytes.fromhex(each[2:])) for each in json.loads(ran.stdout)]
    assert [(digest.hex(), signer) for digest, signer in answers] == expected
