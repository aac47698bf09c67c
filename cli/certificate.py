"""`assay certificate verify`: check an adoption certificate with nothing but the validators one knows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from chain.blockchain import Blockchain
from chain.certificates import MAX_BYTES, Certificate, CertificateRefused, verify
from chain.errors import ChainError, InvalidEncoding
from chain.params import NETWORKS, Genesis
from chain.schema import Hash, from_object
from chain.state import ValidatorSet
from cli.addresses import is_address, read_address
from cli.output import emit, json_option, micro
from cli.reading import read_genesis, reading, whole
from runtime import strict_json

_HASH = re.compile(r"[0-9a-f]{64}")
_COLUMNS = ("serial", "members", "weights")


@click.group()
def certificate() -> None:
    """Check adoption certificates, offline."""


@certificate.command(name="verify")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--validators",
    "known",
    required=True,
    metavar="FILE|ADDRESS,...",
    help="The validators you know: a genesis file, a file with one or several sets, or addresses (weight 1 each).",
)
@click.option("--newest-serial", type=click.IntRange(0), help="Refuse sets with a lower number than this.")
@click.option("--genesis", metavar="FILE|HASH", help="The network you ask about, by its genesis file or hash.")
@json_option
def verify_(path: str, known: str, newest_serial: int | None, genesis: str | None, as_json: bool) -> None:
    """Check that a quorum of the validators you know vouches for what FILE says.

    Talks to nobody. A certificate by a set older than the newest one known is refused. Exit status: 0 it holds,
    1 it does not, and why.

    \b
    assay certificate verify iris.json --validators genesis.json
    assay certificate verify iris.json --validators 0x7e5f...,0x2b5a...,0x6813... --newest-serial 2
    """
    try:
        found = _read(Path(path))
        sets, network = _known(known, found)
        network = _network(genesis) if genesis is not None else network
        verify(found, sets, newest_serial, network)
    except (ChainError, ValueError) as error:
        if as_json:
            code = error.code if isinstance(error, ChainError) else "invalid_input"
            click.echo(json.dumps({"valid": False, "code": code, "reason": str(error)}, indent=2))
        else:
            word = "REFUSED" if isinstance(error, CertificateRefused) else "Error"
            click.echo(f"{word}: {error}", err=True)
        sys.exit(1)
    emit(
        {"valid": True, **{name: value for name, value in found.to_document().items() if name != "format"}},
        as_json,
        lambda: "\n".join([*describe(found), f"VALID: a quorum of set {found.statement.set} as you know it vouches"]),
    )


def describe(found: Certificate) -> list[str]:
    """A certificate in lines for people; it need not be valid."""
    said, weights = found.statement, {member.address: member.weight for member in found.members}
    weight = sum(weights.get(address, 0) for address in {one.validator for one in found.attestations})
    return [
        f"model       {said.model} version {said.version}",
        f"candidate   {said.candidate}",
        f"dataset     {said.dataset}",
        f"score       {micro(said.score)} ({said.metric})",
        f"network     {said.genesis}",
        f"set         {said.set}, weight {weight} of {sum(weights.values())} attests:",
        *(f"            {one.validator} (weight {weights.get(one.validator, 0)})" for one in found.attestations),
    ]


def version_of(which: str) -> tuple[str, int | None]:
    """NAME or NAME@NUMBER. Raises click.UsageError."""
    name, at, number = which.partition("@")
    if not name or (at and not number.isdecimal()):
        raise click.UsageError(f"{which!r}: expected NAME or NAME@NUMBER, for example iris@1")
    return name, int(number) if number else None


def _read(path: Path) -> Certificate:
    """Either form of a certificate."""
    data = whole(path, MAX_BYTES)
    with reading(path, "an adoption certificate, in JSON or DAG-CBOR"):
        return Certificate.from_json(data) if data.lstrip()[:1] == b"{" else Certificate.from_bytes(data)


def _known(text: str, found: Certificate) -> tuple[list[ValidatorSet], Hash | None]:
    """The sets that the user knows and, where a genesis file says so, their network."""
    addresses = [part.strip() for part in text.split(",")]
    if all(is_address(address) for address in addresses):
        members = tuple(sorted(read_address(address) for address in addresses))
        if len(set(members)) != len(members):
            raise ValueError("--validators names an address twice: name each validator once")
        # Addresses have no set's number; the members have to be these, whatever the number.
        return [ValidatorSet(found.statement.set, members, (1,) * len(members))], None
    path = Path(text)
    if not path.is_file():
        raise ValueError(f"--validators {text}: expected a file, or addresses (0x and 40 hex digits) with commas")
    try:
        document = strict_json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON with validators, found something else ({error})") from error
    if isinstance(document, dict) and "balances" in document:
        chain = _chain_of(read_genesis(path))
        return [chain.head.state.validators], chain.genesis_id
    try:
        sets = [_set(each) for each in (document if isinstance(document, list) else [document])]
    except (InvalidEncoding, ValueError) as error:
        raise ValueError(
            f"{path}: expected a genesis file, or one or a list of "
            '{"serial": 0, "validators": [{"address": "0x...", "weight": 1}]} (as GET /api/v1/validators answers, or '
            f"`assay validators list --json` prints): {error.said if isinstance(error, InvalidEncoding) else error}"
        ) from error
    return sets, None


def _set(document: Any) -> ValidatorSet:
    """A set as the coordinator shows it, as a node does, alone, or as what is in force among a network's members.

    Raises ValueError and InvalidEncoding.
    """
    value = document.get("value", document) if isinstance(document, dict) else document
    if isinstance(value, dict) and isinstance(value.get("validators"), dict):
        value = value["validators"]
    elif isinstance(value, dict) and "validators" in value:
        value = _columns(value)
    if not (isinstance(value, dict) and all(name in value for name in _COLUMNS)):
        raise ValueError(f"found {_kind(value)}")
    found = from_object(ValidatorSet, {name: value[name] for name in _COLUMNS})
    if len(found.members) != len(found.weights) or len(set(found.members)) != len(found.members):
        raise ValueError("expected each member once and a weight for each")
    if not found.members or min(found.weights) < 0:
        raise ValueError("expected at least one member, and no weight below 0")
    return found


def _columns(value: dict[str, Any]) -> dict[str, Any]:
    """The same with a list of members and one of weights."""
    rows = value["validators"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"validators: expected a list of objects, found {_kind(rows)}")
    if not all("address" in row and "weight" in row for row in rows):
        raise ValueError("validators: expected an address and a weight of each")
    if "serial" not in value:
        raise ValueError("serial: expected the number of the set, found nothing")
    return {
        "serial": value["serial"],
        "members": [row["address"] for row in rows],
        "weights": [row["weight"] for row in rows],
    }


def _kind(value: Any) -> str:
    """What a part of a document is, for people."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(value)) or 'nothing in it'}"[:200]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return json.dumps(value)[:60]


def _network(text: str) -> Hash:
    if _HASH.fullmatch(text):
        return Hash(text)
    path = Path(text)
    if not path.is_file():
        raise ValueError(f"--genesis {text}: expected a genesis file or a hash of 64 lowercase hexadecimal digits")
    return _chain_of(read_genesis(path)).genesis_id


def _chain_of(genesis: Genesis) -> Blockchain:
    """The chain of a genesis file, at its beginning."""
    if genesis.network not in NETWORKS:
        raise ValueError(f"network {genesis.network!r} is unknown: expected one of {', '.join(NETWORKS)}")
    return Blockchain(genesis, NETWORKS[genesis.network])
