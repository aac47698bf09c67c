"""The four services as commands: what `assay up` starts, what a container or an init system runs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from cli.targets import NODE_URL, service_url
from ipfs import is_kubo
from learning import slim
from runtime import guard, logs, settings, signals
from runtime.broker import BrokerError, checked_url
from runtime.endpoints import announced, url_of
from runtime.serving import MAX_PORT

if TYPE_CHECKING:
    from chain.params import Genesis

F = TypeVar("F", bound=Callable[..., Any])

data_option = click.option(
    "--data", default=str(settings.DEFAULT), show_default=True, help="Folder for keys, caches and databases."
)
node_option = click.option(
    "--node", "node_url", default=NODE_URL, show_default=True, callback=service_url, help="The node."
)
store_option = click.option(
    "--store", help="Kubo's address (/ip4/127.0.0.1/tcp/5001) or a folder [default: DATA/store]."
)
level_option = click.option(
    "--log-level",
    type=click.Choice(logs.LEVELS, case_sensitive=False),
    default="info",
    show_default=True,
    help="What is logged, and all that is worse.",
)
PORTS = click.IntRange(0, MAX_PORT)  # 0 takes a free one


def broker_url(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """A Redis's address, before it is asked for anything."""
    try:
        return given and checked_url(given)
    except BrokerError as error:
        raise click.BadParameter(str(error)) from None


broker_option = click.option(
    "--broker",
    default="redis://127.0.0.1:6379/0",
    show_default=True,
    callback=broker_url,
    help="Redis, as Celery writes it.",
)


def node_urls(_: click.Context, __: click.Parameter, given: Any) -> Any:
    """Nodes' addresses in their one form; one, none or several."""
    from chain.errors import InvalidEncoding
    from chain.node.peering.messages import url_of

    if given is None or isinstance(given, tuple):
        return given and tuple(node_urls(_, __, each) for each in given)
    try:
        return url_of(given)
    except InvalidEncoding:
        raise click.BadParameter(f"{given!r}: expected http://HOST:PORT, in lowercase") from None


@click.command()
@data_option
@level_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORTS, default=7001, show_default=True)
@click.option("--genesis", type=click.Path(exists=True, dir_okay=False), help="[default: DATA/node/genesis.json]")
@click.option("--wallet", default="node", show_default=True, help="Wallet that its blocks name as their miner.")
@click.option(
    "--peers", callback=node_urls, multiple=True, metavar="URL", help="Another node, http://HOST:PORT; once for each."
)
@click.option(
    "--advertise",
    callback=node_urls,
    metavar="URL",
    help="Where other nodes reach this one [default: where it listens].",
)
@click.option("--forget-conflict", is_flag=True, help="Start although two branches were final: operators settled it.")
def node(
    data: str,
    log_level: str,
    host: str,
    port: int,
    genesis: str | None,
    wallet: str,
    peers: tuple[str, ...],
    advertise: str | None,
    forget_conflict: bool,
) -> None:
    """Run a node: keep the chain, mine, serve it over HTTP, agree with its peers.

    \b
    assay node --data /srv/node --genesis genesis.json
    assay node --genesis genesis.json --host 0.0.0.0 --advertise http://a.example:7001 --peers http://b.example:7001

    The exit status is 4 where two branches were final; it does not start again before --forget-conflict.
    """
    guard.watch_parent()
    logs.configure("node", log_level)
    from chain.node import running
    from chain.wallets import Wallets

    folder = settings.DataFolder(data)
    with contextlib.ExitStack() as told:
        running.run(
            folder.path,
            host,
            port,
            genesis=_genesis(folder, genesis, (folder.node / running.DATABASE).exists()),
            miner=Wallets(folder.wallets).ensure(wallet).address,
            stop=signals.stop_event(),
            on_ready=lambda port: told.enter_context(announced(folder, "node", {"node": url_of(host, port)})),
            peers=peers,
            advertise=advertise,
            forget_conflict=forget_conflict,
        )


def _genesis(folder: settings.DataFolder, named: str | None, has_chain: bool) -> Genesis | None:
    """The genesis that a node begins with; None where its database has it, and it is not named, and what lies in the
    folder is missing or no genesis: the node writes that file again."""
    from cli.reading import UnreadableFile, read_genesis

    path = Path(named) if named else folder.genesis
    if not path.exists() and not has_chain:
        raise click.ClickException(
            f"no genesis at {path}: name the network's with --genesis; `assay up` makes one for this machine"
        )
    try:
        return read_genesis(path) if path.exists() else None
    except UnreadableFile:
        if named or not has_chain:
            raise
        return None


@click.command()
@data_option
@level_option
@node_option
@store_option
@click.option("--name", default="validator", show_default=True, help="Names its folder and its cache.")
@click.option("--wallet", help="The key it votes with [default: NAME].")
def validator(data: str, log_level: str, node_url: str, store: str | None, name: str, wallet: str | None) -> None:
    """Run a validator: train updates again, score candidates, vote; vote on checkpoints.

    Its votes are kept in DATA/NAME; without that folder its key must not vote again.

    \b
    assay validator --name validator-1 --node http://127.0.0.1:7001 --store /ip4/127.0.0.1/tcp/5001
    """
    guard.watch_parent()
    logs.configure(name, log_level)
    slim.leave_out_pandas()
    from validators.service import ValidatorSettings, run

    folder = settings.DataFolder(data)
    content = _store(store, folder)
    with announced(folder, "validator", {"store": content}):
        status = run(
            ValidatorSettings(
                name=name,
                node=node_url,
                store=content,
                wallets=folder.wallets,
                wallet=wallet or name,
                folder=folder.path / name,
                cache=folder.cache(name),
            ),
            signals.stop_event(),
        )
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End this process now. Taking the learning libraries down piece by piece costs up to seconds, and what a service
    keeps is on the disk before this is called."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _store(given: str | None, folder: settings.DataFolder) -> str:
    """Kubo's address, or a folder in full, which is the same one from wherever it is named."""
    if given is None:
        return str(folder.store)
    return given if is_kubo(given) else str(Path(given).expanduser().resolve())


def worker_options(command: F) -> F:
    """The options of a worker, also for programs that run one in another way."""
    options: list[Any] = [
        click.option("--name", default="worker", show_default=True, help="Names its cache; shown to others."),
        click.option("--wallet", help="The key it signs with [default: NAME]."),
        click.option(
            "--memory",
            type=click.IntRange(min=1),
            help="Bound on its training process's data, MiB (Linux holds it; macOS does not).",
        ),
    ]
    for option in reversed([data_option, level_option, node_option, store_option, broker_option, *options]):
        command = option(command)
    return command


@click.command()
@worker_options
def worker(**options: object) -> None:
    """Run a worker: claim partitions, train them, pin the models, submit signed updates.

    It makes its wallet at the first start. Where sending needs a balance, that has to be paid first.

    \b
    assay worker --name worker-1 --node http://127.0.0.1:7001 --broker redis://127.0.0.1:6379/0
    """
    run_worker(**options)  # type: ignore[arg-type]


def run_worker(
    data: str,
    log_level: str,
    node_url: str,
    store: str | None,
    broker: str,
    name: str,
    wallet: str | None,
    memory: int | None,
    **changes: object,
) -> None:
    """Run a worker with the options above; `changes` replace fields of its settings. Ends the process."""
    guard.watch_parent()
    logs.configure(name, log_level)
    slim.leave_out_pandas()
    from chain.wallets import Wallets
    from workers.service import run
    from workers.settings import WorkerSettings

    folder = settings.DataFolder(data)
    Wallets(folder.wallets).ensure(wallet or name)
    fields: dict[str, object] = {
        "name": name,
        "node": node_url,
        "store": _store(store, folder),
        "broker": broker,
        "wallets": folder.wallets,
        "wallet": wallet or name,
        "cache": folder.cache(name),
        "memory": memory * 2**20 if memory else None,
        **changes,
    }
    _leave(run(WorkerSettings(**fields)))  # type: ignore[arg-type]


@click.command()
@data_option
@level_option
@node_option
@store_option
@broker_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback only, until it can tell users apart.")
@click.option("--port", type=PORTS, default=5000, show_default=True)
@click.option("--wallet", default="coordinator", show_default=True, help="The hosted wallet that signs.")
def coordinator(
    data: str, log_level: str, node_url: str, store: str | None, broker: str, host: str, port: int, wallet: str
) -> None:
    """Run a coordinator: the HTTP API and the scheduler.

    \b
    assay coordinator --node http://127.0.0.1:7001 --broker redis://127.0.0.1:6379/0
    """
    guard.watch_parent()
    logs.configure("coordinator", log_level)
    slim.leave_out_pandas()
    from coordinator.service import run
    from coordinator.settings import Settings

    folder = settings.DataFolder(data)
    content = _store(store, folder)
    with contextlib.ExitStack() as told:

        def ready(port: int) -> None:
            places = {"coordinator": url_of(host, port), "store": content, "broker": broker}
            told.enter_context(announced(folder, "coordinator", places))

        run(
            Settings(
                data=folder.path,
                node=node_url,
                store=content,
                broker=broker,
                key=wallet,
                wallets=folder.wallets,
                host=host,
                port=port,
            ),
            signals.stop_event(),
            ready,
        )
    _leave(0)
