"""A worker whose trainings sleep first, and are written down as they begin: what a test can kill in the middle.

Everything else is the worker in service, so what it trains is what validators find when they train again.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.services import run_worker, worker_options

if TYPE_CHECKING:
    from ipfs.store import ContentStore
    from learning.recipe import Recipe
    from learning.session import Session, TrainedUpdate
    from workers.context import SessionFactory


def sleeping(seconds: float, notes: Path) -> SessionFactory:
    """Sessions whose trainings add a line to `notes` and take `seconds` longer."""

    def open_session(recipe: Recipe, store: ContentStore, cache: Path) -> Session:
        from learning.session import Session

        class Sleeping(Session):
            def train(self, round: int, partition: int, base: bytes | None) -> TrainedUpdate:
                note = {"job": recipe.job, "round": round, "partition": partition}
                line = json.dumps(note | {"time": int(time.time() * 1000), "pid": os.getpid()})
                with notes.open("a") as file:
                    file.write(line + "\n")
                time.sleep(seconds)
                return super().train(round, partition, base)

        return Sleeping(recipe, store.open, cache)

    return open_session


@click.command()
@click.option("--seconds", type=float, required=True)
@click.option("--notes", type=click.Path(path_type=Path), required=True)
@worker_options
def slow_worker(seconds: float, notes: Path, **options: object) -> None:
    """Run it."""
    run_worker(**options, new_session=sleeping(seconds, notes))  # type: ignore[arg-type]


if __name__ == "__main__":
    slow_worker()
