"""Ethereum's hash, by whichever library is there."""

from __future__ import annotations

import importlib
import sys

import pytest
from Crypto.Hash import keccak as reference
from hypothesis import given
from hypothesis import strategies as st

from chain import keccak


@given(st.binary(max_size=500))
def test_it_is_that_of_pycryptodome(data):
    assert keccak.keccak256(data) == reference.new(digest_bits=256, data=data).digest()


def test_known_digests():
    # https://eips.ethereum.org/EIPS/eip-55 and the yellow paper's hash of nothing
    assert keccak.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak.keccak256(b"\xff" * 136).hex() == reference.new(digest_bits=256, data=b"\xff" * 136).hexdigest()


def test_without_the_quick_library_the_other_serves(monkeypatch: pytest.MonkeyPatch):
    quick = keccak.keccak256(b"x")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sha3", None)
        assert importlib.reload(keccak).keccak256(b"x") == quick
    assert importlib.reload(keccak).keccak256(b"x") == quick
