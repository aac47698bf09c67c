"""The node at work: one thread that writes, a child that mines; :mod:`chain.node.running` puts HTTP in front.

All changes go through one inbox to one thread, which takes whatever has come in and writes it in one go: many
transactions that arrive together share one wait for the disk.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.errors import ChainError, ConflictingFinality
from chain.node.blocklog import BlockLog
from chain.node.core import Node
from chain.node.events import Bell
from chain.node.interface import Clock, Receipt
from chain.node.miner import Miner, default_cores
from chain.node.peering.peer import PeerRefused
from chain.node.peering.shell import Peers
from chain.store import Store
from chain.transactions import Signed
from runtime.logs import get_logger

#: Transactions written together at most.
BATCH = 500
#: Seconds an answer may take while the disk is slow.
ACKNOWLEDGE_SECONDS = 30.0
#: Seconds after which a wait for the time of day looks at the clock again, which may have been set.
CLOCK_SECONDS = 1.0
#: Seconds to wait after the disk refused a write.
RETRY_SECONDS = 1.0
#: Seconds for which a node that has seen two branches final still answers its peers.
PART_SECONDS = 6.0

T = TypeVar("T")
_log = get_logger(__name__)


class Unacknowledged(Exception):  # noqa: N818 - says what the sender has to know
    """The transaction could not be written down: the sender has to send it again."""


@dataclass(frozen=True)
class _Submission:
    signed: Signed
    answer: Future[Receipt | ChainError]

    def begins(self) -> bool:
        """Whether somebody waits for the answer still; from then on they get one."""
        return self.answer.set_running_or_notify_cancel()


@dataclass(frozen=True)
class _Found:
    number: int
    nonce: int


@dataclass(frozen=True)
class _MinerLost:
    """The miner's process has ended, and with it the search it was at."""


@dataclass(frozen=True)
class _Call:
    """Something to be done by the writer, and who waits for it."""

    do: Callable[[], object]
    answer: Future[object] | None


_Item = _Submission | _Found | _MinerLost | _Call | None


class Service:
    """A node with its writer thread and its miner; :meth:`start` and :meth:`close` belong to one thread."""

    def __init__(
        self,
        node: Node,
        store: Store,
        log: BlockLog,
        stop: threading.Event,
        run: str,
        url: str = "",
        peers: Sequence[str] = (),
    ) -> None:
        """``url``: where other nodes reach this one, empty: nowhere. ``peers``: addresses of others."""
        self.node = node
        self.store = store
        self.log = log
        self.stop = stop
        self.run = run
        """Names this database's numbering of events."""
        self.bell = Bell()
        self.error: BaseException | None = None
        """What ended the writer, when it was not asked to end."""
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._miner = Miner(
            found=lambda number, nonce: self._inbox.put(_Found(number, nonce)),
            lost=lambda: self._inbox.put(_MinerLost()),
            cores=default_cores(node.params),
        )
        self._mining: int | None = None
        self._pause_until: float | None = None
        self._writer = threading.Thread(target=self._write, name="node-writer", daemon=True)
        self._waker = threading.Thread(target=self._wake, name="node-stop", daemon=True)
        self._steady = steady_clock()
        self.peers = Peers(node, store, self._steady, self.post, url, peers)

    # ------------------------------------------------------------------ any thread

    def submit(self, signed: Signed) -> Receipt:
        """Hand in a signed transaction and wait until it is on the disk.

        Raises the ``ChainError`` that speaks against it, or :class:`Unacknowledged`.
        """
        answer: Future[Receipt | ChainError] = Future()
        self._inbox.put(_Submission(signed, answer))
        try:
            found = answer.result(ACKNOWLEDGE_SECONDS)
            if isinstance(found, ChainError):
                raise found
            return found
        except TimeoutError:
            answer.cancel()  # nobody waits for it any more: the writer leaves it out, if it has not begun
            raise Unacknowledged(f"the disk did not take it within {ACKNOWLEDGE_SECONDS:.0f} s") from None
        finally:
            # Otherwise an error that is raised here holds this frame, which holds it, and the caller's with the body:
            # the collector looks for such rings seldom (runtime/collecting.py).
            found = None  # type: ignore[assignment]
            del answer

    def post(self, do: Callable[[], object]) -> None:
        """Have the writer do it, soon."""
        self._inbox.put(_Call(do, None))

    def call(self, do: Callable[[], T]) -> T:
        """Have the writer do it, and wait; raises what it raises, and :class:`Unacknowledged`."""
        answer: Future[object] = Future()
        self._inbox.put(_Call(do, answer))
        try:
            return answer.result(ACKNOWLEDGE_SECONDS)  # type: ignore[return-value]
        except TimeoutError:
            raise Unacknowledged(f"the node did not get to it within {ACKNOWLEDGE_SECONDS:.0f} s") from None
        finally:
            del answer  # as in submit

    def now(self) -> int:
        """Milliseconds since 1970 UTC."""
        return clock()

    @property
    def alive(self) -> bool:
        """The writer works."""
        return self._writer.is_alive() and self.error is None

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Begin to write and to mine."""
        self._writer.start()
        self._waker.start()

    def close(self) -> None:
        """End the writer and the miner, after what they are at."""
        self.stop.set()
        self._waker.join()
        self._writer.join()
        self.peers.close()
        self._refuse_rest()

    def _wake(self) -> None:
        self.stop.wait()
        self.bell.close()
        self._inbox.put(None)

    # ------------------------------------------------------------------ the writer

    def _write(self) -> None:
        try:
            # Started here because the kernel's guard binds the child to the thread that started it.
            self._miner.start()
            while not self.stop.is_set():
                self._step()
        except BaseException as error:  # noqa: BLE001 - no node without its writer
            self.error = error
            try:
                _log.critical("the node stops", reason=str(error), exc_info=error)
                if isinstance(error, ConflictingFinality):
                    self._part()
            finally:
                self.stop.set()
        finally:
            self._miner.close()

    def _part(self) -> None:
        """Two branches are final: before the node ends, let its peers see both, for a few seconds."""
        if self._mining is not None:
            self._miner.stop(self._mining)
        self.peers.peering.part()
        end = time.monotonic() + PART_SECONDS
        with suppress(queue.Empty):
            # The time is asked for, too: as long as something is there, ``get`` never runs out of it.
            while self.peers.peering.peers and not self.stop.is_set() and (left := end - time.monotonic()) > 0:
                item = self._inbox.get(timeout=left)
                if isinstance(item, _Call):
                    self._do(item)
                elif isinstance(item, _Submission) and item.begins():
                    _refuse(item.answer)

    def _step(self) -> None:
        items = self._take()
        submissions = [each for each in items if isinstance(each, _Submission) and each.begins()]
        before, rest = (self.node.seq, self.node.drops), deque(items)
        try:
            self._answer(submissions)
            while rest:
                each = rest.popleft()
                if isinstance(each, _Found):
                    self._mining = None
                    self.node.mined(each.number, each.nonce)
                elif isinstance(each, _Call):
                    self._do(each)
                elif isinstance(each, _MinerLost):
                    _log.error("the miner's process has ended; starting another")
                    self._mining = None
                    self._pause_until = time.monotonic() + RETRY_SECONDS
            self.peers.on_time()
            self._mine()
            if self.node.seq != self.log.seq:
                self.log.update()
        except ConflictingFinality:
            for each in rest:
                if isinstance(each, _Call):
                    self._inbox.put(each)  # peers that ask are answered still
            raise
        except (sqlite3.OperationalError, OSError) as error:
            _log.error("the disk refused a write; trying again", reason=str(error))
            self._pause_until = time.monotonic() + RETRY_SECONDS
            if any(isinstance(each, _Found) for each in items):
                self._mining = None  # what was found may be lost with it: the search begins again
            for each in rest:
                if not isinstance(each, _Submission):  # those have their answers
                    self._inbox.put(each)
        if (self.node.seq, self.node.drops) != before or submissions or any(isinstance(each, _Call) for each in items):
            self.bell.ring()

    def _take(self) -> list[_Item]:
        """What has come in; waits for it, or until something is due."""
        waits = []
        if (due := self.node.next_time()) is not None:
            waits.append(min((due - clock()) / 1000, CLOCK_SECONDS))
        if (due := self.peers.next_time()) is not None:
            waits.append((due - self._steady()) / 1000)
        timeout = max(0.0, min(waits)) if waits else None
        if self._pause_until is not None:
            timeout = max(0.0, self._pause_until - time.monotonic())
        items: list[_Item] = []
        with suppress(queue.Empty):
            items.append(self._inbox.get(timeout=timeout))
            while len(items) < BATCH:
                items.append(self._inbox.get_nowait())
        return items

    def _answer(self, submissions: list[_Submission]) -> None:
        if not submissions:
            return
        try:
            answers = self.node.receive_transactions([each.signed for each in submissions])
        except BaseException as error:
            for each in submissions:
                each.answer.set_exception(Unacknowledged(f"it could not be written down: {error}"))
            raise
        for each, answer in zip(submissions, answers, strict=True):
            each.answer.set_result(answer)

    def _do(self, call: _Call) -> None:
        """Do what was asked, and say how it went."""
        try:
            found = call.do()
        except PeerRefused as refused:
            if call.answer is not None:
                call.answer.set_exception(refused.with_traceback(None))
        except Exception as error:
            if call.answer is not None:
                call.answer.set_exception(Unacknowledged(f"it could not be done: {error}"))
            if isinstance(error, ConflictingFinality):
                raise
            # Whatever a peer made go wrong, the node goes on, and the items behind this one have their turn.
            _log.error("a message could not be dealt with", reason=str(error), exc_info=error)
            if isinstance(error, (sqlite3.OperationalError, OSError)):
                self._pause_until = time.monotonic() + RETRY_SECONDS
        else:
            if call.answer is not None:
                call.answer.set_result(found)

    def _mine(self) -> None:
        if self._pause_until is not None:
            if self._pause_until > time.monotonic():
                return
            self._pause_until = None
        task = self.node.on_time()
        number = None if task is None else task.number
        if number == self._mining:
            return
        if task is None:
            self._miner.stop(self._mining or 0)
        else:
            self._miner.search(task.number, task.block.header)
        self._mining = number

    def _refuse_rest(self) -> None:
        with suppress(queue.Empty):
            while True:
                item = self._inbox.get_nowait()
                if (isinstance(item, _Submission) and item.begins()) or isinstance(item, _Call):
                    _refuse(item.answer)


def _refuse(answer: Future[Any] | None) -> None:
    if answer is not None:
        answer.set_exception(Unacknowledged("the node is stopping"))


def clock() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def steady_clock() -> Clock:
    """A clock that is right now and goes on evenly, also when the system's is set: for waits, which would otherwise
    last as long as that was set back."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset) // 1_000_000
