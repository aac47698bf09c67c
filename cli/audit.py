"""`assay audit`: check an adopted version from the chain and the CIDs alone."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cli import targets
from cli.output import json_option, short
from cli.reading import read_genesis
from runtime import numeric
from runtime.settings import DataFolder

if TYPE_CHECKING:
    from validators.audit import Audit
    from validators.replay import Check

VERIFIED, REFUTED, UNDECIDED = 0, 1, 3


@click.command()
@click.argument("which", metavar="MODEL[@VERSION]")
@click.option("--genesis", type=click.Path(exists=True, dir_okay=False), help="The genesis you know the network by.")
@targets.data_option
@targets.node_option
@targets.store_option
@json_option
def audit(which: str, genesis: str | None, data: str, node: str | None, store: str | None, as_json: bool) -> None:
    """Do all the work behind an adopted version again, and compare.

    The chain is checked from its genesis; every update of the version is trained again from its CIDs and seed; the
    aggregation and the score on the holdout are redone. Exit status: 0 verified, 1 refuted (or the audit failed),
    3 undecided (made in another software environment, which bytes cannot judge).

    \b
    assay audit iris
    assay audit iris@1 --node http://127.0.0.1:7001 --store /ip4/127.0.0.1/tcp/5001 --json
    """
    numeric.pin()
    from validators.audit import AuditError, check_chain
    from validators.audit import audit as run_audit

    console = Console(stderr=as_json)
    name, _, version = which.partition("@")
    if version and not version.isdecimal():
        raise click.UsageError(f"{which!r}: expected MODEL or MODEL@NUMBER, for example iris@1")
    number = int(version) if version else None
    known = read_genesis(genesis) if genesis else None
    content = targets.store(data, store)
    try:
        with console.status("checking the chain") as status, _cache(data) as cache:
            chain = check_chain(
                targets.node(data, node),
                known,
                lambda height, of: status.update(f"checking block {height} of {of}"),
                name,
                number,
            )
            status.update("training the updates again")
            found = run_audit(chain, name, number, content, cache, lambda check: tell(console, check))
    except AuditError as error:
        raise click.ClickException(str(error)) from error
    finally:
        content.close()
    if as_json:
        click.echo(json.dumps(document(found), indent=2))
    else:
        show(console, found, known is not None)
    sys.exit({"verified": VERIFIED, "refuted": REFUTED, "undecided": UNDECIDED}[found.verdict])


def _cache(data: str) -> Any:
    """A folder for this audit's tables: the fleet's own where there is one, else one that goes away."""
    folder = DataFolder(data)
    if folder.path.exists():
        return _Kept(folder.cache("audit"))
    return _Passing()


class _Kept:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        """It stays."""


class _Passing:
    def __enter__(self) -> Path:
        self._folder = tempfile.TemporaryDirectory(prefix="assay-audit-")
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def tell(console: Console, check: Check) -> None:
    """Print one check as it is made."""
    place = f"{check.kind} {check.round}" + ("" if check.partition is None else f".{check.partition}")
    mark = "same bytes" if check.matches else f"NOT SO: {check.problem}"
    console.print(f"  {place:<13} {short(check.sender, 12)}  {check.artifact}  {mark}", highlight=False, soft_wrap=True)


def show(console: Console, found: Audit, known: bool) -> None:
    """Print an audit; `known`: the auditor brought the genesis."""
    chain, version = found.chain, found.version
    console.print(
        f"chain         {chain.height} blocks, {chain.transactions} transactions from genesis {short(chain.genesis)}: "
        f"work, signatures and every state hold; final up to {chain.final_height}",
        highlight=False,
        soft_wrap=True,
    )
    for comparison in found.comparisons:
        mark = "" if comparison.matches else "   NOT SO"
        beside = "" if comparison.matches else f" (stated: {comparison.stated})"
        gap = " " if len(comparison.what) < 14 else ": "
        console.print(f"{comparison.what:<13}{gap}{comparison.found}{beside}{mark}", highlight=False, soft_wrap=True)
    approvals = ", ".join(short(address, 12) for address in version.approvals)
    console.print(f"approved by   {approvals}", highlight=False, soft_wrap=True)
    console.print(
        f"adopted in    block {version.height}, {'final' if found.final else 'NOT FINAL YET'}",
        highlight=False,
        soft_wrap=True,
    )
    certificate = found.certificate
    console.print(
        f"certificate   {len(certificate.attestations)} of {len(certificate.members)} validators of set "
        f"{certificate.statement.set} attest it"
        if certificate is not None
        else "certificate   NONE YET: no quorum of validators has attested it",
        highlight=False,
    )
    if found.foreign:
        console.print(
            f"undecided     {len(found.foreign)} statements were made in another software environment; "
            "audit in the image that made them",
            highlight=False,
            soft_wrap=True,
        )
    if not known:
        console.print(
            "note          the validators are those of the node's own genesis; name the one you know with --genesis",
            highlight=False,
            soft_wrap=True,
        )
    verdict = f"{found.verdict.upper()}: {found.model.name} version {version.number}"
    console.print(verdict, highlight=False, soft_wrap=True)


def document(found: Audit) -> dict[str, Any]:
    """An audit as JSON."""
    return {
        "verdict": found.verdict,
        "model": found.model.name,
        "version": found.version.number,
        "final": found.final,
        "job": found.job.id,
        "chain": {
            "network": found.chain.network,
            "genesis": found.chain.genesis,
            "height": found.chain.height,
            "head": found.chain.head,
            "final_height": found.chain.final_height,
            "transactions": found.chain.transactions,
        },
        "updates": [
            {
                "id": check.id,
                "kind": check.kind,
                "sender": check.sender,
                "round": check.round,
                "partition": check.partition,
                "stated": check.artifact,
                "found": check.recomputed,
                "matches": check.matches,
                "problem": check.problem or None,
            }
            for check in found.checks
        ],
        "comparisons": [
            {"what": c.what, "stated": c.stated, "found": c.found, "matches": c.matches} for c in found.comparisons
        ],
        "undecided": list(found.foreign),
        "certificate": None if found.certificate is None else found.certificate.to_document(),
    }
