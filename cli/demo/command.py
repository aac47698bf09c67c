"""`assay demo`: a fleet of its own on free ports, the story on it, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from chain.client import NodeClient
from chain.wallets import Wallets
from cli.demo import story
from cli.demo.memory import Peak
from cli.demo.sweeper import Sweeper
from cli.demo.tell import Teller, ending
from cli.fleet import VALIDATORS, Endpoints, FleetOptions, free_ports, prepare, running
from cli.services import broker_url
from coordinator.client import Client, CoordinatorUnavailable
from ipfs import open_store
from runtime import numeric
from runtime.settings import DataFolder
from runtime.supervisor import Supervisor

#: Seconds within which the fleet must be ready, and between two looks.
READY_WITHIN = 90.0
LOOK = 0.05
_SOCKET = "redis+socket://"


@click.command()
@click.option("--data", help="Keep everything in this folder [default: a temporary one, removed at the end].")
@click.option("--ipfs", help="A running Kubo, e.g. /ip4/127.0.0.1/tcp/5001 [default: an embedded store].")
@click.option(
    "--broker",
    callback=broker_url,
    help="A running Redis, e.g. redis://127.0.0.1:6379/0 [default: one of its own].",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end; the story goes to stderr.")
def demo(data: str | None, ipfs: str | None, broker: str | None, as_json: bool) -> None:
    """Show the whole path on this machine, on real parts: a dataset by CID, four random partitions, signed updates on
    a chain, validators that train again before they vote, a cheat that is caught, an audit.

    It takes about half a minute, uses free ports, and leaves nothing running and nothing behind.

    \b
    assay demo
    assay demo --data demo-data          keep the data; `assay up --data demo-data` goes on from there
    assay demo --ipfs /ip4/127.0.0.1/tcp/5001 --broker redis://127.0.0.1:6379/0
    """
    numeric.pin()
    interrupt = Interrupt()
    begun, peak = time.monotonic(), Peak()
    teller = Teller(Console(stderr=as_json), {})
    with Sweeper() as sweeper:
        folder = DataFolder(data) if data else DataFolder(sweeper.folder())
        facts = perform(folder, ipfs, broker, sweeper, teller, peak, interrupt)
    facts["seconds"]["total"] = round(time.monotonic() - begun, 3)
    facts["memory"] = peak.document()
    _close(teller, facts, data)
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def perform(
    folder: DataFolder,
    ipfs: str | None,
    broker: str | None,
    sweeper: Sweeper,
    teller: Teller,
    peak: Peak,
    interrupt: Interrupt,
) -> dict[str, Any]:
    """Start a fleet, play the story, stop the fleet; all facts that were shown."""
    with folder.lock():
        port, node_port = free_ports(2)
        options = FleetOptions(folder, port, node_port, ipfs=ipfs, broker=broker)
        teller.title("Assay: train together with people you need not trust. All of this is real, on this machine.")
        store = open_store(ipfs or str(folder.store))
        try:
            teller.step("A dataset, known by its content")
            cid = store.add(story.iris())
            teller.fact("added", f"{story.iris()} to {'Kubo at ' + ipfs if ipfs else 'the embedded store'}")
            genesis = prepare(options)
            teller.names.update({address: name for name, address in Wallets(folder.wallets).addresses().items()})
            say = _until(interrupt.came, teller.why)
            with running(options, say) as (supervisor, endpoints):
                if endpoints.broker.startswith(_SOCKET) and broker is None:
                    sweeper.remove_later(Path(endpoints.broker.removeprefix(_SOCKET)).parent)
                started = time.monotonic()
                with _killed_when_interrupted(supervisor):
                    supervisor.start()
                    ready = _wait_ready(endpoints, teller, started)
                    peak.look()
                    with Client(endpoints.coordinator) as client:
                        node = NodeClient(endpoints.node)
                        scene = story.Scene(options, endpoints, genesis, client, node, store, teller)
                        facts = _play(scene, cid, peak, interrupt)
        finally:
            store.close()
    facts["seconds"]["ready"] = round(ready, 3)
    return {"data": str(folder.path), "endpoints": endpoints.to_dict(), "accounts": _accounts(teller), **facts}


class Interrupt:
    """Ctrl-C, or SIGTERM, which ends the demo alike: everything stops on the way out.

    It is remembered, since a KeyboardInterrupt is raised wherever the program happens to be, and may be lost there:
    a demo was seen that was interrupted and told its story to the end. From the main thread alone.
    """

    def __init__(self) -> None:
        self.came = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._raise)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        self.came.set()
        raise KeyboardInterrupt

    def again(self) -> None:
        """Raise it once more, if it came."""
        if self.came.is_set():
            raise KeyboardInterrupt


def _until(over: threading.Event, say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` until it is over: that processes die then is no news."""
    return lambda text: None if over.is_set() else say(text)


@contextlib.contextmanager
def _killed_when_interrupted(supervisor: Supervisor) -> Iterator[None]:
    """Who presses Ctrl-C does not want to wait while everybody finishes; nothing here needs to be saved."""
    try:
        yield
    except KeyboardInterrupt:
        for leader in supervisor.pids().values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        raise


def _play(scene: story.Scene, cid: str, peak: Peak, interrupt: Interrupt) -> dict[str, Any]:
    teller = scene.teller
    registered = story.register(scene, cid)
    interrupt.again()
    teller.step("A job: four workers' shares, one model, judged before it serves")
    adopted = story.adopt(scene)
    peak.look()
    interrupt.again()
    teller.step("The same job, with a worker that lies")
    caught = story.catch(scene)
    peak.look()
    interrupt.again()
    teller.step("An audit: all the work behind the version in service, done once more by somebody else")
    audited = story.audit(scene, adopted["version"]["version"])
    peak.look()
    interrupt.again()
    teller.step("The last lines of blockchain.log")
    lines = story.log_lines(scene)
    interrupt.again()
    seconds = adopted.pop("seconds")
    return {
        **registered,
        **adopted,
        "rejected": caught,
        "audit": audited,
        "log": lines,
        "seconds": {"submitted_to_adopted": seconds["closed"], "submitted_to_final": seconds["final"]},
    }


def _wait_ready(endpoints: Endpoints, teller: Teller, started: float) -> float:
    """Return the seconds that it took; meanwhile the learning libraries are loaded here too."""
    threading.Thread(target=_load, name="load", daemon=True).start()
    missing: dict[str, str] = {}
    with teller.console.status("starting the fleet") as status, Client(endpoints.coordinator, timeout=5) as client:
        while time.monotonic() - started < READY_WITHIN:
            try:
                found = client.ready()
            except CoordinatorUnavailable:
                found = {"ready": False, "parts": {}}
            if found["ready"]:
                took = time.monotonic() - started
                teller.fact(
                    "fleet",
                    f"a node, {VALIDATORS} validators, 2 workers, a coordinator: each a process with a key of its own, "
                    f"ready after {took:.1f} s",
                )
                return took
            missing = {name: part["reason"] or "" for name, part in found["parts"].items() if not part["ready"]}
            status.update(f"starting the fleet: waiting for {', '.join(missing) or 'the coordinator'}")
            time.sleep(LOOK)
    reasons = "\n".join(f"  {name}: {reason}" for name, reason in missing.items())
    raise click.ClickException(f"the fleet was not ready within {READY_WITHIN:.0f} s\n{reasons}")


def _load() -> None:
    import learning.session  # noqa: F401 - training on all rows need not wait for it
    import validators.audit  # noqa: F401 - nor the audit for this


def _accounts(teller: Teller) -> dict[str, str]:
    return {name: address for address, name in sorted(teller.names.items(), key=lambda item: item[1])}


def _close(teller: Teller, facts: dict[str, Any], data: str | None) -> None:
    memory = facts["memory"]
    took = f"{facts['seconds']['total']:.1f} s"
    used = f", {memory['mib']:.0f} MiB in {memory['processes']} processes at most" if memory else ""
    teller.blank()
    teller.verdict(True, f"Done in {took}{used}. Everything is stopped{'' if data else ' and removed'}.")
    teller.blank()
    teller.title("Try next")
    teller.advice(ending(data))
