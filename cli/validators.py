"""`assay validators`: who votes, and changing it by a file that a quorum of members signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.admission import MAX_BYTES, AdmissionRefused, Proposal, propose
from chain.client import NodeRefused
from chain.keys import Key
from chain.schema import Address, to_object
from chain.state import ValidatorSet
from chain.state.membership import Membership
from chain.wallets import Wallets
from cli import targets
from cli.output import emit, json_option, table
from cli.reading import reading, whole
from runtime.files import atomic_write
from runtime.settings import DataFolder

out_option = click.option("--out", metavar="FILE", help="[default: admit-ADDRESS.json or remove-ADDRESS.json]")
force_option = click.option("--force", is_flag=True, help="Replace what is there.")
sign_option = click.option("--wallet", help="A member's wallet that signs it at once.")


@click.group()
def validators() -> None:
    """Show the validators; admit and remove them by a quorum's signatures."""


@validators.command(name="list")
@targets.data_option
@targets.node_option
@json_option
def list_(data: str, node: str | None, as_json: bool) -> None:
    """Show the set in force, the change under way, and who is admitted.

    \b
    assay validators list
    """
    found = targets.node(data, node).membership()
    emit(to_object(found), as_json, lambda: "\n".join(_describe(found)))


@validators.command()
@click.argument("who")
@click.option("--replacing", metavar="WHO", help="A validator that leaves with the same change.")
@click.option("--power", type=click.IntRange(1, 2**63 - 1), help="Where stake votes: the most its stake may weigh.")
@out_option
@sign_option
@force_option
@targets.data_option
@targets.node_option
@json_option
def admit(
    who: str,
    replacing: str | None,
    power: int | None,
    out: str | None,
    wallet: str | None,
    force: bool,
    data: str,
    node: str | None,
    as_json: bool,
) -> None:
    """Write the file with which members admit WHO (an address, or a wallet's name) as a validator.

    \b
    assay validators admit 0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb --wallet validator-1 --out admit.json
    assay validators sign admit.json --wallet validator-2
    assay validators submit admit.json
    """
    leaves = None if replacing is None else targets.address(data, replacing)
    _write(targets.address(data, who), leaves, power, out, wallet, force, data, node, as_json)


@validators.command()
@click.argument("who")
@out_option
@sign_option
@force_option
@targets.data_option
@targets.node_option
@json_option
def remove(
    who: str, out: str | None, wallet: str | None, force: bool, data: str, node: str | None, as_json: bool
) -> None:
    """Write the file with which members remove WHO from the validators.

    \b
    assay validators remove validator-3 --out removal.json
    """
    _write(None, targets.address(data, who), None, out, wallet, force, data, node, as_json)


@validators.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--wallet", required=True, help="The member's wallet.")
@targets.wallets_option
@json_option
def sign(path: str, wallet: str, data: str, as_json: bool) -> None:
    """Add a member's signature to FILE, after showing what is signed. Talks to nobody.

    \b
    assay validators sign removal.json --wallet validator-1
    """
    proposal = _read(path)
    key = Wallets(DataFolder(data).wallets).load(wallet)
    proposal = proposal.signed_by(key)
    atomic_write(Path(path), proposal.to_json().encode())
    emit(
        {**_document(proposal), "signer": key.address, "file": path},
        as_json,
        lambda: "\n".join(
            [
                proposal.summary,
                f"network     {proposal.genesis}",
                f"signed by   {', '.join(proposal.signers)}",
                "Not checked here: whether they are members (`assay validators list`); others' do not count.",
            ]
        ),
    )


@validators.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--wallet", help="Whose transaction it is: anybody's [default: a validator's of the folder, or any].")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the change is in a block.")
@targets.data_option
@targets.node_option
@json_option
def submit(paths: tuple[str, ...], wallet: str | None, wait: bool, data: str, node: str | None, as_json: bool) -> None:
    """Send a change that a quorum has signed; several FILEs are copies of one change, signed apart.

    \b
    assay validators submit admit.json
    assay validators submit from-a.json from-b.json from-c.json
    """
    proposal = _read(paths[0])
    for path in paths[1:]:
        proposal = proposal.merged(_read(path))
    client = targets.node(data, node)
    payload = proposal.transaction(client.genesis_hash(), client.membership())
    try:
        transaction = client.send(payload, _sender(data, wallet, client.validators()))
    except NodeRefused as refused:
        poor = refused.code == "insufficient_balance"
        advice = " Or name a wallet that may send with --wallet: a validator's" if poor else ""
        raise click.ClickException(f"{refused}{advice}") from refused
    if not wait:
        emit({"transaction": transaction}, as_json, lambda: f"sent: transaction {transaction}")
        return
    answer = client.wait_transaction(transaction)
    found = client.membership()
    emit(
        {**answer, "pending": to_object(found)["pending"]},
        as_json,
        lambda: "\n".join([f"in block {answer['height']}: transaction {transaction}", *_pending(found)]),
    )


def _sender(data: str, wallet: str | None, members: ValidatorSet) -> Key:
    """Whose transaction it is. A validator may always send; others may need a balance."""
    wallets = Wallets(DataFolder(data).wallets)
    if wallet is None:
        found = wallets.addresses()
        wallet = next((name for name, address in found.items() if members.weight(address)), next(iter(found), None))
        if wallet is None:
            raise click.UsageError(
                f"no wallet in {wallets.folder} to send it with: name another folder with --data, or make one with "
                "`assay wallet new`"
            )
    return wallets.load(wallet)


def _write(
    add: Address | None,
    leaves: Address | None,
    power: int | None,
    out: str | None,
    wallet: str | None,
    force: bool,
    data: str,
    node: str | None,
    as_json: bool,
) -> None:
    client = targets.node(data, node)
    members = client.membership()
    proposal = propose(client.genesis_hash(), members, add, leaves, power)
    if wallet is not None:
        key = Wallets(DataFolder(data).wallets).load(wallet)
        if not members.validators.weight(key.address):
            raise AdmissionRefused(f"a member of set {members.validators.serial}", f"{key.address}, wallet {wallet}")
        proposal = proposal.signed_by(key)
    path = Path(out or f"{'admit' if add else 'remove'}-{add or leaves}.json")
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists: name another file with --out, or replace it with --force")
    atomic_write(path, proposal.to_json().encode())
    current = members.validators
    emit(
        {**_document(proposal), "file": str(path), "quorum": {"weight": current.quorum(), "of": current.total}},
        as_json,
        lambda: "\n".join(
            [
                f"{path}: {proposal.summary}",
                f"Needs signatures with a weight of {current.quorum()} of {current.total}. To sign: "
                f"{', '.join(proposal.missing(current))}",
                f"  assay validators sign {path} --wallet NAME",
                f"then anybody sends it: assay validators submit {path}",
            ]
        ),
    )


def _read(path: str) -> Proposal:
    with reading(path, "a change as `assay validators admit` or `remove` wrote it, and members signed it"):
        return Proposal.from_json(whole(path, MAX_BYTES))


def _document(proposal: Proposal) -> dict[str, Any]:
    return {
        "genesis": proposal.genesis,
        "serial": proposal.serial,
        "add": proposal.add,
        "remove": proposal.remove,
        "power": proposal.power,
        "signers": list(proposal.signers),
    }


def _describe(found: Membership) -> list[str]:
    current = found.validators
    rows: list[tuple[object, ...]] = [
        (each.address, current.weight(each.address), each.stake, each.power, each.height)
        for each in found.admitted
    ]
    rows += [(who, current.weight(who), "-", "removed", "-") for who in current.members if who not in _names(found)]
    decides = "each member has one vote" if found.power == "member" else "stake votes, up to the cap"
    return [
        f"set {current.serial}: {len(current.members)} validators, weight {current.total}, quorum {current.quorum()}; "
        f"{decides}",
        *_pending(found),
        table(("validator", "weight", "stake", "cap", "since block"), rows),
    ]


def _names(found: Membership) -> set[Address]:
    return {each.address for each in found.admitted}


def _pending(found: Membership) -> list[str]:
    pending = found.pending
    if pending is None:
        return []
    begins = "decides jointly with the old one until block" if pending.phase == "joint" else "begins once block"
    return [f"set {pending.set.serial} {begins} {pending.height} is final: {_size(pending.set)}"]


def _size(validators: ValidatorSet) -> str:
    return f"{len(validators.members)} validators, weight {validators.total}, quorum {validators.quorum()}"
