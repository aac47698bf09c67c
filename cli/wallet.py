"""`assay wallet`: make, list, look at and use wallets."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from chain.state import Account
from chain.transactions import Payload, Stake, Transfer, Unstake
from chain.wallets import Wallets
from cli import targets
from cli.output import emit, json_option, table
from runtime.settings import DataFolder


@click.group()
def wallet() -> None:
    """Make, list and use wallets (keys in DATA/wallets)."""


@wallet.command()
@click.argument("name")
@targets.wallets_option
@json_option
def new(name: str, data: str, as_json: bool) -> None:
    """Make a wallet: a new key under a name.

    \b
    assay wallet new alice
    """
    address = Wallets(DataFolder(data).wallets).create(name).address
    emit({"name": name, "address": address}, as_json, lambda: f"{name}  {address}")


@wallet.command(name="list")
@targets.wallets_option
@json_option
def list_(data: str, as_json: bool) -> None:
    """List the wallets of the data folder.

    \b
    assay wallet list
    """
    found = Wallets(DataFolder(data).wallets).addresses()
    rows = list(found.items())
    human = table(("name", "address"), rows, f"no wallets in {data}; `assay wallet new` makes one")
    emit([{"name": n, "address": a} for n, a in rows], as_json, lambda: human)


@wallet.command()
@click.argument("who")
@targets.data_option
@targets.node_option
@json_option
def balance(who: str, data: str, node: str | None, as_json: bool) -> None:
    """Show what a wallet, or an address, owns.

    \b
    assay wallet balance alice
    assay wallet balance 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf
    """
    address = targets.address(data, who)
    client = targets.node(data, node)
    account, escrowed = client.account(address), client.escrowed(address)
    document = {
        "address": address,
        "balance": account.balance,
        "stake": account.stake,
        "unbonding": [{"amount": amount, "release": _time(until)} for amount, until in account.unbonding],
        "escrowed": escrowed,
    }
    emit(document, as_json, lambda: "\n".join(_owned(address, account, escrowed)))


@wallet.command()
@click.argument("sender")
@click.argument("recipient")
@click.argument("amount", type=click.IntRange(min=1))
@targets.data_option
@targets.node_option
@json_option
def send(sender: str, recipient: str, amount: int, data: str, node: str | None, as_json: bool) -> None:
    """Send AMOUNT from wallet SENDER to a wallet or an address; waits until it is in a block.

    \b
    assay wallet send coordinator alice 5000
    """
    client = targets.node(data, node)
    key = Wallets(DataFolder(data).wallets).load(sender)
    transaction = client.send(Transfer(recipient=targets.address(data, recipient), amount=amount), key)
    answer = client.wait_transaction(transaction)
    emit(answer, as_json, lambda: f"sent in block {answer['height']}: transaction {transaction}")


@wallet.command()
@click.argument("name")
@click.argument("amount", type=click.IntRange(min=1))
@targets.data_option
@targets.node_option
@json_option
def stake(name: str, amount: int, data: str, node: str | None, as_json: bool) -> None:
    """Lock AMOUNT of wallet NAME's balance; where stake votes, an admitted validator's vote weighs by it.

    \b
    assay wallet stake validator-1 5000
    """
    _change(Stake(amount), name, data, node, as_json, "staked")


@wallet.command()
@click.argument("name")
@click.argument("amount", type=click.IntRange(min=1))
@targets.data_option
@targets.node_option
@json_option
def unstake(name: str, amount: int, data: str, node: str | None, as_json: bool) -> None:
    """Give up AMOUNT of wallet NAME's stake; it is free after a delay, and can be slashed until then.

    \b
    assay wallet unstake validator-1 5000
    """
    _change(Unstake(amount), name, data, node, as_json, "given up")


def _change(payload: Payload, name: str, data: str, node: str | None, as_json: bool, word: str) -> None:
    client = targets.node(data, node)
    key = Wallets(DataFolder(data).wallets).load(name)
    transaction = client.send(payload, key)
    answer = client.wait_transaction(transaction)
    account, escrowed = client.account(key.address), client.escrowed(key.address)
    emit(
        answer,
        as_json,
        lambda: "\n".join([f"{word} in block {answer['height']}", *_owned(key.address, account, escrowed)]),
    )


def _owned(address: str, account: Account, escrowed: int) -> list[str]:
    """What an account owns, a line each; the locked parts only where there are any."""
    lines = [f"{address}  {account.balance}"]
    lines += [f"  staked             {account.stake}"] if account.stake else []
    lines += [f"  free from {_time(until)}  {amount}" for amount, until in account.unbonding]
    lines += [f"  held by open jobs  {escrowed}"] if escrowed else []
    return lines


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
