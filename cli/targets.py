"""Which services a command talks to: those it was told, those whose folder it was told, or the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import click

from chain.client import NodeClient
from chain.errors import WalletError
from chain.schema import Address
from chain.wallets import Wallets
from cli.addresses import is_address, read_address
from coordinator.client import DEFAULT_URL, Client
from ipfs import open_store
from ipfs.store import ContentStore
from runtime.endpoints import answering
from runtime.settings import DEFAULT, DataFolder, EndpointsError

F = TypeVar("F", bound=Callable[..., Any])

NODE_URL = "http://127.0.0.1:7001"

data_option = click.option(
    "--data", default=str(DEFAULT), show_default=True, help="Data folder of the fleet, or the node, to talk to."
)
#: For commands that talk to nobody.
wallets_option = click.option(
    "--data", default=str(DEFAULT), show_default=True, help="Data folder whose wallets are meant."
)


def service_url(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """The address of a service, its own or a proxy's before it."""
    try:
        parts = urlsplit(given or NODE_URL)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an unfinished [::1], a port beyond 65535
        good = False
    if not good:
        raise click.BadParameter(f"expected http://HOST:PORT, came {given!r}")
    return given


url_option = click.option(
    "--url", envvar="ASSAY_URL", callback=service_url, help="A coordinator's URL, instead of a data folder."
)
node_option = click.option(
    "--node", envvar="ASSAY_NODE", callback=service_url, help="A node's URL, instead of a data folder."
)
store_option = click.option(
    "--store", envvar="ASSAY_STORE", help="Kubo's address or a store's folder, instead of a data folder."
)


class NoWallet(WalletError):  # noqa: N818 - as the ledger's other refusals
    """A wallet was named, and an address would have done."""

    advice: ClassVar[str] = (
        "Check the wallet's name and the folder (--data), or give its address: "
        "`assay validators list` shows those of validators."
    )


def coordinator(data: str, url: str | None) -> Client:
    """The coordinator at `url`, or on `data`; at the default address where nothing was named."""
    return Client(url or _running(data, "coordinator", "--url") or DEFAULT_URL)


def node(data: str, url: str | None) -> NodeClient:
    """The node at `url`, or on `data`; at the default address where nothing was named."""
    return NodeClient(url or _running(data, "node", "--node") or NODE_URL)


def store(data: str, where: str | None) -> ContentStore:
    """The store at `where`, or of the services on `data` (the embedded one while none runs there)."""
    return open_store(where or _answering(data).get("store") or str(DataFolder(data).store))


def operator_token(data: str) -> str:
    """What shows a node that its operator speaks, from the node's data folder."""
    path = DataFolder(data).operator_token
    try:
        return path.read_text().strip()
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror}: name the node's own data folder with --data, as who runs it"
        ) from error


def address(data: str, who: str) -> Address:
    """An address as it is, or that of a named wallet. Raises click.UsageError and WalletError."""
    if not who.startswith(("0x", "0X")):
        try:
            return Wallets(DataFolder(data).wallets).address(who)
        except WalletError as error:
            raise NoWallet(error.expected, error.found, error.where) from error
    if not is_address(who):
        raise click.UsageError(f"{who!r}: expected an address, 0x and 40 hexadecimal digits, or a wallet's name")
    try:
        return read_address(who)
    except ValueError as error:
        raise click.UsageError(f"{who}: {error}") from error


def _running(data: str, service: str, option: str) -> str | None:
    """Where the service on `data` answers. Raises `EndpointsError` where none runs on a folder that was named: whatever
    answers at the default address is then another one, which nobody meant."""
    if Path(data) == DEFAULT:
        return _answering(data).get(service)
    found = answering(DataFolder(data)).get(service)
    if found is None:
        raise EndpointsError(
            f"no {service} runs on {data}: start it with `assay {service} --data {data}`, or name one with {option} URL"
        )
    return found


def _answering(data: str) -> Mapping[str, str]:
    try:
        return answering(DataFolder(data))
    except EndpointsError:
        return {}
