"""Files and arguments that somebody hands to a command or a service, and what lies in its own folder."""

from __future__ import annotations

import json as plain_json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click

from chain.errors import ChainError, WalletError
from chain.keys import Key
from chain.schema import to_object
from chain.vote_payloads import VoteCheckpoint
from chain.voting import VoteFile, VoteFileError
from chain.wallets import Wallets, open_keystore
from cli import certificate as certificates
from cli.addresses import read_address
from cli.estimators import parse_estimator, parse_rows, parse_value
from coordinator import broker
from coordinator.strict_json import StrictJSON
from runtime import strict_json
from runtime.settings import DataFolder, EndpointsError
from tests.fuzz.decoders import Decoder, as_text
from tests.fuzz.decoders_chain import ALICE, GENESIS, NETWORK, OTHER, certificate, json
from tests.fuzz.mutate import Example


@cache
def folder() -> Path:
    """A place in memory where there is one, for decoders that take a path."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="assay-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))


def in_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """`read` of a file with these bytes."""

    def decode(data: bytes) -> Any:
        path = folder() / name
        path.write_bytes(data)
        return read(path)

    return decode


def _keystores() -> tuple[Example, ...]:
    import eth_keyfile

    secret, password = ALICE.secret, b"password"
    light = [
        eth_keyfile.create_keyfile_json(secret, password, kdf="pbkdf2", iterations=1),
        eth_keyfile.create_keyfile_json(secret, password, kdf="scrypt", iterations=2),
    ]
    return json(*(plain_json.dumps(one) for one in light))


def _address(path: Path) -> Any:
    return Wallets(path.parent).address(path.stem)


def _vote_file(path: Path) -> Any:
    with VoteFile(path, ALICE.address) as file:
        return file.last


def _endpoints(path: Path) -> Any:
    return DataFolder(path.parent).read_endpoints()


def _certificate(path: Path) -> Any:
    return certificates._read(path)


def _known(path: Path) -> Any:
    return certificates._known(str(path), certificate())


@cache
def _flask_json() -> StrictJSON:
    from flask import Flask

    return StrictJSON(Flask("fuzz"))


def decoders() -> list[Decoder]:
    cast = to_object(VoteCheckpoint(GENESIS, 0, OTHER, 3))
    vote = {"format": 2, "validator": ALICE.address, "genesis": GENESIS, "vote": cast}
    documents = json(b'{"class":"sklearn.linear_model.Ridge","params":{"alpha":0.5,"list":[1,null,true,"x"]}}', b"[1]")
    sets = {"serial": 3, "validators": [{"address": ALICE.address, "weight": 1}, {"address": "0x" + "1" * 40,
                                                                                  "weight": 2}]}  # fmt: skip
    alone = {"serial": 3, "members": [ALICE.address], "weights": [1]}
    state, members = {"value": alone}, {"validators": alone, "pending": None}
    checked = b"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
    proof = certificate()
    beat = {"address": ALICE.address, "name": "one", "environment": "e" * 64, "since": 1_700_000_000_000}
    return [
        Decoder("files/strict_json.loads", strict_json.loads, documents, (ValueError,), ("runtime.strict_json.loads",),
                lambda value, data: strict_json.loads(plain_json.dumps(value).replace("Infinity", "1e999")) == value),
        Decoder("files/strict_json.depth_of", lambda data: strict_json.depth_of(as_text(data)), documents, (),
                ("runtime.strict_json.depth_of",)),
        Decoder("files/coordinator.StrictJSON", lambda data: _flask_json().loads(data), documents, (ValueError,),
                ("coordinator.strict_json.StrictJSON.loads",)),
        Decoder("files/wallets.open_keystore", in_file("key.json", lambda path: open_keystore(path, "password")),
                _keystores(), (WalletError,), ("chain.wallets.open_keystore", "chain.wallets.Wallets.load"),
                lambda value, data: isinstance(value, Key)),
        Decoder("files/wallets.address", in_file("wallet.json", _address), _keystores(), (WalletError,),
                ("chain.wallets.Wallets.load",)),
        Decoder("files/voting.VoteFile", in_file("votes.json", _vote_file),
                json(plain_json.dumps(vote), plain_json.dumps(vote | {"vote": None})), (VoteFileError,), ()),
        Decoder("files/settings.endpoints", in_file("endpoints.json", _endpoints),
                json(b'{"coordinator":"http://127.0.0.1:5000","node":"http://127.0.0.1:7001","broker":"redis://x"}'),
                (EndpointsError,), ("runtime.settings.DataFolder.read_endpoints",)),
        Decoder("files/certificate.file", in_file("certificate", _certificate),
                (*json(proof.to_json()), Example(proof.to_bytes(), "cbor")), (ChainError,),
                ("cli.certificate.verify_",)),
        Decoder("files/certificate.validators", in_file("validators.json", _known),
                json(NETWORK.to_json(), plain_json.dumps(sets), plain_json.dumps([sets, sets]),
                     plain_json.dumps(state), plain_json.dumps(members)),
                (ChainError, ValueError), ("cli.certificate.verify_",)),
        Decoder("files/addresses.read_address", lambda data: read_address(as_text(data)),
                (Example(checked), Example(checked.lower()), Example(checked.upper().replace(b"X", b"x"))),
                (ValueError,), ("cli.addresses.read_address",),
                lambda value, data: as_text(data).lower() == value == read_address(value)),
        Decoder("files/estimators.estimator", lambda data: parse_estimator(as_text(data), ()), documents[:1],
                (click.UsageError,), ("cli.estimators.parse_estimator",)),
        Decoder("files/estimators.param", lambda data: parse_estimator("Ridge", (as_text(data),)),
                (Example(b"alpha=0.5"), Example(b'x={"a":[1]}')), (click.UsageError,),
                ("cli.estimators.parse_estimator",)),
        Decoder("files/estimators.rows", lambda data: parse_rows((as_text(data),)),
                (*json(b'{"a":1.5,"b":"x"}', b"[1,2.5,null]"), Example(b"5.1,3.5,red"), Example(b"a=1,b=2")),
                (click.UsageError,), ("cli.estimators.parse_rows",)),
        Decoder("files/estimators.value", lambda data: parse_value(as_text(data)), documents, (),
                ("cli.estimators.parse_value",)),
        Decoder("files/broker.heartbeat", broker._worker, json(plain_json.dumps(beat)), (), ()),
    ]  # fmt: skip
