"""``blockchain.log``: one line for each event, ``key=value``, made for ``tail -f`` and ``grep``.

The file is a view of the events in the database.  Each line carries its event's number, so that after a
crash the writer finds where it was, removes a line that was cut short, and goes on with the next event:
none is lost and none is written twice.  A file that was moved away or deleted while the node was down is
written again from the beginning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from chain.happened import StoredEvent

#: Reads up to so many events above a number.
Read = Callable[[int, int], list[StoredEvent]]

_PAGE = 500
_TAIL = 64 * 1024
_SEQ = re.compile(rb"^\S+ seq=(\d+) ")
_PLAIN = re.compile(r"[^\s\"=\\]+")


def line_of(event: StoredEvent) -> str:
    """The event's line, without the line break.

    Texts with spaces, quotes, ``=`` or control characters stand in JSON quotes; fields that are null are
    left out.
    """
    moment = datetime.fromtimestamp(event.time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    words = [
        f"{moment}.{event.time % 1000:03d}Z",
        f"seq={event.seq}",
        f"height={event.height}",
        f"block={event.block}",
        f"event={event.kind}",
    ]
    if event.undone:
        words.append("undone=true")
    words += [f"{key}={_word(value)}" for key, value in event.fields.items() if value is not None]
    return " ".join(words)


def _word(value: str | int) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else json.dumps(text, ensure_ascii=True)


class BlockLog:
    """The writer; one per file."""

    def __init__(self, path: Path, read: Read) -> None:
        """Open the file and bring it up to date with the events that ``read`` gives."""
        self.path = path
        self._read = read
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        self.update()

    @property
    def seq(self) -> int:
        """Number of the last event written."""
        return self._seq

    def _open(self) -> None:
        # Without a buffer, which would keep lines that the disk refused and write them behind later ones.
        self._file = self.path.open("ab", buffering=0)
        self._seq = self._repair()

    def _repair(self) -> int:
        """Cut off an unfinished last line; the number of the last whole one."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - _TAIL)
            file.seek(start)
            tail = file.read()
            while start > 0 and tail.count(b"\n") < 2:
                start = max(0, start - _TAIL)
                file.seek(start)
                tail = file.read(size - start)
        end = tail.rfind(b"\n") + 1
        if end < len(tail):
            self._file.truncate(start + end)
        for line in reversed(tail[:end].splitlines()):
            found = _SEQ.match(line)
            if found:
                return int(found[1])
        return 0

    def update(self) -> None:
        """Append the lines of all events that the file does not have yet.

        Raises ``OSError`` when the disk takes no more; the next call goes on behind the last whole line.
        """
        if self._file.closed:
            self._open()
        while True:
            events = self._read(self._seq, _PAGE)
            if not events:
                return
            try:
                self._write("".join(line_of(event) + "\n" for event in events).encode())
            except OSError:
                self._file.close()
                raise
            self._seq = events[-1].seq

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        self._file.close()
