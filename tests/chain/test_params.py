"""Networks' constants and their genesis."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from chain import params, work
from chain.encoding import encode
from chain.errors import InvalidEncoding
from chain.keys import Key
from chain.params import DEVELOPMENT, NETWORKS, Genesis
from chain.schema import to_object

A, B = sorted(Key(bytes([n]) * 32).address for n in (1, 2))
GENESIS = Genesis("development", 1_700_000_000_000, (B, A), ((A, 5), (B, 7)), "for tests")


def test_a_genesis_comes_back_from_bytes_and_from_its_file() -> None:
    assert Genesis.from_bytes(GENESIS.to_bytes()) == GENESIS
    assert Genesis.from_json(GENESIS.to_json()) == GENESIS
    assert '"note": "for tests"' in GENESIS.to_json()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"network": "Development"}, "network"),
        ({"time": -1}, "time"),
        ({"validators": []}, "validators"),
        ({"validators": [A, A]}, "validators"),
        ({"validators": [f"0x{n:040x}" for n in range(22)]}, "validators"),
        ({"balances": [[A, 0]]}, "balances[0].[1]"),
        ({"balances": [[B, 1], [A, 1]]}, "balances"),
        ({"balances": [[A, 1], [A, 1]]}, "balances"),
        ({"balances": [[A, 2**62], [B, 2**62]]}, "balances"),
        ({"note": "x" * 1001}, "note"),
        ({"more": 1}, ""),
    ],
)
def test_a_malformed_genesis_is_refused(change: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidEncoding) as refusal:
        Genesis.from_bytes(encode(to_object(GENESIS) | change))
    assert refusal.value.where.replace("][", "].[") == where


def test_a_genesis_with_unsorted_balances_is_not_written() -> None:
    wrong = dataclasses.replace(GENESIS, balances=GENESIS.balances[::-1])
    for write in (wrong.to_bytes, wrong.to_json):
        with pytest.raises(InvalidEncoding, match="sorted by address"):
            write()


def test_networks_are_named_and_their_target_is_valid() -> None:
    for name, network in NETWORKS.items():
        assert network.name == name
        assert work.work_of(network.initial_target) > 0
        assert network.max_block_bytes > network.largest_transaction
        if network.target_interval_ms:
            assert work.target_of(network.initial_target) <= work.target_of(network.easiest_target)
            assert network.difficulty_window > 0
    assert DEVELOPMENT.transaction_limit("vote_model") == DEVELOPMENT.max_vote_bytes
    assert DEVELOPMENT.transaction_limit("transfer") == DEVELOPMENT.max_transaction_bytes


def test_every_constant_is_documented() -> None:
    lines = Path(params.__file__).read_text().splitlines()
    for field in dataclasses.fields(params.Params):
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {field.name}: "))
        assert lines[at + 1].startswith('    """'), field.name
