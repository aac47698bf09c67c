"""What a job waits for: the finality of its block, where that holds it up, before anything that comes after."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from chain.answers import Page
from chain.client import NodeClient, View
from chain.schema import Hash
from chain.state import ValidatorSet
from coordinator import views
from coordinator.app import create_app
from coordinator.context import Services
from coordinator.routes.jobs import _lasting
from coordinator.settings import Settings
from coordinator.waiting import LATE_MS, awaited, late_votes
from tests.coordinator.test_views import NOW, QUORUM, A, B, Partition, a_job, the_round

OPENED = a_job(round_list=(the_round(Partition(0), Partition(1)),))  # in block 12
VOTED = {A: 12, B: 11}


def seen(final_height: int, job: Any = OPENED) -> View[Any]:
    return View(value=job, height=20, head=Hash("cd" * 32), final_height=final_height, final=False)


def test_a_job_whose_block_is_not_final_waits_for_that_and_not_for_workers() -> None:
    waiting = awaited(seen(11), QUORUM, NOW)
    assert waiting == {
        "what": "finality of block 12", "who": "a quorum of validators", "since": NOW, "until": NOW + 300_000,
    }  # fmt: skip


def test_once_it_is_final_it_waits_for_workers() -> None:
    waiting = awaited(seen(12), QUORUM, NOW + LATE_MS + 1, VOTED)
    assert waiting is not None
    assert (waiting["what"], waiting["who"]) == ("claim of partitions 0, 1", "any worker")


@pytest.mark.parametrize(
    ("voted", "weight", "absent"), [(VOTED, 1, B), ({A: 11, B: 15}, 3, A), ({}, 0, f"{A}, {B}"), ({B: 12}, 3, A)]
)
def test_where_that_is_late_it_says_who_has_not_voted(voted: dict[str, int], weight: int, absent: str) -> None:
    waiting = awaited(seen(11), QUORUM, NOW + LATE_MS + 1, voted)
    assert waiting is not None
    assert waiting["what"] == (
        f"finality, which is late: {weight} of 3 votes for block 12 or a later one, 4 validators"
    )
    assert waiting["who"] == absent


@pytest.mark.parametrize(("state", "seed"), [("adopted", Hash("ab" * 32)), ("cancelled", None)])
def test_a_job_that_has_ended_waits_until_that_is_final(state: str, seed: Hash | None) -> None:
    ended = a_job(state=state, seed=seed, closed=NOW + 9_000, closed_height=19, round_list=OPENED.round_list)
    waiting = awaited(seen(18, ended), QUORUM, NOW + 9_000 + LATE_MS, {})
    assert waiting == {
        "what": "finality of block 19", "who": "a quorum of validators", "since": NOW + 9_000, "until": None,
    }  # fmt: skip
    late = awaited(seen(18, ended), QUORUM, NOW + 9_001 + LATE_MS, {A: 19, B: 18})
    assert late is not None
    assert late["what"].startswith("finality, which is late: 1 of 3 votes for block 19")
    assert late["who"] == B
    assert awaited(seen(19, ended), QUORUM, NOW + 60_000, {}) is None


def test_a_job_without_a_seed_waits_for_that_and_one_that_is_over_for_nothing() -> None:
    waiting = awaited(seen(11, a_job(seed=None, seed_block=None)), QUORUM, NOW)
    assert waiting is not None
    assert waiting["what"] == "seed from the next block"
    assert awaited(seen(11, a_job(state="cancelled", closed=NOW, closed_height=11)), QUORUM, NOW) is None


class Node:
    """Has one job, whose block is not final."""

    asked = 0

    def __init__(self, opened: int = NOW) -> None:
        self.view = seen(11, replace(OPENED, opened=opened))

    def voted(self) -> dict[str, int]:
        self.asked += 1
        return dict(VOTED)

    def validators(self) -> ValidatorSet:
        return QUORUM

    def job_view(self, job: str) -> View[Any]:
        return self.view

    def job_page(self, state: str, **_: Any) -> Page[Any]:
        return Page((self.view,), None)


@pytest.mark.parametrize(
    ("views", "after", "asked"),
    [
        ([seen(11)], LATE_MS, 0), ([seen(11)], LATE_MS + 1, 1), ([seen(12)], LATE_MS + 1, 0), ([], LATE_MS + 1, 0),
        ([seen(12), seen(11), seen(11)], LATE_MS + 1, 1),
    ],
)  # fmt: skip
def test_the_node_is_asked_for_votes_only_where_they_are_late(views: list[View[Any]], after: int, asked: int) -> None:
    node = Node()
    assert late_votes(cast(NodeClient, node), views, NOW + after) == (VOTED if asked else None)
    assert node.asked == asked


def test_who_follows_a_job_hears_that_finality_is_late_and_of_each_vote_and_when_that_is_over() -> None:
    late = NOW + LATE_MS + 1
    documents = [
        views.job_document(view, QUORUM, now, None, voted)
        for view, now, voted in (
            (seen(11), NOW, None), (seen(11), late, {}), (seen(11), late, {A: 12}), (seen(12), late, None),
        )
    ]  # fmt: skip
    told = [_lasting(document) for document in documents]
    assert all(one != other for one, other in pairwise(told))
    assert _lasting(documents[-1]) == _lasting(views.job_document(seen(12), QUORUM, late + 60_000))


@pytest.mark.parametrize("path", ["/api/v1/jobs/bafyjob", "/api/v1/jobs"])
def test_a_job_as_it_is_served_and_the_list_of_jobs_say_who_has_not_voted(path: str, tmp_path: Path) -> None:
    node: Any = Node(opened=int(time.time() * 1000) - LATE_MS - 1)
    none: Any = None
    found = Services(
        Settings(data=tmp_path), node, none, none, none, none, none, threading.Lock(), threading.Event()
    )  # fmt: skip
    answer = create_app(found).test_client().get(path).json
    (job,) = answer.get("jobs", [answer])
    assert job["waiting_for"]["what"].startswith("finality, which is late: 1 of 3 votes for block 12")
    assert job["waiting_for"]["who"] == B
