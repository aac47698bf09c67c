"""Pages of jobs: those in the state and those that have left it, as one list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import immutables
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import cid_of
from chain.node import listing
from chain.node.listing import CLOSED_STATES, OPEN_STATES, WHICH, Listing
from chain.schema import Address, Cid, to_bytes
from chain.state import Job, Partition, Round, State
from chain.state.objects import JobState
from chain.state.tables import EMPTY
from chain.store import Store, StoredJob


def a_job(number: int, height: int, state: JobState = "training") -> Job:
    return Job(
        id=Cid(cid_of(str(number).encode())), opener=Address("0x" + "1" * 40), model="flowers", dataset="iris",
        estimator="{}", partitions=1, rounds=1, partitioning="{}", aggregation="average", minimum_updates=1,
        attempts=1, round_ms=1, vote_ms=1, height=height, opened=1, state=state,
    )  # fmt: skip


def in_state(jobs: list[Job]) -> State:
    return replace(EMPTY, tables=EMPTY.tables.set("jobs", immutables.Map({job.id: job for job in jobs})))


def archive(store: Store, jobs: list[Job]) -> None:
    with store.write():
        store.put_jobs(StoredJob(job.id, job.height, job.state, to_bytes(job)) for job in jobs)


def key(job: Job) -> tuple[int, str]:
    return job.height, job.id


@pytest.fixture
def store() -> Iterator[Store]:
    found = Store(None)
    yield found
    found.close()


#: Where a job is: in the state, in the archive, or, for some blocks after a reorganisation, in both.
places = st.sampled_from(("state", "archive", "both"))
jobs_anywhere = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from((*OPEN_STATES, *CLOSED_STATES)), places), max_size=14
)


@given(drawn=jobs_anywhere, which=st.sampled_from(WHICH), limit=st.integers(1, 5), newest=st.booleans())
def test_pages_put_together_are_all_that_was_asked_for_in_order(
    drawn: list[tuple[int, JobState, str]], which: str, limit: int, newest: bool
) -> None:
    jobs = [a_job(number, height, state) for number, (height, state, _) in enumerate(drawn)]
    where = [place if job.state in CLOSED_STATES else "state" for job, (_, _, place) in zip(jobs, drawn, strict=True)]
    store = Store(None)
    archive(store, [job for job, place in zip(jobs, where, strict=True) if place != "state"])
    state = in_state([job for job, place in zip(jobs, where, strict=True) if place != "archive"])
    found: list[Job] = []
    after = None
    asked = Listing(store)
    while True:
        page, after = asked.jobs(state, which, after, limit, newest)
        assert len(page) == limit or after is None
        found += page
        if after is None:
            break
        assert after == key(page[-1])
    wanted = [job for job in jobs if which in ("all", job.state) or (which == "open" and job.is_open)]
    assert found == sorted(wanted, key=key, reverse=newest)
    assert all(asked.job(state, job.id) == job for job in jobs)
    assert asked.job(state, cid_of(b"nobody's")) is None
    store.close()


def test_a_page_of_large_jobs_ends_early_and_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [replace(a_job(number, number, "adopted"), reason="x" * 3_000) for number in range(5)]
    archive(store, jobs)
    monkeypatch.setattr(listing, "PAGE_BYTES", 5_000)
    first, after = Listing(store).jobs(EMPTY, "all", None, 5)
    assert (first, after) == (jobs[:2], key(jobs[1]))
    assert Listing(store).jobs(EMPTY, "all", after, 5)[0] == jobs[2:4]


def test_so_does_a_page_of_open_ones(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    round_ = Round(0, 1, 2, None, tuple(Partition(index) for index in range(4)))
    state = in_state([replace(a_job(number, number), round_list=(round_,)) for number in range(5)])
    monkeypatch.setattr(listing, "PAGE_BYTES", 5_000)
    first, after = Listing(store).jobs(state, "all", None, 5)
    assert [job.height for job in first] == [0, 1]
    assert [job.height for job in Listing(store).jobs(state, "all", after, 5)[0]] == [2, 3]


def test_a_page_reads_no_more_of_the_archive_than_it_shows(store: Store) -> None:
    archive(store, [a_job(number, number, "failed") for number in range(50)])
    state = in_state([a_job(100 + number, 100 + number) for number in range(50)])
    read: list[str] = []
    store._reader().connection.set_trace_callback(read.append)
    page, _ = Listing(store).jobs(state, "all", None, 3, newest=True)
    assert [job.height for job in page] == [149, 148, 147]
    assert len(read) == 1
    assert "LIMIT 4" in read[0]


def test_names_in_pages(store: Store) -> None:
    with store.write():
        store.put_names([("models", name) for name in "cab"])
    asked = Listing(store)
    assert asked.names("models", "", 2) == (["a", "b"], "b")
    assert asked.names("models", "b", 2) == (["c"], None)
    assert asked.names("models", "", 3) == (["a", "b", "c"], None)
    assert asked.names("datasets", "", 3) == ([], None)
