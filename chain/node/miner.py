"""The search for a nonce, in processes of its own: a hashing thread beside the node would slow every answer.

``python -P -m chain.node.miner`` reads one order a line from standard input, ``NUMBER PREFIX TARGET START END``
(the packed header without its nonce and the full target, both hexadecimal, and the nonces to try), or ``NUMBER
stop``; a new line ends the search for the one before. It answers ``NUMBER NONCE`` on standard output.  It ends
with its input, or with the process that started it, and not by a signal meant for all of a terminal or a unit:
SIGINT and SIGTERM are blocked in it, as the node that gets them too says when its search is over.

:class:`Miner` keeps one such process for each core, gives each its own part of the nonces, and stops the others
as soon as one has found.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chain import work
from chain.blocks import Header
from chain.params import Params
from runtime.guard import Leash, watch_parent

#: Nonces tried between two looks at the input: about two milliseconds.
SLICE = 2000


def main() -> int:
    """Serve orders until the input ends."""
    watch_parent()
    orders, answers = sys.stdin.buffer.fileno(), sys.stdout.buffer
    number, prefix, target, start, end = b"", b"", 0, 0, 0
    rest = b""
    while True:
        readable, _, _ = select.select([orders], [], [], 0 if start < end else None)
        if readable:
            data = os.read(orders, 65536)
            if not data:
                return 0
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                number, *order = lines[-1].split()
                start = end = 0
                if order != [b"stop"]:
                    prefix, target = bytes.fromhex(order[0].decode()), int(order[1], 16)
                    start, end = int(order[2]), int(order[3])
        if start >= end:
            continue
        nonce = work.search(prefix, target, start, min(SLICE, end - start))
        start += SLICE
        if nonce is not None:
            answers.write(b"%s %d\n" % (number, nonce))
            answers.flush()
            end = 0


def default_cores(params: Params) -> int:
    """Processes to search with: one on demand, all cores but one where blocks are mined all the time."""
    return max(1, (os.cpu_count() or 1) - 1) if params.target_interval_ms else 1


@contextmanager
def _signals_held() -> Iterator[None]:
    """Block SIGINT and SIGTERM in this thread. A child started meanwhile inherits that, and from its first
    instruction on: a handler of its own would come too late for a signal while it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Searcher:
    """One child process, from the node's side."""

    def __init__(
        self, leash: Leash, answered: Callable[[int, int], None], lost: Callable[[_Searcher], None]
    ) -> None:
        self._answered = answered
        self._lost = lost
        self._writing = threading.Lock()
        with _signals_held():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "chain.node.miner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=leash.environment(),
                pass_fds=leash.pass_fds,
            )
        self._reader = threading.Thread(target=self._listen, name="miner", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _listen(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - asked for above
        for line in self.process.stdout:
            number, nonce = line.split()
            self._answered(int(number), int(nonce))
        self._lost(self)

    def send(self, order: str) -> bool:
        """Hand over an order, from any thread; False when nobody reads any more."""
        assert self.process.stdin is not None  # noqa: S101 - asked for above
        with self._writing:
            try:
                self.process.stdin.write(order.encode())
                self.process.stdin.flush()
            except (BrokenPipeError, ValueError):  # ValueError: closed, in the moment that another thread stops it
                return False
        return True

    def close(self) -> None:
        """End the child and wait for it."""
        if self.alive:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    with self._writing:
                        pipe.close()
                except BrokenPipeError:
                    continue  # an order that nobody read


class Miner:
    """The child processes, from the node's side.

    :meth:`start`, :meth:`search`, :meth:`stop` and :meth:`close` are for one thread, to whose life the kernel
    ties the children's.
    """

    def __init__(self, found: Callable[[int, int], None], lost: Callable[[], None], cores: int = 1) -> None:
        """``found(number, nonce)`` is called from a thread of the miner's own, once for an order at most.

        So is ``lost()``, when a child has ended unasked: what it searched for has to be ordered again.
        """
        if cores < 1:
            raise ValueError(f"expected at least one core to search with, found {cores}")
        self._found = found
        self._lost = lost
        self._leash = Leash()
        self._searchers: list[_Searcher | None] = [None] * cores
        self._open: int | None = None  # the order that waits for its answer
        self._state = threading.Lock()  # guards the two above

    def start(self) -> None:
        """Have the children ready, so that the first block does not wait for them."""
        for index in range(len(self._searchers)):
            self._ready(index)

    def search(self, number: int, header: Header) -> None:
        """Look for a nonce for ``header``; whatever was searched for before is given up."""
        with self._state:
            self._open = number
        order = f"{number} {header.pack()[:-8].hex()} {work.target_of(header.target):x}"
        cores = len(self._searchers)
        for index in range(cores):
            start, end = (work.NONCES * each // cores for each in (index, index + 1))
            self._send(index, f"{order} {start} {end}\n")

    def stop(self, number: int) -> None:
        """Search for nothing."""
        with self._state:
            self._open = None
        for index in range(len(self._searchers)):
            self._send(index, f"{number} stop\n")

    def close(self) -> None:
        """End the children."""
        for index in range(len(self._searchers)):
            self._end(index)
        self._leash.close()

    def _answered(self, number: int, nonce: int) -> None:
        """A child has found; from its reader's thread."""
        with self._state:
            if number != self._open:
                return  # found twice at once, or given up in the same moment
            self._open = None
            # Within the lock, lest it undo the next search. Whoever is dead needs no stopping.
            for searcher in self._searchers:
                if searcher is not None:
                    searcher.send(f"{number} stop\n")
        self._found(number, nonce)

    def _ended(self, searcher: _Searcher) -> None:
        """A child's output has ended; from its reader's thread."""
        with self._state:
            unasked = searcher in self._searchers
        if unasked:
            self._lost()

    def _ready(self, index: int) -> _Searcher:
        """The child with this number: the one there is, or another one if it has died."""
        searcher = self._searchers[index]
        if searcher is not None and searcher.alive:
            return searcher
        self._end(index)
        searcher = _Searcher(self._leash, self._answered, self._ended)
        with self._state:
            self._searchers[index] = searcher
        return searcher

    def _send(self, index: int, order: str) -> None:
        for _ in range(2):
            searcher = self._ready(index)
            if searcher.send(order):
                return
            searcher.process.wait()
        raise BrokenPipeError(f"miner process {index} ends as soon as it is started")

    def _end(self, index: int) -> None:
        with self._state:
            searcher, self._searchers[index] = self._searchers[index], None
        if searcher is not None:
            searcher.close()


if __name__ == "__main__":
    sys.exit(main())
