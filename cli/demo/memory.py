"""How much memory a process and all that it started take: the sum of their proportional set sizes (PSS), in which
a page that n processes share counts 1/n in each. Linux tells (`/proc/PID/smaps_rollup`, proc_pid_smaps_rollup(5)).
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")


def pss(root: int | None = None) -> tuple[int, int] | None:
    """Bytes and number of processes of `root` (this one) and its descendants; None where the system cannot tell."""
    sizes = [size for pid in family(os.getpid() if root is None else root) if (size := _pss_of(pid)) is not None]
    return (sum(sizes), len(sizes)) if sizes else None


def family(root: int) -> list[int]:
    """`root` and its descendants; empty where there is no /proc."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # "pid (name) state parent ...": a name may hold spaces and brackets, proc_pid_stat(5).
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(folder.name))
    if not children:
        return []
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def _pss_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


class Peak:
    """The most that was seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self.processes = 0

    def look(self) -> None:
        """Measure now."""
        now = pss()
        if now is not None and now[0] > self.bytes:
            self.bytes, self.processes = now

    def document(self) -> dict[str, float | int] | None:
        """What was seen, in MiB; None where the system cannot tell."""
        return {"mib": round(self.bytes / 2**20, 1), "processes": self.processes} if self.bytes else None
