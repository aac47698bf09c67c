"""Bad luck for one process: a clock that is wrong, a death at an exact place. Python runs this file when it is on
PYTHONPATH; ASSAY_FAULTS names a folder, in which the test may write at any time:

``clock``
    8 bytes, the error of this process's clock in nanoseconds (a C ``long long``).
``die``
    JSON, ``{"at", "of", "nth"}``: SIGKILL to itself when it has come to a place for the nth time from now on. Before
    that it moves the file to ``died``, with its process id in it, and syncs it. Places:

    ========== =============================================================================================
    ``commit``  a write of the node's, all of it done but the COMMIT
    ``after``   the same behind the COMMIT: it is on the disk, and memory knows nothing of it
    ``replay``  a block that a starting node takes up from its database
    ``torn``    a vote is in the file beside the validator's, which is to be renamed
    ``vote``    a vote is in the validator's file, and nothing of it is sent
    ========== =============================================================================================

    ``of`` of a write: ``transactions`` or ``blocks`` that came in, or ``reorganisation``, blocks for which others are
    left; null: any.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_OF = {"receive_transactions": "transactions", "_accept": "blocks"}


def _wrong_clock(path: Path) -> None:
    with path.open("rb") as file:
        error = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real = time.time_ns

    def time_ns() -> int:
        return int(real() + struct.unpack("q", error[:8])[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


class _Death:
    def __init__(self, folder: Path) -> None:
        self._order, self._mark = folder / "die", folder / "died"
        self._text, self._count = "", 0

    def reach(self, at: str, of: str | None = None) -> None:
        """The process is at a place."""
        try:
            text = self._order.read_text()
        except FileNotFoundError:
            return
        if text != self._text:
            self._text, self._count = text, 0
        order = json.loads(text)
        if at != order["at"] or order["of"] not in (None, of):
            return
        self._count += 1
        if self._count == order["nth"]:
            self._die({**order, "of": of, "pid": os.getpid()})

    def _die(self, what: dict[str, Any]) -> None:
        descriptor = os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, json.dumps(what).encode())
        os.fsync(descriptor)
        self._order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()


def _in_the_node(death: _Death) -> None:
    from chain.blockchain import Blockchain
    from chain.store import Store

    write, disconnect, add = Store.write, Store.set_disconnected, Blockchain.add
    left = False

    @contextlib.contextmanager
    def dying_write(self: Store) -> Iterator[None]:
        nonlocal left
        left = False
        caller = sys._getframe(2).f_code.co_name  # this generator, contextlib, who writes
        with write(self):
            yield
            of = "reorganisation" if left else _OF.get(caller, caller)
            death.reach("commit", of)
        death.reach("after", of)

    def noted_disconnect(self: Store, *given: Any) -> None:
        nonlocal left
        left = True
        disconnect(self, *given)

    def dying_add(self: Blockchain, *given: Any) -> Any:
        if sys._getframe(1).f_code.co_name == "load":
            death.reach("replay")
        return add(self, *given)

    Store.write, Store.set_disconnected, Blockchain.add = dying_write, noted_disconnect, dying_add  # type: ignore[method-assign]


def _in_the_validator(death: _Death) -> None:
    from chain.voting import VoteFile
    from runtime.files import Files

    write, replace = VoteFile._write, Files.replace

    def dying_replace(self: Files, new: Path, path: Path) -> None:
        if path.name == "checkpoints.json":
            death.reach("torn")
        replace(self, new, path)

    def dying_write(self: VoteFile, vote: Any) -> None:
        write(self, vote)
        death.reach("vote")

    Files.replace, VoteFile._write = dying_replace, dying_write  # type: ignore[method-assign]


def _begin(folder: Path) -> None:
    _wrong_clock(folder / "clock")
    death = _Death(folder)
    _in_the_node(death) if "node" in sys.orig_argv else _in_the_validator(death)


# A service, not the children that it starts.
if "ASSAY_FAULTS" in os.environ and {"node", "validator"} & set(sys.orig_argv):
    _begin(Path(os.environ["ASSAY_FAULTS"]))
