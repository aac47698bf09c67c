"""The miner's processes."""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from chain import work
from chain.blocks import Header
from chain.node.miner import Miner, default_cores
from chain.params import DEVELOPMENT, OPEN
from runtime.guard import PORTABLE_VARIABLE

EASY = Header(1, "00" * 32, "00" * 32, 0, DEVELOPMENT.initial_target, 0)
#: Nobody finds this one.
HARD = Header(1, "00" * 32, "00" * 32, 0, work.compact_of(1 << 16), 0)


@pytest.fixture(params=[1, 3], ids=["one core", "three cores"])
def mining(request):
    answers: queue.Queue[tuple[int, int]] = queue.Queue()
    miner = Miner(lambda *found: answers.put(found), lambda: answers.put((-1, -1)), request.param)
    yield miner, answers
    miner.close()


def processes(miner):
    return [searcher.process for searcher in miner._searchers]


def nonces(miner, answers, times):
    """The nonces found for as many different headers."""
    found = []
    for number in range(times):
        header = replace(EASY, time=number)
        miner.search(number, header)
        answered, nonce = answers.get(timeout=20)
        assert answered == number
        assert work.meets(replace(header, nonce=nonce))
        found.append(nonce)
    return found


def test_finds_a_nonce(mining):
    nonces(*mining, 1)


def test_each_core_searches_its_own_part_of_the_nonces(mining):
    miner, answers = mining
    miner.start()
    cores = len(processes(miner))
    for index, process in enumerate(processes(miner)):
        for other in processes(miner):
            os.kill(other.pid, signal.SIGCONT if other is process else signal.SIGSTOP)
        begin = work.NONCES * index // cores
        for nonce in nonces(miner, answers, 3):
            assert begin <= nonce < begin + (1 << 20)
    for process in processes(miner):
        os.kill(process.pid, signal.SIGCONT)


def test_one_answer_for_an_order_though_all_could_find(mining):
    miner, answers = mining
    trivial = replace(EASY, target=work.compact_of(work.MAX_TARGET))
    for number in range(50):
        miner.search(number, trivial)
        assert answers.get(timeout=20)[0] == number
    assert answers.empty()


def test_all_stop_as_soon_as_one_has_found():
    """The others get the order to stop before anybody hears of the nonce."""
    told = []
    seen = threading.Event()

    def found(number, nonce):
        told.extend(orders)
        seen.set()

    miner = Miner(found, lambda: None, 2)
    try:
        miner.start()
        orders: list[str] = []
        for searcher in miner._searchers:
            searcher.send = lambda order, send=searcher.send: orders.append(order) or send(order)
        miner.search(7, EASY)
        assert seen.wait(20)
    finally:
        miner.close()
    assert told[-2:] == ["7 stop\n"] * 2
    first, second = (order.split() for order in told[:2])
    assert first[-1] == second[-2] == str(2**63)
    assert (first[-2], second[-1]) == ("0", str(2**64))


def test_gives_up_the_old_search_for_the_new_one(mining):
    miner, answers = mining
    miner.search(1, HARD)
    miner.search(2, EASY)
    assert answers.get(timeout=20)[0] == 2
    miner.search(3, HARD)
    miner.stop(3)
    miner.search(4, EASY)
    assert answers.get(timeout=20)[0] == 4
    assert answers.empty()


def test_an_answer_that_comes_after_the_search_was_given_up_is_not_passed_on(mining):
    miner, answers = mining
    miner.search(1, HARD)
    miner._answered(0, 5)
    miner.stop(1)
    miner._answered(1, 5)
    miner.search(2, EASY)
    assert answers.get(timeout=20)[0] == 2


def test_another_process_takes_over_when_one_dies(mining):
    miner, answers = mining
    miner.start()
    first = processes(miner)[-1]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert answers.get(timeout=20) == (-1, -1)
    nonces(miner, answers, 1)
    assert processes(miner)[-1].poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_goes_on_when_a_terminal_or_a_unit_signals_all_of_its_processes(mining, number):
    """Ctrl-C reaches the node's children too: the node says when their search is over, and nothing is said of it."""
    miner, answers = mining
    miner.start()
    for process in processes(miner):
        process.send_signal(number)  # at once: they are still starting
    nonces(miner, answers, 1)
    for process in processes(miner):
        process.send_signal(number)
    nonces(miner, answers, 1)
    assert answers.empty()
    assert [process.poll() for process in processes(miner)] == [None] * len(processes(miner))


def test_holds_signals_for_its_children_alone(mining):
    miner, _ = mining
    miner.start()
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ends_with_its_owner():
    lost = []
    miner = Miner(lambda number, nonce: None, lambda: lost.append(1), 2)
    miner.search(1, HARD)
    ended = processes(miner)
    miner.close()
    assert [process.returncode for process in ended] == [-signal.SIGKILL] * 2
    assert lost == []


@pytest.mark.parametrize("portable", [False, True])
def test_no_process_outlives_an_owner_that_is_killed(portable):
    program = f"""
from chain.blocks import Header
from chain.node.miner import Miner
miner = Miner(print, print, 2)
miner.search(1, Header(1, "00" * 32, "00" * 32, 0, {HARD.target}, 0))
print(*[each.process.pid for each in miner._searchers], flush=True)
input()
"""
    environment = {**os.environ, **({PORTABLE_VARIABLE: "1"} if portable else {})}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout is not None
        # A pidfd tells of the end of each.
        watched = [os.pidfd_open(int(pid)) for pid in owner.stdout.readline().split()]
        assert len(watched) == 2
        owner.kill()
    for fd in watched:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(20_000), "a miner's process outlived its owner by 20 s"
        os.close(fd)


def test_one_core_on_demand_and_all_but_one_where_blocks_are_mined_all_the_time(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert (default_cores(DEVELOPMENT), default_cores(OPEN)) == (1, 7)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (default_cores(DEVELOPMENT), default_cores(OPEN)) == (1, 1)


def test_there_is_no_mining_on_less_than_one_core():
    with pytest.raises(ValueError, match="at least one core"):
        Miner(lambda number, nonce: None, lambda: None, 0)
