"""A coordinator, a validator's services and workers follow a node that takes up another branch, with jobs open.

Two sites: the others' has a quorum of the validators, ours has one validator, the coordinator and two workers. They
are cut apart with one job final; on our side it gets a candidate and a vote, another job is opened, and a version is
attested. On the others' somebody else does one of its partitions, and that is final. Then they are connected
again, and nothing is restarted. All that our side did is undone; what still applies is done again.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from chain.certificates import Certificate
from chain.client import NodeEvent
from chain.misconduct import accuse
from chain.state import Job, record_digest
from chain.transactions import Attest, Signed, Transfer, VoteCheckpoint, VoteModel
from coordinator import views
from coordinator.client import Client, Problem
from coordinator.documents import FINALITY, JobDocument
from coordinator.paying import payouts
from tests.fleet import sites
from tests.fleet.sites import Network, Pool, Site, until
from tests.lab import NAIVE_BAYES, ROOT
from workers.aggregate import aggregate_round
from workers.train import train_partition

OURS = "validator-0"
OTHERS = ("validator-1", "validator-2")
#: It votes on models before the cut alone, so that afterwards nothing is adopted without ours.
HALF = "validator-3"

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(180)]


class Watcher:
    """What the coordinator's stream of a job says, to its end."""

    def __init__(self, client: Client, job: str) -> None:
        self.documents: list[JobDocument] = []
        self._stream = client.watch(job)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for document in self._stream:
            self.documents.append(document)

    def last(self) -> JobDocument | None:
        return self.documents[-1] if self.documents else None

    def end(self) -> list[JobDocument]:
        self._thread.join(sites.WITHIN)
        assert not self._thread.is_alive(), self.last()
        return self.documents


@dataclass
class Story:
    """What there was to see. `kept`: the job that was final before the cut; `late`: the one opened on our side."""

    kept: str
    late: str
    before: dict[str, JobDocument]
    """By job, as the coordinator showed them before the sites were connected again."""
    shown: dict[str, list[JobDocument]]
    """By job, all that the coordinator's stream said, from before the sites were connected again."""
    lists: list[tuple[list[JobDocument], list[JobDocument]]]
    """The coordinator's list of jobs beside what the others' node says, whenever all was quiet."""
    events: list[NodeEvent]
    """Of our node, from the cut on."""
    jobs: dict[str, Job]
    """As they ended, on the others' node."""
    seeds: tuple[Any, Any]
    """Whether the block that the late job's seed came from is on our node's branch: of the first, of the last."""
    signed: dict[str, list[Signed]]
    """All that was ever signed and came to a node, by validator."""
    branch: list[Signed]
    """What is on the branch in the end."""
    ours: str
    certificates: dict[str, Certificate]
    evidence: list[Any]


def truth(site: Site, documents: list[JobDocument]) -> list[JobDocument]:
    """What the coordinator has to say of these jobs, as a node says it."""
    validators, now = site.node.validators(), int(time.time() * 1000)
    found = []
    for document in documents:
        view = site.node.job_view(document["job"])
        assert view is not None
        found.append(views.job_document(view, validators, now, payouts(site.node, view.value)))
    return found


def quiet(ours: Site, others: Site) -> bool:
    """Both have one head, and nothing but votes is left to become final."""
    return ours.settled() is not None and ours.settled() == others.settled()


def voted(site: Site, job: str, validator: str) -> bool:
    found = site.node.job(job)
    return found is not None and any(vote.validator == validator for vote in found.votes)


def attested(site: Site, model: str, validator: str) -> bool:
    view = site.node.attested_view(model, 1)
    return view is not None and any(one.of(validator) is not None for one in view.value.sets)


def work_apart(network: Network, ours: Site, client: Client, pool: Pool, kept: str) -> str:
    """What our side does while it is cut off; the job that it opens."""
    alice, bob = pool.contexts.values()
    me = network.key(OURS).address
    network.validator(OURS, ours)
    for partition, worker in enumerate((alice, bob)):
        assert train_partition(worker, kept, 0, 0, partition) == "submitted"
    until(lambda: ours.node.job(kept).round_list[0].closed is not None)
    assert aggregate_round(alice, kept, 0, 0) == "submitted"
    late = client.train("late", "iris", NAIVE_BAYES, partitions=2)
    until(lambda: ours.node.job(late) is not None and ours.node.job(late).seed is not None)
    until(lambda: voted(ours, kept, me) and attested(ours, "first", me))
    return late


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("sites")
    found = sites.network(folder, [OURS, *OTHERS, HALF], ["coordinator", "alice", "bob", "carol"])
    try:
        told = play(found)
    finally:
        found.close()
    told.signed = {
        address: [signed for site in found.sites for signed in site.signed() if signed.sender == address]
        for address in found.genesis.validators
    }
    return told


def play(network: Network) -> Story:
    ours, others = network.site("ours", "0x" + "aa" * 20), network.site("others", "0x" + "bb" * 20)
    network.connect(ours, others)
    judging = threading.Event()
    judging.set()
    for name in OTHERS:
        network.validator(name, others)
    network.half_validator(HALF, others, judging)
    pool = Pool([network.worker(name, ours) for name in ("alice", "bob")])
    client = network.coordinator(ours, pool)
    me, carol = network.key(OURS).address, network.worker("carol", others)

    pool.open.set()
    client.add_dataset("iris", "species", path=ROOT / "datasets" / "iris.csv")
    *_, adopted = client.watch(client.train("first", "iris", NAIVE_BAYES, partitions=2))
    assert adopted["adopted"], adopted
    judging.clear()
    pool.open.clear()
    kept = client.train("kept", "iris", NAIVE_BAYES, partitions=2)
    until(lambda: others.node.job_view(kept) is not None and others.node.job_view(kept).final)
    until(lambda: quiet(ours, others))
    common, start = ours.node.chain()["final"]["height"], ours.node.events().next
    network.cut(ours, others)

    late = work_apart(network, ours, client, pool, kept)
    assert train_partition(carol, kept, 0, 0, 1) == "submitted"
    final = until(lambda: others.node.job(kept).round_list[0].partitions[1].update)
    until(lambda: others.settled() is not None)
    assert ours.node.chain()["final"]["height"] == common < others.node.chain()["final"]["height"]
    before = {job: client.job(job) for job in (kept, late)}
    watchers = {job: Watcher(client, job) for job in (kept, late)}
    until(lambda: all(watcher.last() for watcher in watchers.values()))
    lists = []

    def compare() -> None:
        until(lambda: quiet(ours, others))
        listed = client.jobs()
        lists.append((listed, truth(others, listed)))

    ours.node.add_peer(others.node.url, ours.token())
    # Before anybody works on: what was undone is done again as far as it applies, and the coordinator says so.
    until(lambda: watchers[kept].last()["partitions"][1]["transaction"] == final.id)
    until(lambda: watchers[kept].last()["partitions"][0]["state"] == "done")
    until(lambda: not watchers[late].last()["waiting_for"]["what"].startswith(FINALITY))
    compare()
    pool.open.set()
    shown = {job: watcher.end() for job, watcher in watchers.items()}
    until(lambda: all(attested(others, model, me) for model in ("first", "kept", "late")))
    compare()
    certificates = {model: until(lambda model=model: certificate(client, model)) for model in ("first", "kept", "late")}
    follow_on(network, ours, me)
    return Story(
        kept, late, before, shown, lists, ours.node.events(start, limit=1000).events,
        {job: others.node.job(job) for job in (kept, late)},
        tuple(ours.node.block(each["seed"]["block"])["on_branch"] for each in (before[late], shown[late][-1])),
        {}, list(ours.branch()), me, certificates,
        [*ours.node.evidence(), *others.node.evidence(), *ours.node.misconduct()],
    )  # fmt: skip


def certificate(client: Client, model: str) -> Certificate | None:
    try:
        return Certificate.from_document(client.certificate(model, 1))
    except Problem as problem:
        if problem.status != 404:
            raise
        return None  # not enough have attested yet


def follow_on(network: Network, ours: Site, me: str) -> None:
    """Go on until our validator, which has voted for blocks of the other branch, votes on this one."""

    def votes() -> bool:
        ours.node.wait_transaction(ours.node.send(Transfer(me, 1), network.key("carol")))
        return any(isinstance(each.payload, VoteCheckpoint) and each.sender == me for each in ours.branch())

    until(votes)


def test_our_node_did_take_up_another_branch(story: Story) -> None:
    at = next(at for at, event in enumerate(story.events) if event.kind == "reorganisation")
    assert int(story.events[at].fields["undone_blocks"]) > 0
    all_of_it = itertools.takewhile(lambda event: event.undone, story.events[at + 1 :])
    undone = {(event.kind, event.fields.get("job")) for event in all_of_it}
    assert {("candidate", story.kept), ("vote", story.kept), ("job_opened", story.late)} <= undone
    assert ("attested", None) in undone
    assert ("adopted", story.kept) not in undone


def test_both_jobs_end_adopted_and_final(story: Story) -> None:
    for documents in story.shown.values():
        assert (documents[-1]["state"], documents[-1]["final"]) == ("adopted", True)
    kept, late = story.jobs[story.kept], story.jobs[story.late]
    assert kept.state == late.state == "adopted"


def test_what_still_applies_is_done_again_and_nothing_else(story: Story) -> None:
    was, now = story.before[story.kept]["partitions"], story.shown[story.kept][-1]["partitions"]
    assert now[0]["transaction"] == was[0]["transaction"], "the same bytes, mined anew"
    assert now[1]["transaction"] != was[1]["transaction"], "carol's was final"
    # The late job is in another block now, has another seed, and so other rows for everybody.
    assert story.seeds == (False, True)
    assert story.before[story.late]["seed"] != story.shown[story.late][-1]["seed"]
    assert all(each["transaction"] for each in story.shown[story.late][-1]["partitions"])


def test_the_coordinator_shows_the_truth_throughout(story: Story) -> None:
    assert len(story.lists) == 2
    for listed, truth in story.lists:
        assert {document["job"] for document in listed} >= {story.kept, story.late}
        for document, expected in zip(listed, truth, strict=True):
            assert {**document, "waiting_for": None} == {**expected, "waiting_for": None}
    for job, documents in story.shown.items():
        assert documents[0]["state"] == story.before[job]["state"]
        assert not any(document["adopted"] and document["final"] for document in documents[:-1])
    # From one branch to the other once, and never back.
    theirs = story.before[story.kept]["partitions"][1]["transaction"]
    seen = [document["partitions"][1]["transaction"] for document in story.shown[story.kept]]
    assert [each for each, _ in itertools.groupby(seen)] == [theirs, story.jobs[story.kept].update_ids[1]]
    states = [document["state"] for document in story.shown[story.kept]]
    assert states[0] == "voting"
    assert "training" in states


def test_votes_on_models_are_of_the_branch_that_holds(story: Story) -> None:
    for job in story.jobs.values():
        votes = [each for each in story.branch if isinstance(each.payload, VoteModel) and each.payload.job == job.id]
        assert {each.payload.record for each in votes} == {record_digest(job)}
        assert story.ours in {each.sender for each in votes}, "without it there is no quorum"
    records = [
        each.payload.record
        for each in story.signed[story.ours]
        if isinstance(each.payload, VoteModel) and each.payload.job == story.kept
    ]
    assert len(set(records)) == 2, "it has voted on both branches"


def test_nobody_signed_twice_against_the_rules(story: Story) -> None:
    assert story.evidence == []
    for signed in story.signed.values():
        votes = {each.id: each for each in signed if isinstance(each.payload, VoteCheckpoint | VoteModel)}
        assert len(votes) > 2
        assert not any(accuse(one, other) for one, other in itertools.combinations(votes.values(), 2))


def test_versions_are_attested_once_and_certified(story: Story) -> None:
    mine = [each for each in story.branch if isinstance(each.payload, Attest) and each.sender == story.ours]
    assert sorted(each.payload.model for each in mine) == ["first", "kept", "late"]
    for model, found in story.certificates.items():
        assert found.statement.model == model
        assert story.ours in {each.validator for each in found.attestations}
