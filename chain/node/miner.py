"""The search for a nonce, in a process of its own: a hashing thread beside the node would slow every answer.

``python -P -m chain.node.miner`` reads one order a line from standard input, ``NUMBER PREFIX TARGET`` (the
packed header without its nonce and the full target, both hexadecimal), or ``NUMBER stop``; a new line ends
the search for the one before. It answers ``NUMBER NONCE`` on standard output.  It ends with its input, or
with the process that started it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable

from chain import work
from chain.blocks import Header
from runtime.guard import Leash, watch_parent

#: Nonces tried between two looks at the input: about two milliseconds.
SLICE = 2000


def main() -> int:
    """Serve orders until the input ends."""
    watch_parent()
    orders, answers = sys.stdin.buffer.fileno(), sys.stdout.buffer
    number, prefix, target, start = b"", b"", 0, 0
    rest = b""
    while True:
        readable, _, _ = select.select([orders], [], [], 0 if prefix else None)
        if readable:
            data = os.read(orders, 65536)
            if not data:
                return 0
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                number, *order = lines[-1].split()
                prefix, target, start = b"", 0, 0
                if order != [b"stop"]:
                    prefix, target = bytes.fromhex(order[0].decode()), int(order[1], 16)
        if not prefix:
            continue
        nonce = work.search(prefix, target, start, SLICE)
        start += SLICE
        if nonce is not None:
            answers.write(b"%s %d\n" % (number, nonce))
            answers.flush()
            prefix = b""


class Miner:
    """The child process, from the node's side.  :meth:`search` and :meth:`stop` are for one thread."""

    def __init__(self, found: Callable[[int, int], None], lost: Callable[[], None]) -> None:
        """``found(number, nonce)`` is called from a thread of the miner's own.

        So is ``lost()``, when the child has ended unasked: what it searched for has to be ordered again.
        """
        self._found = found
        self._lost = lost
        self._leash = Leash()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the child, or another one if it has died."""
        process = self._process
        if process is not None and process.poll() is None:
            return process
        self._reap()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chain.node.miner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._leash.environment(),
            pass_fds=self._leash.pass_fds,
        )
        self._process = process
        self._reader = threading.Thread(target=self._listen, args=(process,), name="miner", daemon=True)
        self._reader.start()
        return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above
        for line in process.stdout:
            number, nonce = line.split()
            self._found(int(number), int(nonce))
        if process is self._process:
            self._lost()

    def start(self) -> None:
        """Have the child ready, so that the first block does not wait for it."""
        self._start()

    def search(self, number: int, header: Header) -> None:
        """Look for a nonce for ``header``; whatever was searched for before is given up."""
        prefix = header.pack()[:-8].hex()
        self._send(f"{number} {prefix} {work.target_of(header.target):x}\n")

    def stop(self, number: int) -> None:
        """Search for nothing."""
        self._send(f"{number} stop\n")

    def _send(self, order: str) -> None:
        for last in (False, True):
            process = self._start()
            assert process.stdin is not None  # noqa: S101 - asked for above
            try:
                process.stdin.write(order.encode())
                process.stdin.flush()
            except BrokenPipeError:
                if last:
                    raise
                process.wait()
            else:
                return

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # an order that nobody read

    def close(self) -> None:
        """End the child."""
        self._reap()
        self._leash.close()


if __name__ == "__main__":
    sys.exit(main())
