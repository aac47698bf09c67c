"""Which fleet a command talks to: the one it was told, the one whose folder it was told, or the usual one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chain.client import NodeClient
from chain.schema import Address
from chain.wallets import Wallets
from cli.fleet import Endpoints, read_endpoints
from coordinator.client import DEFAULT_URL, Client
from ipfs import open_store
from ipfs.store import ContentStore
from runtime.settings import DEFAULT, DataFolder, EndpointsError

F = TypeVar("F", bound=Callable[..., Any])

NODE_URL = "http://127.0.0.1:7001"

data_option = click.option(
    "--data", default=str(DEFAULT), show_default=True, help="Data folder of the fleet to talk to."
)
url_option = click.option("--url", envvar="ASSAY_URL", help="A coordinator's URL, instead of a data folder.")
node_option = click.option("--node", envvar="ASSAY_NODE", help="A node's URL, instead of a data folder.")
store_option = click.option(
    "--store", envvar="ASSAY_STORE", help="Kubo's address or a store's folder, instead of a data folder."
)


def coordinator(data: str, url: str | None) -> Client:
    """The coordinator at `url`, or of the fleet on `data`, or at the default address."""
    found = _endpoints(data)
    return Client(url or (found.coordinator if found else DEFAULT_URL))


def node(data: str, url: str | None) -> NodeClient:
    """The node at `url`, or of the fleet on `data`, or at the default address."""
    found = _endpoints(data)
    return NodeClient(url or (found.node if found else NODE_URL))


def store(data: str, where: str | None) -> ContentStore:
    """The store at `where`, or of the fleet on `data` (the embedded one while none runs there)."""
    found = _endpoints(data)
    return open_store(where or (found.store if found else str(DataFolder(data).store)))


def address(data: str, who: str) -> Address:
    """An address as it is, or that of a named wallet. Raises click.UsageError and WalletError."""
    if not who.startswith(("0x", "0X")):
        return Wallets(DataFolder(data).wallets).address(who)
    if not re.fullmatch("0[xX][0-9a-fA-F]{40}", who):
        raise click.UsageError(f"{who!r}: expected an address, 0x and 40 hexadecimal digits, or a wallet's name")
    return Address(who.lower())


def _endpoints(data: str) -> Endpoints | None:
    try:
        return read_endpoints(DataFolder(data))
    except EndpointsError:
        return None
