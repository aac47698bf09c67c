"""A network of the test's own: a namespace for each member, and switches that are plugged together or apart.

Everything lies in namespaces made here; the machine's own network is not touched. The *hub* holds the switches
(bridges). Each member has two cables (veth pairs) into the hub: one to a switch, by which members reach each other,
and one that only the test uses, so that it reaches a member wherever that one is plugged in.

Names say whose they are: the process that made them, and when that one began. What a killed run has left is removed by
the next one. Needs Linux, root and the command `ip` (iproute2).
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import psutil

NAMES = re.compile(r"assay-net-(\d+)-(\d+)-\d+-\w+")
#: Where `ip netns` keeps the names (ip-netns(8)).
RUN = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_made = itertools.count()


def why_not() -> str | None:
    """What keeps this process from making namespaces; None: nothing."""
    if shutil.which("ip") is None:
        return "no command ip (iproute2)"
    if os.geteuid() != 0:
        return "they take root"
    probe = f"{_prefix()}probe"
    try:
        _ip("netns", "add", probe)
        _ip("-n", probe, "link", "add", "switch", "type", "bridge")
        _ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip() or "ip does not work here"
    finally:
        _remove([probe])
    return None


def sweep() -> list[str]:
    """Remove what runs that are gone have left; the names."""
    left = []
    for path in RUN.iterdir() if RUN.exists() else ():
        found = NAMES.fullmatch(path.name)
        if found is not None and not _runs(int(found[1]), int(found[2])):
            left.append(path.name)
    _remove(left)
    return left


def _runs(pid: int, begun: int) -> bool:
    try:
        return int(psutil.Process(pid).create_time()) == begun
    except psutil.NoSuchProcess:
        return False


def _prefix() -> str:
    return f"assay-net-{os.getpid()}-{int(psutil.Process().create_time())}-{next(_made)}-"


def _ip(*arguments: str, lines: Sequence[str] = ()) -> str:
    """What `ip ARGUMENTS` prints; `lines` are commands for `-batch -`."""
    done = subprocess.run(
        ["ip", *arguments], input="\n".join(lines), check=True, capture_output=True, text=True, timeout=20
    )
    return done.stdout


def _remove(names: Collection[str]) -> None:
    for name in names:
        if (RUN / name).exists():
            with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                _ip("netns", "del", name)


class Switches:
    """The hub and `count` members, all on one switch at first; :meth:`close` removes them."""

    def __init__(self, count: int) -> None:
        self.count = count
        prefix = _prefix()
        self.hub = f"{prefix}hub"
        self.members = [f"{prefix}{number}" for number in range(count)]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def address(self, member: int) -> str:
        """Where other members reach it, while they are on one switch."""
        return f"10.77.0.{member + 1}"

    def control(self, member: int) -> str:
        """Where the test reaches it, always; only from within the hub."""
        return f"10.78.{member}.2"

    @contextlib.contextmanager
    def inside(self, member: int | None = None) -> Iterator[None]:
        """Within a member's namespace, or the hub's: this thread's sockets, and the threads and processes it starts."""
        name = self.hub if member is None else self.members[member]
        with Path("/proc/thread-self/ns/net").open() as before, (RUN / name).open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def part(self, groups: Sequence[Collection[int]]) -> None:
        """Members of a group reach each other and nobody else; who is in none reaches nobody."""
        switch = {member: number for number, group in enumerate(groups) for member in group}
        lines = []
        for member in range(self.count):
            if member in switch:
                lines += [f"link set m{member} master switch{switch[member]}", f"link set m{member} up"]
            else:
                lines.append(f"link set m{member} down")
        _ip("-n", self.hub, "-batch", "-", lines=lines)

    def heal(self) -> None:
        """All on one switch."""
        self.part([range(self.count)])

    def close(self) -> None:
        """Remove all of it."""
        _remove([*self.members, self.hub])

    def _make(self) -> None:
        for name in (self.hub, *self.members):
            _ip("netns", "add", name)
        lines = ["link set lo up"]
        for number in range(self.count):
            lines += [f"link add switch{number} type bridge", f"link set switch{number} up"]
        for number, name in enumerate(self.members):
            lines += [
                f"link add m{number} type veth peer name lan netns {name}",
                f"link add c{number} type veth peer name control netns {name}",
                f"addr add 10.78.{number}.1/30 dev c{number}",
                f"link set c{number} up",
            ]
        _ip("-n", self.hub, "-batch", "-", lines=lines)
        for number, name in enumerate(self.members):
            inner = [
                "link set lo up",
                f"addr add {self.address(number)}/24 dev lan",
                f"addr add {self.control(number)}/30 dev control",
                "link set lan up",
                "link set control up",
            ]
            _ip("-n", name, "-batch", "-", lines=inner)
        self.heal()


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the thread cannot enter the namespace: {os.strerror(number)}")
