"""The miner's process."""

from __future__ import annotations

import os
import queue
import signal

import pytest

from chain import work
from chain.blocks import Header
from chain.node.miner import Miner
from chain.params import DEVELOPMENT

EASY = Header(1, "00" * 32, "00" * 32, 0, DEVELOPMENT.initial_target, 0)
#: Nobody finds this one.
HARD = Header(1, "00" * 32, "00" * 32, 0, work.compact_of(1 << 16), 0)


@pytest.fixture
def mining():
    answers: queue.Queue[tuple[int, int]] = queue.Queue()
    miner = Miner(lambda number, nonce: answers.put((number, nonce)), lambda: answers.put((-1, -1)))
    yield miner, answers
    miner.close()


def test_finds_a_nonce(mining):
    miner, answers = mining
    miner.search(1, EASY)
    number, nonce = answers.get(timeout=20)
    assert number == 1
    assert work.search(EASY.pack()[:-8], work.target_of(EASY.target), nonce, 1) == nonce


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


def test_another_process_takes_over_when_it_dies(mining):
    miner, answers = mining
    miner.start()
    first = miner._process
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert answers.get(timeout=20) == (-1, -1)
    miner.search(1, EASY)
    assert answers.get(timeout=20)[0] == 1


def test_ends_with_its_owner():
    lost = []
    miner = Miner(lambda number, nonce: None, lambda: lost.append(1))
    miner.search(1, HARD)
    process = miner._process
    miner.close()
    assert process.returncode is not None
    assert lost == []
