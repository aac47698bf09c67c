"""Files that users name: one that cannot be read is named, with what was expected and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from chain.errors import ChainError, InvalidEncoding, InvalidSignature
from chain.params import MAX_GENESIS_BYTES, Genesis


class UnreadableFile(ChainError):  # noqa: N818 - as the ledger's other refusals
    """A file that is not what it was named as; the chain's own advice is for programs that made something."""

    code: ClassVar[str] = "unreadable_file"
    advice: ClassVar[str] = "Name the right file, or get a whole copy of it from whoever made it."


@contextmanager
def reading(path: Path | str, expected: str) -> Iterator[None]:
    """Whatever is refused inside is about this file, `expected` to be such a thing. Raises UnreadableFile."""
    try:
        yield
    except (InvalidEncoding, InvalidSignature) as error:
        raise UnreadableFile(expected, f"another ({error.said})", str(path)) from error


def whole(path: Path | str, limit: int) -> bytes:
    """The file's bytes; of a longer one just enough for a reader with this limit to refuse it."""
    with Path(path).open("rb") as file:
        return file.read(limit + 1)


def read_genesis(path: Path | str) -> Genesis:
    """The genesis of a network. Raises UnreadableFile."""
    with reading(path, "a genesis file, as `assay network init` writes it"):
        return Genesis.from_json(whole(path, MAX_GENESIS_BYTES))
