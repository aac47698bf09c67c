"""`assay`: one command for everything a person or a script does with Assay.

Subcommands are imported when they are called, so that `assay --help` and the light ones start at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

#: Name -> where it lives; the order of the help page.
COMMANDS = {
    "demo": (
        "cli.demo.command:demo",
        "Show the whole path on this machine: train, vote, adopt, catch a cheat, audit.",
    ),
    "up": ("cli.up:up", "Start a whole fleet and keep it running."),
    "dataset": ("cli.dataset:dataset", "Add, register, list and fetch datasets."),
    "train": ("cli.train:train", "Open a training job and watch it."),
    "job": ("cli.job:job", "List, show, watch and cancel jobs."),
    "model": ("cli.model:model", "List and show models; predict, get certificates."),
    "certificate": ("cli.certificate:certificate", "Check an adoption certificate, offline."),
    "audit": ("cli.audit:audit", "Do all the work behind an adopted version again, and compare."),
    "chain": ("cli.chain:chain", "Look at the chain: status, blocks, log, misconduct."),
    "network": ("cli.network:network", "Make the genesis of a network of several organisations."),
    "validators": ("cli.validators:validators", "Show validators; admit and remove them."),
    "wallet": ("cli.wallet:wallet", "Make, list and use wallets."),
    "node": ("cli.services:node", "Run a node (service)."),
    "validator": ("cli.services:validator", "Run a validator (service)."),
    "worker": ("cli.services:worker", "Run a worker (service)."),
    "coordinator": ("cli.services:coordinator", "Run a coordinator (service)."),
}


class LazyGroup(click.Group):
    """A group whose commands are known by name and imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay")
def cli() -> None:
    """Train machine-learning models together with people you need not trust.

    \b
    assay demo                 see all of it in a minute, on this machine alone
    assay up                   start a fleet: node, validators, workers, coordinator
    assay dataset add FILE     put a file on IPFS (or the embedded store)
    assay train --help         open a job on a registered dataset
    assay audit MODEL          check an adopted version from the chain and the CIDs alone
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; the exit status is 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C, and
    4 where a node has seen two branches final."""
    from chain.errors import ConflictingFinality
    from cli.output import EXPECTED, explain

    try:
        return cli.main(args=arguments, prog_name="assay", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `assay chain log | head`
        sys.stderr.close()
        sys.exit(0)
    except EXPECTED as error:
        click.echo(f"Error: {explain(error)}", err=True)
        sys.exit(4 if isinstance(error, ConflictingFinality) else 1)


if __name__ == "__main__":
    main()
