"""How far a campaign is: a small file for each part, so that `make fuzz` goes on where it stopped.

A part begins anew with another seed, and when the code that it attacks has changed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).parents[2]
#: Where `make fuzz` keeps the files; tests alone keep none.
FOLDER = ROOT / ".fuzz"
#: The variable that tells the routes' tests of the folder.
VARIABLE = "ASSAY_FUZZ_KEPT"
#: Inputs between two notes of a part with routes.
NOTED = 100
_ROOMS = ("runtime", "chain", "ipfs", "learning", "workers", "validators", "coordinator", "cli", "tests")


@dataclass(frozen=True)
class Taken:
    """What a part has taken without a finding."""

    inputs: int = 0
    ended: bool = False
    """There are no other inputs: their number is finite."""

    def left(self, wanted: int) -> int:
        return 0 if self.ended else max(0, wanted - self.inputs)

    def said(self, wanted: int) -> str:
        if self.ended and self.inputs < wanted:
            return f"{self.inputs:,}, which is all there are"
        return f"{self.inputs:,} of {wanted:,}" + ("" if self.left(wanted) else ", the full number")


class Progress:
    """The parts' files in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | None, seed: int, code: str) -> None:
        self.folder, self.seed, self.code = folder, seed, code

    def taken(self, part: str) -> Taken:
        if self.folder is None or not self._path(part).exists():
            return Taken()
        kept = json.loads(self._path(part).read_text(encoding="utf-8"))
        same = kept.pop("seed") == self.seed and kept.pop("code") == self.code
        return Taken(kept["inputs"], kept["ended"]) if same else Taken()

    def note(self, part: str, taken: Taken) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(exist_ok=True)
        written = self._path(part).with_suffix(".tmp")
        written.write_text(json.dumps({"seed": self.seed, "code": self.code, **asdict(taken)}), encoding="utf-8")
        written.replace(self._path(part))

    def numbers(self, part: str, wanted: int) -> Iterator[int]:
        """The inputs that a part has still to take. One counts as taken when the next is asked for."""
        first = self.taken(part).inputs
        for number in range(first, wanted):
            yield number
            if (number + 1) % NOTED == 0:
                self.note(part, Taken(number + 1))
        if first < wanted:
            self.note(part, Taken(wanted))

    def said(self, part: str, wanted: int) -> str:
        """How far it is, in words."""
        return (self.taken(part) if self.folder is not None else Taken(wanted)).said(wanted)

    def _path(self, part: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{quote(part, safe=' ')}.json"


def forget(folder: Path, chosen: Callable[[str], bool]) -> None:
    """What these parts have taken counts no more."""
    for path in folder.glob("*.json"):
        if chosen(unquote(path.stem)):
            path.unlink()


def of_routes(seed: int, *rooms: str) -> Progress:
    """The progress of a test of routes, whose code is these rooms."""
    folder = os.environ.get(VARIABLE)
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return Progress(Path(folder) if folder else None, seed, fingerprint(files) if folder else "")


def of_decoder(folder: Path | None, seed: int, module: str, covers: Iterable[str]) -> Progress:
    """The progress of a decoder registered in `module`. Its code is there, where the functions are that it covers,
    and in what these files import of ours."""
    files = {path for name in (module, *covers) if (path := _file_of(name)) is not None}
    files |= {imported for path in list(files) for imported in _imports(path)}
    files |= set((ROOT / "tests" / "fuzz").glob("[mhs]*.py"))  # mutate, hostile, spans: they make the inputs
    return Progress(folder, seed, fingerprint(files))


def fingerprint(files: Iterable[Path]) -> str:
    """One number for the contents of all these files."""
    whole = hashlib.sha256()
    for path in sorted(set(files)):
        whole.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _file_of(name: str) -> Path | None:
    """The file of a module, or of the module that something is in; None for what is not ours."""
    parts = name.split(".")
    if parts[0] not in _ROOMS:
        return None
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file
    return None


@cache
def _imports(path: Path) -> frozenset[Path]:
    found: set[Path | None] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {_file_of(each.name) for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {_file_of(f"{node.module}.{each.name}") for each in node.names}
    return frozenset(each for each in found if each is not None)
