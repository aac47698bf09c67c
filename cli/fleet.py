"""A whole fleet on one machine: which processes, with which keys, on which ports, started in which order."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chain.client import NodeClient
from chain.params import DEVELOPMENT, Genesis
from chain.wallets import Wallets
from cli.reading import read_genesis
from runtime import broker as brokers
from runtime import numeric, serving
from runtime.files import atomic_write
from runtime.settings import DataFolder, free_port
from runtime.supervisor import Child, Supervisor

VALIDATORS = 4
#: What each of the fleet's own accounts owns at genesis, and in what a newcomer is paid.
OPENING_BALANCE = 1_000_000_000
WELCOME = 1_000_000
#: The wallet that signs for the coordinator's convenience routes, and the one that miners are paid to.
COORDINATOR = "coordinator"
NODE = "node"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class FleetOptions:
    """What `assay up` was told. `ipfs` None: the embedded store; `broker` None: a Valkey of the fleet's own.
    `worker_programs` replaces the program of single workers, by name, in tests of the fleet."""

    data: DataFolder
    port: int
    node_port: int
    workers: int = 2
    ipfs: str | None = None
    broker: str | None = None
    worker_programs: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """Where a running fleet's parts are; also what `endpoints.json` holds."""

    coordinator: str
    node: str
    store: str
    broker: str

    def to_dict(self) -> dict[str, str]:
        return dict(self.__dict__)


def worker_name(number: int) -> str:
    """Name, wallet and cache of the fleet's workers, counted from 1."""
    return f"worker-{number}"


def validator_name(number: int) -> str:
    """Name, wallet and cache of the fleet's validators, counted from 1."""
    return f"validator-{number}"


def service(*arguments: str) -> tuple[str, ...]:
    """The command line of one of our services; -P keeps the user's folder off the module path."""
    return (sys.executable, "-P", "-m", "cli.main", *arguments)


def prepare(options: FleetOptions) -> Genesis:
    """Make the folder's wallets and, the first time, its genesis; afterwards the genesis it has."""
    wallets = Wallets(options.data.wallets)
    names = [validator_name(i + 1) for i in range(VALIDATORS)]
    others = [COORDINATOR, NODE, *(worker_name(i + 1) for i in range(options.workers))]
    addresses = {name: wallets.ensure(name).address for name in [*names, *others]}
    path = options.data.genesis
    if path.exists():
        return read_genesis(path)
    genesis = Genesis(
        network=DEVELOPMENT.name,
        time=int(time.time() * 1000),
        validators=tuple(addresses[name] for name in names),
        balances=tuple(sorted((addresses[name], OPENING_BALANCE) for name in others)),
        note="a network of one machine, made by assay up",
    )
    atomic_write(path, genesis.to_json().encode())
    return genesis


def check_ports(options: FleetOptions) -> None:
    """Raises `runtime.serving.PortTaken`, which names the port and what to do, before anything is started."""
    with contextlib.ExitStack() as held:
        for option, port in (("--port", options.port), ("--node-port", options.node_port)):
            try:
                held.enter_context(serving.listen(HOST, port))
            except serving.PortTaken as taken:
                raise serving.PortTaken(taken.host, taken.port, option) from None


@contextlib.contextmanager
def running(options: FleetOptions, say: Callable[[str], None]) -> Iterator[tuple[Supervisor, Endpoints]]:
    """The fleet, not yet started; everything it started has ended when this is left."""
    own = brokers.embedded() if options.broker is None else None
    try:
        endpoints = Endpoints(
            coordinator=f"http://{HOST}:{options.port}",
            node=f"http://{HOST}:{options.node_port}",
            store=options.ipfs or str(options.data.store),
            broker=own.celery_url if own else str(options.broker),
        )
        supervisor = Supervisor(options.data.logs, say=say)
        for child in _children(options, endpoints, own):
            supervisor.add(child)
        options.data.write_endpoints(endpoints.to_dict())
        try:
            yield supervisor, endpoints
        finally:
            supervisor.stop()
            options.data.remove_endpoints()
    finally:
        if own is not None:
            own.remove()


def welcome_newcomers(options: FleetOptions, endpoints: Endpoints) -> None:
    """Pay workers that came after the genesis what an account needs in order to send anything."""
    from chain.transactions import Transfer

    client = NodeClient(endpoints.node)
    wallets = Wallets(options.data.wallets)
    payer = wallets.load(COORDINATOR)
    for number in range(options.workers):
        address = wallets.load(worker_name(number + 1)).address
        if client.account(address).balance < DEVELOPMENT.minimum_balance:
            client.wait_transaction(client.send(Transfer(recipient=address, amount=WELCOME), payer))


def free_ports(count: int) -> list[int]:
    """Different free ports on loopback."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port(HOST))
    return list(found)


def _children(options: FleetOptions, endpoints: Endpoints, own: brokers.Broker | None) -> Iterator[Child]:
    data = str(options.data.path)
    node = NodeClient(endpoints.node, timeout=2)
    if own is not None:
        yield Child("broker", own.command, ready=own.ready, stage="base")
    yield Child(
        "node",
        service("node", "--data", data, "--host", HOST, "--port", str(options.node_port), "--wallet", NODE),
        ready=node.ready,
        stage="base",
    )
    # Two heaps of glibc's instead of eight a core: services of many threads then hold less memory.
    numbers = {**numeric.PINS, "MALLOC_ARENA_MAX": "2"}
    reach = ("--node", endpoints.node, "--store", endpoints.store, "--data", data)
    programs = dict(options.worker_programs)
    for number in range(options.workers):
        name = worker_name(number + 1)
        command = programs.get(name) or service("worker")
        yield Child(
            name,
            (*command, *reach, "--broker", endpoints.broker, "--name", name, "--wallet", name),
            env=numbers,
            stage="all",
        )
    for number in range(VALIDATORS):
        name = validator_name(number + 1)
        yield Child(name, service("validator", *reach, "--name", name, "--wallet", name), env=numbers, stage="all")
    yield Child(
        "coordinator",
        service(
            "coordinator",
            *reach,
            *("--broker", endpoints.broker),
            *("--host", HOST, "--port", str(options.port), "--wallet", COORDINATOR),
        ),
        env=numbers,
        stage="all",
    )
