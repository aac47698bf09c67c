"""Jobs and names in pages, at a cost that does not grow with the chain: by indexes of the database, and in memory only
over jobs that are open or not final yet.

Any thread may ask.  The state asked with is read before the database, and what leaves the state is in the database
before that, so that nothing is missed in between.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from contextlib import closing

import immutables

from chain.schema import from_bytes
from chain.state import Job, State
from chain.store import Store

#: Where a job stands in the order of pages: height of the block that opened it, and its id.
Key = tuple[int, str]

#: What a list of jobs may be narrowed to: all, the open ones, or those in one state.
ALL, OPEN = "all", "open"
OPEN_STATES = ("training", "voting")
CLOSED_STATES = ("adopted", "rejected", "expired", "failed", "cancelled")
WHICH = (OPEN, ALL, *OPEN_STATES, *CLOSED_STATES)
#: Bytes of the jobs in one page, after which it ends early; about so many for each partition and each vote.
PAGE_BYTES = 8 * 1024 * 1024
PART_BYTES = 512


class Listing:
    """Asks one node's database, and the states that its node hands in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._order: tuple[immutables.Map[str, Job], list[Key]] = (immutables.Map(), [])

    def job(self, state: State, identifier: str) -> Job | None:
        """A job, open or over; ``state``: the head's."""
        found = state.jobs.get(identifier)
        if found is not None:
            return found
        data = self._store.job(identifier)
        return None if data is None else from_bytes(Job, data, len(data))

    def jobs(
        self, state: State, which: str, after: Key | None, limit: int, newest: bool = False
    ) -> tuple[list[Job], Key | None]:
        """Up to ``limit`` jobs behind ``after``, by height and id, and the key for the next page if there is one.

        ``which``: one of :data:`WHICH`; ``newest``: from the highest down.
        """
        found: list[Job] = []
        last: Key | None = None
        room = PAGE_BYTES
        with closing(self._archived(which, after, limit + 1, newest)) as archived:
            memory = self._in_memory(state, which, after, newest)
            for key, job, size in heapq.merge(memory, archived, key=lambda item: item[0], reverse=newest):
                if key == last:
                    continue  # its block was mined again after a reorganisation: it is the same in both
                if len(found) >= limit or room <= 0:
                    return found, last
                found.append(job)
                room -= size
                last = key
        return found, None

    def _in_memory(
        self, state: State, which: str, after: Key | None, newest: bool
    ) -> Iterator[tuple[Key, Job, int]]:
        rows, order = state.jobs, self._order
        if order[0] is not rows:  # one thread's may take the place of another's: each goes on with its own
            order = self._order = (rows, sorted((job.height, job.id) for job in rows.values()))
        keys = order[1]
        if newest:
            turns = range((len(keys) if after is None else bisect_left(keys, after)) - 1, -1, -1)
        else:
            turns = range(0 if after is None else bisect_right(keys, after), len(keys))
        for turn in turns:
            job = rows[keys[turn][1]]
            if which in (ALL, job.state) or (which == OPEN and job.is_open):
                yield keys[turn], job, _size(job)

    def _archived(
        self, which: str, after: Key | None, limit: int, newest: bool
    ) -> Generator[tuple[Key, Job, int]]:
        if which == OPEN or which in OPEN_STATES:
            return
        for kept in self._store.jobs(None if which == ALL else which, after, limit, newest):
            yield (kept.height, kept.id), from_bytes(Job, kept.data, len(kept.data)), len(kept.data)

    def names(self, kind: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """Up to ``limit`` names of ``datasets`` or ``models`` behind ``after``, and the last where there are more.

        A name may be one that the head at hand does not have, while the head moves.
        """
        found = self._store.names(kind, after, limit + 1)
        return found[:limit], found[limit - 1] if len(found) > limit else None


def _size(job: Job) -> int:
    """About how many bytes a job takes that is not encoded yet."""
    return PART_BYTES * (1 + len(job.votes) + sum(len(round_.partitions) for round_ in job.round_list))
