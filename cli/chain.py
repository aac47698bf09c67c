"""`assay chain`: status, blocks, log, peers, misconduct."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime

import click

from chain.schema import to_object
from cli import targets
from cli.output import emit, json_option, short, table
from cli.services import node_urls
from runtime import signals


@click.group()
def chain() -> None:
    """Look at the chain: status, blocks, log, peers, misconduct."""


@chain.command()
@targets.data_option
@targets.node_option
@json_option
def status(data: str, node: str | None, as_json: bool) -> None:
    """Height, head, what is justified and final, what is pending.

    \b
    assay chain status
    assay chain status --node http://127.0.0.1:7001
    """
    answer = targets.node(data, node).chain()
    votes = answer["pending_votes"]

    def human() -> str:
        lines = [
            f"network     {answer['network']}, genesis {short(answer['genesis'])}",
            f"head        {answer['height']}  {answer['head']}",
            f"justified   {answer['justified']['height']}  {answer['justified']['hash']}",
            f"final       {answer['final']['height']}  {answer['final']['hash']}",
            f"pending     {answer['pending']}" + (f"; votes on blocks: {votes}" if votes else ""),
            f"peers       {answer['peers']}",
        ]
        return "\n".join(lines)

    emit(answer, as_json, human)


@chain.command()
@click.argument("which", required=False)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@targets.data_option
@targets.node_option
@json_option
def block(which: str | None, limit: int, data: str, node: str | None, as_json: bool) -> None:
    """Show a block by height or hash, or the newest ones.

    \b
    assay chain block
    assay chain block 12 --json
    """
    client = targets.node(data, node)
    if which is None:
        page = client.blocks(limit)
        rows = [(b["height"], b["hash"], _time(b["time"]), len(b["transactions"])) for b in page["blocks"]]
        emit(page, as_json, lambda: table(("height", "hash", "time", "transactions"), rows))
        return
    if not re.fullmatch("[0-9]{1,15}|[0-9a-f]{64}", which):
        raise click.UsageError(f"{which!r}: expected a height, or a block's hash of 64 hexadecimal digits in lowercase")
    found = client.block(which)
    if found is None:
        raise click.ClickException(f"the node has no block {which}: give a height up to the head's, or a hash")
    emit(found, as_json, lambda: json.dumps(found, indent=2))


@chain.command()
@click.option("--tail", type=click.IntRange(0, 1000), default=10, show_default=True, help="Lines to begin with.")
@click.option("--follow/--no-follow", "-f", default=False, help="Go on with new lines until Ctrl-C.")
@targets.data_option
@targets.node_option
def log(tail: int, follow: bool, data: str, node: str | None) -> None:
    """Print blockchain.log's last lines.

    \b
    assay chain log --tail 50
    assay chain log --follow
    """
    client = targets.node(data, node)
    lines = client.log(signals.stop_event(), tail)
    there = min(tail, client.events().next)  # events are numbered from 1, and each is one line
    for line in lines if follow else itertools.islice(lines, there):
        click.echo(line)


@chain.command()
@click.option("--add", callback=node_urls, metavar="URL", help="Connect with this node as well, also after a restart.")
@click.option("--remove", callback=node_urls, metavar="URL", help="Forget this address until another node tells of it.")
@click.option("--forgive", metavar="WHO", help="Listen again to this address, or to all of this host.")
@targets.data_option
@targets.node_option
@json_option
def peers(
    add: str | None, remove: str | None, forgive: str | None, data: str, node: str | None, as_json: bool
) -> None:
    """List the nodes that the node is connected with, and those it refuses.

    To change something takes the token in the node's own data folder, which only its owner can read.

    --remove ends a connection and keeps nobody away: nodes tell each other of addresses, so this one is back as soon as
    another node names it, and the node itself may connect. Nodes are refused for breaking the protocol alone, for ten
    minutes; to keep one away, have a firewall drop its host in both directions.

    \b
    assay chain peers
    assay chain peers --add http://192.0.2.7:7001
    assay chain peers --remove http://192.0.2.7:7001
    assay chain peers --forgive 192.0.2.7
    """
    client = targets.node(data, node)
    if add is not None:
        client.add_peer(add, targets.operator_token(data))
    if remove is not None:
        client.remove_peer(remove, targets.operator_token(data))
        click.echo(
            f"{remove} is forgotten until another node tells of it, or it connects itself; to keep it away, have a "
            "firewall drop its host",
            err=True,
        )
    if forgive is not None:
        client.forgive_peer(forgive, targets.operator_token(data))
    answer = client.peers()

    def human() -> str:
        rows = [
            (each["peer"], each["height"], short(each["head"]), each["final_height"], each["reachable"])
            for each in answer["peers"]
        ]
        found = [f"this node is reached at {answer['url'] or 'no address'}"]
        found.append(table(("peer", "height", "head", "final", "reachable"), rows))
        connected = {each["url"] for each in answer["peers"]} | {each["peer"] for each in answer["peers"]}
        missing = [
            (each["url"], each["failures"], each["reason"] or ("" if each["failures"] else "not tried yet"))
            for each in answer["addresses"]
            if each["url"] not in connected
        ]
        if missing:
            found.append(table(("not connected", "tries", "reason"), missing))
        if answer["discouraged"]:
            refused = [(each["who"], _time(each["until"]), each["reason"]) for each in answer["discouraged"]]
            found.append(table(("refused", "until", "reason"), refused))
        return "\n\n".join(found)

    emit(answer, as_json, human)


@chain.command()
@targets.data_option
@targets.node_option
@json_option
def misconduct(data: str, node: str | None, as_json: bool) -> None:
    """List validators that contradicted themselves: slashed, or caught by this node and not reported yet.

    \b
    assay chain misconduct
    """
    client = targets.node(data, node)
    slashed, caught = client.misconduct(), [report.validator for report in client.evidence()]
    document = {"slashed": [to_object(each) for each in slashed], "caught": caught}

    def human() -> str:
        rows = [(e.validator, e.height, e.burned, short(e.reporter), e.reason) for e in slashed]
        lines = [table(("validator", "block", "burned", "reported by", "reason"), rows)]
        return "\n".join([*lines, *(f"{who}  caught, not on the chain yet" for who in caught)])

    emit(document, as_json, human)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
