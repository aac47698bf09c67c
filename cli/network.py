"""`assay network`: the beginning of a network that several organisations run together."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click

from chain.blockchain import Blockchain
from chain.params import CONSORTIUM, NETWORKS, Genesis, Params
from chain.schema import Address
from chain.wallets import Wallets
from cli import founding
from cli.instructions import Member, places, steps, told
from cli.output import emit, json_option
from runtime.files import atomic_write
from runtime.settings import DataFolder

#: Where the printed commands have the nodes listen: the first one of each machine.
FIRST_PORT = 7001
GENESIS = "genesis.json"
#: What a data folder has whose node or validator has run: a chain, votes, the mark beside the key that voted.
_USED = ("node/chain.sqlite", "*/checkpoints.json", "wallets/.*.voted")


class Beginning(NamedTuple):
    """What a network begins with; an address is None where a key is to be made here."""

    params: Params
    validators: dict[str, Address | None]
    balances: dict[str, int]
    note: str


@click.group()
def network() -> None:
    """Make the genesis of a network of several organisations."""


@network.command()
@click.option("--preset", type=click.Choice(list(NETWORKS)), help=f"The network's rules [default: {CONSORTIUM.name}].")
@click.option("--validator", "named", multiple=True, metavar="NAME=ADDRESS", help="A first validator; once for each.")
@click.option("--validators", "count", type=click.IntRange(1), help="Make so many wallets, each in its own folder.")
@click.option("--balance", "balances", multiple=True, metavar="WHO=AMOUNT", help="What WHO owns; once for each.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="[NAME=]HOST",
    help="Where the validators' nodes are reached, or one of them; for the commands that are printed.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=FIRST_PORT, show_default=True, help="Their first port.")
@click.option("--note", help="Anything; tells this network from others.")
@click.option("--out", default="assay-network", show_default=True, metavar="DIR", help="Where to write it.")
@click.option("--force", is_flag=True, help="Replace a genesis that no node has begun with; keys stay.")
@json_option
def init(
    preset: str | None,
    named: tuple[str, ...],
    count: int | None,
    balances: tuple[str, ...],
    hosts: tuple[str, ...],
    port: int,
    note: str | None,
    out: str,
    force: bool,
    as_json: bool,
) -> None:
    """Make a network's genesis file, and say who runs what.

    Asks for what it needs, unless --validator or --validators say who votes first. In a `consortium` each organisation
    has one vote, and nobody needs coins.

    \b
    assay network init
    assay network init --validator a=0x7e5f4552091a69125d5dfcb7b8c2659029395bdf --validator b=0x2b5ad5c4...
    assay network init --validators 4 --note "a trial on one machine" --out trial
    assay network init --validators 2 --host validator-1=a.example --host validator-2=b.example
    """
    folder = Path(out)
    path = folder / GENESIS
    _unused(folder)
    if path.exists() and not force:
        raise click.ClickException(
            f"{path} exists: a network begins once. Name another folder with --out, or replace it with --force"
        )
    if named or count is not None:
        params = NETWORKS[preset or CONSORTIUM.name]
        validators = founding.first_validators(named, count or 0, params)
        amounts = founding.first_balances(balances, validators)
        beginning = Beginning(params, validators, amounts, founding.note(note or ""))
    else:
        beginning = _asked(preset, balances, note)
    params = beginning.params
    where = places({name: address is None for name, address in beginning.validators.items()}, hosts, port)
    folder.mkdir(parents=True, exist_ok=True)
    members = [_member(folder, name, address) for name, address in beginning.validators.items()]
    genesis = _genesis(beginning, {member.name: member.address for member in members})
    try:
        chain = Blockchain(genesis, params)
    except ValueError as error:
        raise click.UsageError(f"{error} (--balance NAME=AMOUNT)" if params.power == "stake" else str(error)) from error
    text = genesis.to_json().encode()
    atomic_write(path, text)
    for member in members:
        if member.folder is not None:
            atomic_write(DataFolder(member.folder).genesis, text)
    commands = steps(members, path, where, port, params)
    emit(
        {
            "network": params.name,
            "genesis": chain.genesis_id,
            "file": str(path),
            "validators": [
                {"name": each.name, "address": each.address, "data": str(each.folder) if each.folder else None}
                for each in members
            ],
            "next": commands,
        },
        as_json,
        lambda: "\n".join(told(chain, genesis, path, members, commands)),
    )


def _unused(folder: Path) -> None:
    """Refuse where nodes or validators have run: their chains and votes are the old network's, and without its genesis
    the nodes do not start again; a key that has voted there stays silent on another network."""
    used = [each for form in _USED for each in sorted([*folder.glob(form), *folder.glob(f"*/{form}")])]
    if used:
        raise click.ClickException(
            f"{used[0]} is of a network that has begun, and {folder} has its genesis and keys: name another folder "
            "with --out. (To give that network up, set the whole folder aside: a key that has voted votes on no other.)"
        )


def _asked(preset: str | None, balances: tuple[str, ...], note: str | None) -> Beginning:
    """What it takes, from answers; one that cannot be is asked for again."""
    try:
        preset = preset or click.prompt("Rules", type=click.Choice(list(NETWORKS)), default=CONSORTIUM.name)
        params = NETWORKS[preset]
        validators = click.prompt(
            "First validators: NAME=ADDRESS, with commas; or how many wallets to make here",
            default="4",
            value_proc=lambda text: founding.answered_validators(text, params),
        )
        if params.minimum_balance and not balances:
            amounts = click.prompt(
                "Balances: NAME=AMOUNT or ADDRESS=AMOUNT, with commas",
                default="",
                show_default=False,
                value_proc=lambda text: founding.answered_balances(text, validators, params),
            )
        else:
            amounts = founding.first_balances(balances, validators)
        if note is not None:
            founding.note(note)
        else:
            about = "A note, to tell this network from others"
            note = click.prompt(about, default="", show_default=False, value_proc=founding.note)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError(
            "expected answers, and nobody is there to give them: say who votes first with --validators COUNT, or "
            "with --validator NAME=ADDRESS for each"
        ) from None
    return Beginning(params, validators, amounts, note)


def _member(folder: Path, name: str, address: Address | None) -> Member:
    if address is not None:
        return Member(name, address, None)
    data = folder / name
    return Member(name, Wallets(DataFolder(data).wallets).ensure(name).address, data)


def _genesis(beginning: Beginning, addresses: Mapping[str, Address]) -> Genesis:
    """Raises click.UsageError."""
    balances: dict[Address, int] = {}
    for who, amount in beginning.balances.items():
        owner = addresses.get(who, Address(who))
        if owner in balances:
            raise click.UsageError(f"--balance {who}={amount}: expected one for each account, found another before it")
        balances[owner] = amount
    return Genesis(
        beginning.params.name,
        int(time.time() * 1000),
        tuple(sorted(addresses.values())),
        tuple(sorted(balances.items())),
        beginning.note,
    )
