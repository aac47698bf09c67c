"""The node's routes for objects of the state, over a socket."""

from __future__ import annotations

import pytest
import requests

from chain.client import NodeRefused
from chain.encoding import decode
from chain.schema import Cid
from chain.state import Account, Dataset, Job, Model
from chain.transactions import CancelJob
from tests.chain.node.sending import content, dataset, finalise, included, job, model

CBOR = "application/vnd.ipld.dag-cbor"


class TestState:
    def test_objects_come_back_as_they_are_in_the_state(self, served, net):
        client = served.client
        included(client, dataset(), net.owner)
        included(client, model(), net.owner)
        opened = included(client, job(), net.owner)
        found = client.dataset("iris")
        assert isinstance(found, Dataset)
        assert (found.data, found.rows, found.height) == (content("data"), 150, 1)
        assert client.datasets() == [found]
        shown = client.model_view("flowers")
        assert isinstance(shown.value, Model)
        assert shown.final is False
        assert shown.height >= 2
        assert client.versions("flowers") == []
        view = client.job_view(opened)
        assert isinstance(view.value, Job)
        assert client.jobs() == [view.value] or client.jobs()[0].id == opened
        assert [each.id for each in client.jobs("all")] == [opened]
        assert client.validators().quorum() == 3
        assert client.finality().value.final_height == 0

    def test_how_high_each_validator_has_voted_is_told_of_those_that_have(self, served, net):
        client = served.client
        included(client, dataset(), net.owner)
        assert client.voted() == {}
        finalise(client, net)  # by three of four
        reached = client.finality().value.justified_height
        assert client.voted() == {key.address: reached for key in net.validators[:3]}

    def test_what_does_not_exist_is_none(self, served):
        client = served.client
        assert client.dataset("no") is None
        assert client.model("no") is None
        assert client.version("no", 1) is None
        assert client.versions("no") == []
        assert client.job(content("no")) is None
        assert client.block(5) is None
        assert client.raw_block("0" * 64) is None
        assert client.account("0x" + "9" * 40) == Account(0)

    def test_lists_come_in_pages(self, served, net):
        client = served.client
        for n in range(5):
            client.send(dataset(f"data-{n}"), net.owner)
        client.wait_transaction(client.send(dataset("data-9"), net.owner))
        page = requests.get(f"{served.url}/datasets?limit=2", timeout=5).json()
        names = [item["value"]["name"] for item in page["items"]]
        while page["next"]:
            page = requests.get(f"{served.url}/datasets?limit=2&cursor={page['next']}", timeout=5).json()
            names += [item["value"]["name"] for item in page["items"]]
        assert names == [f"data-{n}" for n in (0, 1, 2, 3, 4, 9)]

    def test_jobs_come_in_pages_wherever_they_are(self, served, net):
        """Two have left the state, one is closed and not final yet, one is open."""
        client = served.client
        included(client, dataset(), net.owner)
        included(client, model(), net.owner)
        opened = [included(client, job(), net.owner) for _ in range(4)]
        for each in opened[:2]:
            included(client, CancelJob(Cid(each)), net.owner)
        finalise(client, net)
        included(client, CancelJob(Cid(opened[2])), net.owner)
        for order in ("oldest", "newest"):
            found, page = [], client.job_page("all", newest=order == "newest", limit=1)
            found += page.views
            while page.next is not None:
                page = client.job_page("all", newest=order == "newest", limit=1, cursor=page.next)
                found += page.views
            assert [view.value.id for view in found] == (opened if order == "oldest" else opened[::-1])
            assert [view.final for view in found if view.value.id in opened[:2]] == [True, True]
        assert [each.id for each in client.jobs("cancelled")] == opened[:3]
        assert [each.id for each in client.jobs("open")] == [opened[3]]
        assert client.jobs("training") == client.jobs()
        assert client.jobs("adopted") == []
        gone = client.job_view(opened[0])
        assert gone.final
        assert gone.value.state == "cancelled"
        with pytest.raises(NodeRefused) as refused:
            client.send(CancelJob(Cid(opened[0])), net.owner)
        assert refused.value.code == "conflict"

    def test_json_shows_cids_as_text_and_cbor_as_links(self, served, net):
        included(served.client, dataset(), net.owner)
        url = f"{served.url}/datasets/iris"
        assert requests.get(url, timeout=5).json()["value"]["data"] == content("data")
        raw = requests.get(url, headers={"Accept": CBOR}, timeout=5)
        assert raw.headers["Content-Type"] == CBOR
        assert type(decode(raw.content, 10_000)["value"]["data"]).__name__ == "Link"
