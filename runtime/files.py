"""Writing a file so that neither a reader nor a crash sees half of it.

The steps are methods of :class:`Files`, so that a test can have a disk that fails between any two of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path


class Files:
    """The system's own disk."""

    def read(self, path: Path) -> bytes:
        """Raises ``FileNotFoundError``."""
        return path.read_bytes()

    def create(self, path: Path, data: bytes, mode: int) -> Path:
        """A new file beside ``path`` with this content, which is not on the disk yet."""
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
        except BaseException:
            self.remove(Path(name))
            raise
        return Path(name)

    def sync(self, path: Path) -> None:
        """Have the content of a file, or the names in a folder, on the disk when this returns."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, new: Path, path: Path) -> None:
        """Give ``new`` the name ``path``; which of the two files a crash leaves there is open until a sync."""
        os.replace(new, path)

    def remove(self, path: Path) -> None:
        """No such file is no matter."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def lock(self, path: Path) -> int:
        """A descriptor that holds the lock at ``path`` until :meth:`unlock` or the end of the process.

        Raises ``BlockingIOError``, whose text names the process that holds it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise BlockingIOError(f"in use by process {holder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Let others have it."""
        with contextlib.suppress(OSError):
            os.close(descriptor)


FILES = Files()


def atomic_write(path: Path, data: bytes, *, fsync: bool = True, mode: int = 0o644, files: Files = FILES) -> None:
    """Replace ``path`` by ``data`` so that a reader, or a crash, sees the old or the new content and nothing
    else.

    With ``fsync`` the content and the folder's entry are on the disk when this returns.
    """
    temporary = files.create(path, data, mode)
    try:
        if fsync:
            files.sync(temporary)
        files.replace(temporary, path)
    except BaseException:
        files.remove(temporary)
        raise
    if fsync:
        files.sync(path.parent)
