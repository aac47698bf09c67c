"""`assay network`: the beginning of a network that several organisations run together."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from chain.blockchain import Blockchain
from chain.params import CONSORTIUM, NETWORKS, Genesis, Params
from chain.schema import Address
from chain.wallets import Wallets
from cli.output import emit, json_option
from runtime.files import atomic_write
from runtime.settings import DataFolder

#: Where the printed commands have the nodes listen: the first one of each machine.
FIRST_PORT = 7001
LOOPBACK = "127.0.0.1"
STORE = "/ip4/127.0.0.1/tcp/5001"
BROKER = "redis://127.0.0.1:6379/0"
GENESIS = "genesis.json"


@dataclass(frozen=True)
class Member:
    """One of the first validators; `folder` is the data folder that was made for it, None for a key of its own."""

    name: str
    address: Address
    folder: Path | None


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
@click.option("--force", is_flag=True, help="Replace what is there; keys stay.")
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
    if not named and count is None:
        try:
            preset, named, count, balances, note = _ask(preset, balances, note)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise click.UsageError(
                "expected answers, and nobody is there to give them: say who votes first with --validators COUNT, or "
                "with --validator NAME=ADDRESS for each"
            ) from None
    params = NETWORKS[preset or CONSORTIUM.name]
    folder = Path(out)
    path = folder / GENESIS
    if path.exists() and not force:
        raise click.ClickException(
            f"{path} exists: a network begins once. Name another folder with --out, or replace it with --force"
        )
    given = [_named(text) for text in named]
    made = [(f"validator-{number}", folder / f"validator-{number}") for number in range(1, (count or 0) + 1)]
    if len({name for name, _ in [*given, *made]}) < len(given) + len(made):
        raise click.UsageError("--validator: expected different names")
    amounts: dict[str, str] = {}
    for who, amount in (_pair(text, "--balance", "WHO=AMOUNT") for text in balances):
        if who in amounts:
            raise click.UsageError(f"--balance {who}={amount}: expected one for each account, found another before it")
        amounts[who] = amount
    total = len(given) + len(made)
    if total > params.max_validators:
        raise click.UsageError(f"expected at most {params.max_validators} validators, found {total}")
    places = _places([*((name, None) for name, _ in given), *made], hosts, port)
    folder.mkdir(parents=True, exist_ok=True)
    members = [
        *(Member(name, address, None) for name, address in given),
        *(Member(name, Wallets(DataFolder(data).wallets).ensure(name).address, data) for name, data in made),
    ]
    genesis = _genesis(params, members, amounts, note or "")
    try:
        identity = Blockchain(genesis, params).genesis_id
    except ValueError as error:
        raise click.UsageError(f"{error} (--balance NAME=AMOUNT)" if params.power == "stake" else str(error)) from error
    text = genesis.to_json().encode()
    atomic_write(path, text)
    for member in members:
        if member.folder is not None:
            atomic_write(DataFolder(member.folder).genesis, text)
    steps = _steps(members, path, places, port)
    emit(
        {
            "network": params.name,
            "genesis": identity,
            "file": str(path),
            "validators": [
                {"name": each.name, "address": each.address, "data": str(each.folder) if each.folder else None}
                for each in members
            ],
            "next": steps,
        },
        as_json,
        lambda: "\n".join(_tell(params, genesis, identity, path, members, steps)),
    )


def _ask(
    preset: str | None, balances: tuple[str, ...], note: str | None
) -> tuple[str, tuple[str, ...], int | None, tuple[str, ...], str]:
    """The same from answers."""
    preset = preset or click.prompt("Rules", type=click.Choice(list(NETWORKS)), default=CONSORTIUM.name)
    who = click.prompt("First validators: NAME=ADDRESS, with commas; or how many wallets to make here", default="4")
    if NETWORKS[preset].minimum_balance and not balances:
        text = click.prompt("Balances: NAME=AMOUNT or ADDRESS=AMOUNT, with commas", default="", show_default=False)
        balances = tuple(part.strip() for part in text.split(",") if part.strip())
    if note is None:
        note = click.prompt("A note, to tell this network from others", default="", show_default=False)
    if who.strip().isdecimal() and int(who):
        return preset, (), int(who), balances, note
    return preset, tuple(part.strip() for part in who.split(",") if part.strip()), None, balances, note


def _named(text: str) -> tuple[str, Address]:
    name, address = _pair(text, "--validator", "NAME=ADDRESS")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise click.UsageError(f"--validator {text}: expected a name of a-z, 0-9, then also . _ -")
    return name, _address(address, text)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise click.UsageError(f"{option} {text}: expected {form}")
    return name.strip(), value.strip()


def _address(text: str, where: str) -> Address:
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{40}", text):
        raise click.UsageError(f"{where}: expected an address, 0x and 40 hexadecimal digits")
    return Address(text.lower())


def _genesis(params: Params, members: list[Member], amounts: dict[str, str], note: str) -> Genesis:
    """Raises click.UsageError."""
    names = {member.name: member.address for member in members}
    balances: dict[Address, int] = {}
    for who, text in amounts.items():
        owner = names[who] if who in names else _address(who, f"--balance {who}")
        if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or owner in balances:
            raise click.UsageError(f"--balance {who}={text}: expected an amount of at least 1, once for each account")
        balances[owner] = int(text)
    addresses = tuple(sorted(names.values()))
    if len(set(addresses)) < len(addresses):
        raise click.UsageError("--validator: expected different addresses, one key for each organisation")
    if sum(balances.values()) >= 2**63 or len(note) > 1000:
        raise click.UsageError("expected balances whose sum is below 2^63, and a note of at most 1000 characters")
    return Genesis(params.name, int(time.time() * 1000), addresses, tuple(sorted(balances.items())), note)


def _places(
    members: Sequence[tuple[str, Path | None]], hosts: tuple[str, ...], first: int
) -> dict[str, tuple[str, int]]:
    """Host and port of the nodes that are known, by the names of their validators: whose host was named, and where none
    was, those of folders made here (None: made elsewhere), which are on this machine.

    Nodes of one host get ports one after the other. Raises click.UsageError.
    """
    names = {name for name, _ in members}
    everybody = LOOPBACK if not hosts else None
    apart: dict[str, str] = {}
    places: dict[str, tuple[str, int]] = {}
    used: Counter[str] = Counter()
    for text in hosts:
        name, equals, host = text.rpartition("=")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", host) or (equals and name not in names):
            raise click.UsageError(
                f"--host {text}: expected HOST, or NAME=HOST with the name of a validator: {', '.join(sorted(names))}"
            )
        if equals:
            apart[name] = host
        else:
            everybody = host
    for name, folder in members:
        where = apart.get(name) or everybody
        if where is None or (not hosts and folder is None):
            continue
        places[name] = (where, first + used[where])
        used[where] += 1
        if places[name][1] > 65535:
            raise click.UsageError(f"--port {first}: expected a port that leaves room for one of each validator's node")
    return places


def _steps(members: list[Member], path: Path, places: dict[str, tuple[str, int]], first: int) -> list[str]:
    """The commands to run: as they stand for folders made here, with names to fill in for everybody else."""
    urls = {name: f"http://{host}:{port}" for name, (host, port) in places.items()}
    content = str(path.parent / "store") if all(host == LOOPBACK for host, _ in places.values()) else STORE
    steps, service = [], ""
    for member in members:
        if member.name not in places:
            continue
        host, port = places[member.name]
        where = f"--data {member.folder or 'DATA'}" + ("" if member.folder else f" --genesis {path}")
        peers = "".join(f" --peers {url}" for name, url in urls.items() if name != member.name)
        listens = "" if host == LOOPBACK else f" --host 0.0.0.0 --advertise {urls[member.name]}"
        steps.append(f"assay node {where} --port {port}{listens}{peers}")
        here = f"--data {member.folder or 'DATA'} --node http://{LOOPBACK}:{port} --store {content}"
        steps.append(f"assay validator {here} --name {member.name}")
        service = service or here
    if any(member.name not in places for member in members):
        steps += [
            f"assay node --data DATA --genesis {path} --port {first} --host 0.0.0.0 "
            f"--advertise http://HERE:{first} --peers http://ANOTHER:{first}",
            f"assay validator --data DATA --node http://{LOOPBACK}:{first} --store {STORE} --name NAME",
        ]
    service = service or f"--data DATA --node http://{LOOPBACK}:{first} --store {STORE}"
    return [*steps, *(f"assay {name} {service} --broker {BROKER}" for name in ("coordinator", "worker"))]


def _tell(
    params: Params, genesis: Genesis, identity: str, path: Path, members: list[Member], steps: list[str]
) -> list[str]:
    quorum = Blockchain(genesis, params).head.state.validators.quorum()
    apart = [member for member in members if member.folder is None]
    lines = [
        f"{path}: network {params.name}, genesis {identity}",
        *(f"  {each.name}  {each.address}" + (f"  in {each.folder}" if each.folder else "") for each in members),
        f"A quorum has a weight of {quorum}"
        + ("; each validator has one vote." if params.power == "member" else "; votes weigh by stake."),
    ]
    if params.minimum_balance and not genesis.balances:
        lines.append(
            f"Nobody but the validators can send anything: others need {params.minimum_balance} (--balance WHO=AMOUNT)."
        )
    lines += ["", f"Give {path} to every organisation, and compare the genesis with them by another way."]
    if apart:
        strange = "; HERE and ANOTHER: hosts of nodes" if any("HERE" in step for step in steps) else ""
        lines.append(f"Each one keeps its key in DATA/wallets/NAME.json{strange}.")
    lines += ["Each one runs a node and a validator; who trains, workers; who opens jobs, a coordinator:", ""]
    lines += [f"  {step}" for step in steps]
    look = next((f" --data {member.folder}" for member in members if member.folder), "")
    lines += [
        "",
        "--store: a Kubo that reaches those of the others; on one machine a folder that all share will do. --broker: a "
        "Redis.",
        f"Look: assay validators list{look}, assay chain status{look}.",
        "Change the validators: assay validators admit, remove.",
    ]
    return lines
