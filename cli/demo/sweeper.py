"""Removes the demo's folders when the demo is gone, whatever ended it; a process of its own, for SIGKILL leaves no
time to tidy up.

It is given folders on standard input, one a line, and removes them when that ends. Run by its path with `-I -S`:
it needs nothing but the standard library, and starts in a few milliseconds.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

#: Tries to remove a folder, and seconds between them: the processes that write there may still be dying.
TRIES = 100
PAUSE = 0.1
#: Seconds that the demo waits for it; it goes on by itself after that.
PATIENCE = 15.0


class Sweeper:
    """The demo's side of it: a context manager; `remove_later` hands it folders, leaving it removes them."""

    def __enter__(self) -> Sweeper:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        return self

    def remove_later(self, folder: Path) -> None:
        """The folder goes when this process does, or when the context is left."""
        if self._process.stdin is None:
            raise RuntimeError("the sweeper was started without its pipe")
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()

    def folder(self) -> Path:
        """A new private folder that goes when this process does."""
        made = Path(tempfile.mkdtemp(prefix="assay-demo-"))
        self.remove_later(made)
        return made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(PATIENCE)


def main() -> None:
    """Wait for the end of standard input, then remove what was named there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it outlives the demo, by a moment
    for folder in [Path(line.rstrip("\n")) for line in sys.stdin]:
        for _ in range(TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
