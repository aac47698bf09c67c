"""`assay wallet`: make, list, look at and use wallets."""

from __future__ import annotations

import re

import click

from chain.schema import Address
from chain.transactions import Transfer
from chain.wallets import Wallets
from cli import targets
from cli.output import emit, json_option, table
from runtime.settings import DataFolder


@click.group()
def wallet() -> None:
    """Make, list and use wallets (keys in DATA/wallets)."""


@wallet.command()
@click.argument("name")
@targets.data_option
@json_option
def new(name: str, data: str, as_json: bool) -> None:
    """Make a wallet: a new key under a name."""
    address = Wallets(DataFolder(data).wallets).create(name).address
    emit({"name": name, "address": address}, as_json, lambda: f"{name}  {address}")


@wallet.command(name="list")
@targets.data_option
@json_option
def list_(data: str, as_json: bool) -> None:
    """List the wallets of the data folder."""
    found = Wallets(DataFolder(data).wallets).addresses()
    rows = list(found.items())
    emit([{"name": n, "address": a} for n, a in rows], as_json, lambda: table(("name", "address"), rows))


@wallet.command()
@click.argument("who")
@targets.data_option
@targets.node_option
@json_option
def balance(who: str, data: str, node: str | None, as_json: bool) -> None:
    """Show what a wallet, or an address, owns."""
    address = _address(data, who)
    amount = targets.node(data, node).account(address).balance
    emit({"address": address, "balance": amount}, as_json, lambda: f"{address}  {amount}")


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
    transaction = client.send(Transfer(recipient=_address(data, recipient), amount=amount), key)
    answer = client.wait_transaction(transaction)
    emit(answer, as_json, lambda: f"sent in block {answer['height']}: transaction {transaction}")


def _address(data: str, who: str) -> Address:
    """An address as it is, or that of a named wallet."""
    if not who.startswith("0x"):
        return Wallets(DataFolder(data).wallets).address(who)
    if not re.fullmatch("0x[0-9a-fA-F]{40}", who):
        raise click.UsageError(f"{who!r}: expected an address, 0x and 40 hexadecimal digits, or a wallet's name")
    return Address(who.lower())
