"""What the members of a new network run, and what they are told with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from chain.blockchain import Blockchain
from chain.params import Genesis, Params
from chain.schema import Address

LOOPBACK = "127.0.0.1"
STORE = "/ip4/127.0.0.1/tcp/5001"
BROKER = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True)
class Member:
    """One of the first validators; `folder` is the data folder that was made for it, None for a key of its own."""

    name: str
    address: Address
    folder: Path | None


def places(made: Mapping[str, bool], hosts: Sequence[str], first: int) -> dict[str, tuple[str, int]]:
    """Host and port of the nodes that are known, by the names of their validators: whose host was named, and where none
    was, those of keys made here (`made`), which are on this machine.

    Nodes of one host get ports one after the other. Raises click.UsageError.
    """
    everybody = LOOPBACK if not hosts else None
    apart: dict[str, str] = {}
    found: dict[str, tuple[str, int]] = {}
    used: Counter[str] = Counter()
    for text in hosts:
        name, equals, host = text.rpartition("=")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", host) or (equals and name not in made):
            raise click.UsageError(
                f"--host {text}: expected HOST, or NAME=HOST with the name of a validator: {', '.join(sorted(made))}"
            )
        if equals:
            apart[name] = host
        else:
            everybody = host
    for name, here in made.items():
        where = apart.get(name) or everybody
        if where is None or not (hosts or here):
            continue
        found[name] = (where, first + used[where])
        used[where] += 1
        if found[name][1] > 65535:
            raise click.UsageError(f"--port {first}: expected a port that leaves room for one of each validator's node")
    return found


def steps(
    members: Sequence[Member], path: Path, places: Mapping[str, tuple[str, int]], first: int, params: Params
) -> list[str]:
    """The commands to run: as far as folders, names and hosts are known; what is not is in capitals, to fill in."""
    urls = {name: f"http://{host}:{port}" for name, (host, port) in places.items()}
    far = [url for name, url in urls.items() if places[name][0] != LOOPBACK]
    content = str(path.parent / "store") if all(host == LOOPBACK for host, _ in places.values()) else STORE
    another = [f"http://ANOTHER:{first}"] if len(members) > 1 else []
    commands: list[str] = []
    services: list[tuple[str, str]] = []

    def member(folder: Path | None, name: str, port: int, listens: str, peers: list[str], store: str) -> None:
        data = f"--data {folder or 'DATA'}"
        genesis = "" if folder else f" --genesis {path}"
        named = "".join(f" --peers {url}" for url in peers or another)
        commands.append(f"assay node {data}{genesis} --port {port}{listens}{named}")
        here = f"{data} --node http://{LOOPBACK}:{port} --store {store}"
        commands.append(f"assay validator {here} --name {name}")
        services.append((here, name))

    elsewhere = f" --host 0.0.0.0 --advertise http://HERE:{first}"
    for each in members:
        if each.name in places:
            host, port = places[each.name]
            listens = "" if host == LOOPBACK else f" --host 0.0.0.0 --advertise {urls[each.name]}"
            peers = [url for name, url in urls.items() if name != each.name]
            member(each.folder, each.name, port, listens, peers, content)
        elif each.folder is not None:
            member(each.folder, each.name, first, elsewhere, far, STORE)
    if any(each.name not in places and each.folder is None for each in members):
        member(None, "NAME", first, elsewhere, far, STORE)
    here, name = services[0]
    signs = f" --wallet {name}" if params.minimum_balance else ""
    return [*commands, *(f"assay {each} {here} --broker {BROKER}{signs}" for each in ("coordinator", "worker"))]


def told(
    chain: Blockchain, genesis: Genesis, path: Path, members: Sequence[Member], commands: Sequence[str]
) -> list[str]:
    """The network and its commands in lines for people."""
    params, quorum = chain.params, chain.head.state.validators.quorum()
    lines = [
        f"{path}: network {params.name}, genesis {chain.genesis_id}",
        *(f"  {each.name}  {each.address}" + (f"  in {each.folder}" if each.folder else "") for each in members),
        f"A quorum has a weight of {quorum}"
        + ("; each validator has one vote." if params.power == "member" else "; votes weigh by stake."),
    ]
    able = [
        who for who, amount in genesis.balances if amount >= params.minimum_balance and who not in genesis.validators
    ]
    if params.minimum_balance and not able:
        lines.append(
            f"Nobody but the validators can send anything: others need {params.minimum_balance} "
            "(--balance WHO=AMOUNT). Coordinator and worker sign with a validator's wallet."
        )
    lines += ["", f"Give {path} to every organisation, and compare the genesis with them by another way."]
    if any(each.folder is None for each in members):
        lines.append("Each one keeps its key in DATA/wallets/NAME.json.")
    open_ = [text for word, text in _FILL.items() if any(f"//{word}:" in command for command in commands)]
    if open_:
        lines.append(f"To fill in: {'; '.join(open_)}.")
    lines += ["Each one runs a node and a validator; who trains, workers; who opens jobs, a coordinator:", ""]
    lines += [f"  {command}" for command in commands]
    look = next((f" --data {each.folder}" for each in members if each.folder), "")
    lines += [
        "",
        "--store: a Kubo that reaches those of the others; on one machine a folder that all share will do. --broker: a "
        "Redis.",
        f"Look: assay validators list{look}, assay chain status{look}.",
        "Change the validators: assay validators admit, remove.",
    ]
    return lines


_FILL = {"HERE": "HERE, the host of the node that is started", "ANOTHER": "ANOTHER, the host of another member's node"}
