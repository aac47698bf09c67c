"""The disk of a validator's machine: what is written is in its cache, what is synced outlives a power cut.

:func:`runtime.files.atomic_write` is played on it step by step, and the machine may die between any two steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from runtime.files import Files
from tests.chain.simulation.members import Crash

#: Where a write may be cut short: before anything, in the middle of the content, with the content in the cache, on the
#: disk, under its name, and under its name on the disk.
STEPS = ("before", "writing", "written", "synced", "named", "kept")


@dataclass
class Content:
    """A file, under whatever names."""

    data: bytes
    synced: bool = False


class Drive(Files):
    """Files by name in the cache, and as far as they are known to be on the disk."""

    def __init__(self, rng: random.Random, syncs: bool = True) -> None:
        """``syncs``: a sync does what it says; otherwise, a rule switched off, nothing reaches the disk by itself."""
        self._rng, self.syncs = rng, syncs
        self._cache: dict[Path, Content] = {}
        self._disk: dict[Path, Content] = {}
        self._locked: set[int] = set()
        self.dies: str | None = None
        """The step at which the machine dies next."""
        self._dead = False

    # ------------------------------------------------------------------ what a process does

    def read(self, path: Path) -> bytes:
        if path not in self._cache:
            raise FileNotFoundError(path)
        return self._cache[path].data

    def create(self, path: Path, data: bytes, mode: int) -> Path:
        self._step("before")
        new = path.with_name(f".{path.name}.new")
        self._cache[new] = Content(data[: self._rng.randrange(len(data))])
        self._step("writing")
        self._cache[new] = Content(data)
        self._step("written")
        return new

    def sync(self, path: Path) -> None:
        if not self.syncs:
            return
        if path in self._cache:
            self._cache[path].synced = True
            self._step("synced")
        else:  # the folder
            self._disk = dict(self._cache)
            self._step("kept")

    def replace(self, new: Path, path: Path) -> None:
        self._cache[path] = self._cache.pop(new)
        self._step("named")

    def remove(self, path: Path) -> None:
        if not self._dead:
            self._cache.pop(path, None)

    def lock(self, path: Path) -> int:
        if self._locked:
            raise BlockingIOError("in use by process 1")
        self._locked.add(1)
        return 1

    def unlock(self, descriptor: int) -> None:
        self._locked.discard(descriptor)

    # ------------------------------------------------------------------ what becomes of it

    def _step(self, step: str) -> None:
        if self.dies == step:
            self.dies, self._dead = None, True
            raise Crash(f"the validator's machine, {step} a vote")

    def restart(self, power: bool) -> None:
        """The process is gone; with ``power`` the machine was off as well, and what was not synced may be lost."""
        self._dead = False
        self._locked.clear()
        if not power:
            return
        found: dict[Path, Content] = {}
        for name in {**self._disk, **self._cache}:
            states = [self._disk.get(name), self._cache.get(name)]
            kept = states[0] if not self.syncs else self._rng.choice(states)
            if kept is None:
                continue
            lost = not kept.synced and self._rng.random() < 0.5
            found[name] = Content(kept.data[: self._rng.randrange(len(kept.data))] if lost else kept.data, True)
        self._cache, self._disk = found, dict(found)
