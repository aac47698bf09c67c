"""Datasets over HTTP. On a real node, an embedded store and real learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from coordinator.client import Problem
from tests.coordinator.http import fields, get, post, problem

ROOT = Path(__file__).parents[2]


def test_a_dataset_is_uploaded_or_named_by_its_cid_and_twice_is_once(network, iris) -> None:
    again = requests.post(
        network.url + "/api/v1/datasets",
        data={"name": "iris", "target": "species"},
        files={"file": (ROOT / "datasets" / "iris.csv").read_bytes()},
        timeout=60,
    )
    assert again.status_code == 200
    cid = again.json()["cid"]
    by_cid = post(network, "/api/v1/datasets", {"name": "iris", "cid": cid, "target": "species"})
    assert by_cid.status_code == 200
    new = post(network, "/api/v1/datasets", {"name": "iris-again", "cid": cid, "target": "species"})
    assert new.status_code == 201
    assert set(new.json()) >= {
        "name",
        "cid",
        "manifest_cid",
        "rows",
        "columns",
        "target",
        "task",
        "transaction",
    }
    assert (new.json()["rows"], new.json()["task"]) == (150, "classification")


def test_another_content_under_a_taken_name_is_a_conflict(network, iris) -> None:
    with pytest.raises(Problem) as caught:
        network.client.add_dataset("iris", "class", path=ROOT / "datasets" / "wine.csv")
    assert caught.value.status == 409
    assert "'iris' is registered already" in caught.value.detail


def test_one_dataset_has_statistics(network, iris) -> None:
    document = network.client.dataset("iris")
    assert document["statistics"] is not None
    assert document["statistics"]["rows"] == 150
    assert [column["name"] for column in document["columns"]][-1] == "species"
    assert "statistics" not in network.client.datasets()[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "target": "y"}, "cid"),
        ({"name": "Not A Name", "cid": "b" * 59, "target": "y"}, "name"),
        ({"name": "x", "cid": "b" * 59, "target": "y", "colour": "red"}, "colour"),
        ({"name": 5, "cid": "b" * 59, "target": "y"}, "name"),
        ({"name": "x", "cid": "b" * 59, "target": "y", "task": "guessing"}, "task"),
        ({"name": "x", "cid": "no cid at all, but long enough to be one by length", "target": "y"}, "cid"),
    ],
)
def test_a_wrong_field_of_a_dataset_is_named(network, body: dict[str, Any], field: str) -> None:
    assert field in fields(problem(post(network, "/api/v1/datasets", body), 400))


def test_a_target_that_is_no_column_and_a_file_that_is_no_table_are_told_apart(network, iris) -> None:
    cid = network.client.dataset("iris")["cid"]
    body = {"name": "iris-wrong", "cid": cid, "target": "colour"}
    assert fields(problem(post(network, "/api/v1/datasets", body), 400)) == {"target"}
    upload = requests.post(
        network.url + "/api/v1/datasets",
        data={"name": "nonsense", "target": "a"},
        files={"file": b"\x00\x01 not, a\n table"},
        timeout=60,
    )
    assert fields(problem(upload, 400)) == {"file"}
    form = requests.post(
        network.url + "/api/v1/datasets",
        data={"name": "x", "target": "a"},
        files={"data": b"a,b\n1,2\n"},
        timeout=60,
    )
    assert fields(problem(form, 400)) == {"file"}


def test_content_that_no_store_has_is_named_with_who_was_asked(network) -> None:
    cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    found = problem(post(network, "/api/v1/datasets", {"name": "gone", "cid": cid, "target": "y"}), 404)
    assert cid in found["detail"]
    assert "embedded store" in found["detail"]


def test_lists_come_in_pages(network, iris) -> None:
    cid = network.client.dataset("iris")["cid"]
    network.client.add_dataset("iris-page", "species", cid=cid)
    first = get(network, "/api/v1/datasets?limit=1").json()
    assert len(first["datasets"]) == 1
    second = get(network, f"/api/v1/datasets?limit=1&cursor={first['next']}").json()
    assert second["datasets"][0]["name"] != first["datasets"][0]["name"]
    assert fields(problem(get(network, "/api/v1/datasets?limit=0"), 400)) == {"limit"}
    names = [dataset["name"] for dataset in network.client.datasets()]
    assert names == sorted(names)
    assert get(network, f"/api/v1/datasets?cursor={names[-1]}").json() == {"datasets": [], "next": None}
    assert fields(problem(get(network, "/api/v1/datasets?size=3"), 400)) == {"size"}
