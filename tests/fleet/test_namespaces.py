"""The network of the tests' own: who reaches whom, and nothing is left of it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.fleet.namespaces import RUN, Switches, sweep
from tests.fleet.network import wait_for

PORT = 7001
PATIENCE = 0.3

pytestmark = [pytest.mark.fleet, pytest.mark.usefixtures("namespaces")]


@pytest.fixture
def switches() -> Iterator[Switches]:
    made = Switches(3)
    try:
        yield made
    finally:
        made.close()


def test_members_of_a_group_reach_each_other_and_the_test_reaches_all(switches):
    with contextlib.ExitStack() as open_:
        for member in range(3):
            with switches.inside(member):
                open_.enter_context(socket.create_server(("0.0.0.0", PORT)))

        def reaches(member: int | None, address: str) -> bool:
            with switches.inside(member), contextlib.suppress(OSError):
                socket.create_connection((address, PORT), PATIENCE).close()
                return True
            return False

        def reached(member: int) -> set[int]:
            return {other for other in range(3) if other != member and reaches(member, switches.address(other))}

        def all_reach(expected: list[set[int]]) -> None:
            """A plug takes a moment."""

            def found() -> list[set[int]]:
                return [reached(member) for member in range(3)]

            wait_for(lambda: found() == expected, 10.0, lambda: str(found()))

        all_reach([{1, 2}, {0, 2}, {0, 1}])
        switches.part([(0, 1), (2,)])
        all_reach([{1}, {0}, set()])
        switches.part([(1, 2)])
        all_reach([set(), {2}, {1}])
        assert all(reaches(None, switches.control(member)) for member in range(3))
        assert not reaches(0, switches.control(1)), "the test's cables are no way around the switches"
        switches.heal()
        all_reach([{1, 2}, {0, 2}, {0, 1}])


def test_nothing_is_left(switches):
    names = [switches.hub, *switches.members]
    assert all((RUN / name).exists() for name in names)
    switches.close()
    assert not any((RUN / name).exists() for name in names)


def test_what_a_killed_run_leaves_is_removed_by_the_next_one_and_what_others_use_is_not(switches):
    program = (
        "import os, signal; from tests.fleet.namespaces import Switches; made = Switches(1); "
        "print(made.hub, *made.members, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    left = killed.stdout.split()
    assert killed.returncode == -9
    assert len(left) == 2
    assert all((RUN / name).exists() for name in left)
    assert set(left) <= set(sweep())
    assert not any((RUN / name).exists() for name in left)
    assert (RUN / switches.hub).exists()
