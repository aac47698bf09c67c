"""Jobs over HTTP, from opening to their end. On a real node, an embedded store and real learning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.client import Problem
from tests.coordinator.http import BAYES, fields, get, post, problem, signed_transfer


def test_a_job_from_opening_to_adoption(network, iris) -> None:
    assert iris["state"] == "adopted"
    assert (iris["adopted"], iris["final"], iris["waiting_for"]) == (True, True, None)
    assert [part["state"] for part in iris["partitions"]] == ["done"] * 4
    assert sum(part["rows"] for part in iris["partitions"]) == network.client.version("iris-nb", 1)["rows"]
    assert iris["seed"]["block"] == network.client.block(iris["seed"]["height"])["hash"]
    assert {vote["decision"] for vote in iris["votes"]} == {"approve"}


def test_opening_a_job_answers_202_with_its_place(network, iris) -> None:
    body = {"model": "iris-again", "dataset": "iris", "estimator": BAYES, "partitions": 2}
    answer = post(network, "/api/v1/jobs", body)
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert answer.headers["Location"] == f"/api/v1/jobs/{job}"
    assert get(network, answer.headers["Location"]).json()["job"] == job
    network.adopted(job)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"estimator": {"class": "os.system"}}, "estimator"),
        (
            {"estimator": {"class": "sklearn.naive_bayes.GaussianNB", "params": {"var_smoothing": -1}}},
            "estimator",
        ),
        ({"estimator": {"class": "sklearn.linear_model.Ridge"}}, "estimator"),
        ({"estimator": "sklearn.naive_bayes.GaussianNB"}, "estimator"),
        ({"partitions": 0}, "partitions"),
        ({"partitions": "4"}, "partitions"),
        ({"partitions": True}, "partitions"),
        ({"partitions": 200}, "partitions"),
        ({"reward": -1}, "reward"),
        ({"reward": 10**12}, "reward"),
        ({"reward": 2**63}, "reward"),
        ({"minimum_updates": 5}, "minimum_updates"),
        ({"deadline": 0.1}, "deadline"),
        ({"partitioning": {"scheme": "by_mood"}}, "partitioning"),
        ({"aggregation": "average"}, "aggregation"),
        ({"aggregation": "sum"}, "aggregation"),
        ({"surprise": 1}, "surprise"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_field_of_a_job_is_named(network, iris, change: dict[str, Any], field: str) -> None:
    body = {"model": "iris-nb", "dataset": "iris", "estimator": BAYES} | change
    found = problem(post(network, "/api/v1/jobs", body), 400)
    assert fields(found) == {field}
    assert found["errors"][0]["message"]


def test_an_unknown_dataset_is_404_and_one_of_another_model_a_wrong_field(network, iris) -> None:
    body = {"model": "iris-nb", "dataset": "atlantis", "estimator": BAYES}
    assert "atlantis" in problem(post(network, "/api/v1/jobs", body), 404)["detail"]
    cid = network.client.dataset("iris")["cid"]
    network.client.add_dataset("iris-other", "species", cid=cid)
    body["dataset"] = "iris-other"
    assert fields(problem(post(network, "/api/v1/jobs", body), 400)) == {"dataset"}


def test_the_same_idempotency_key_opens_one_job(network, iris) -> None:
    body = {"model": "iris-keyed", "dataset": "iris", "estimator": BAYES, "partitions": 1}
    first = post(network, "/api/v1/jobs", body, **{"Idempotency-Key": "a key"})
    again = post(network, "/api/v1/jobs", body, **{"Idempotency-Key": "a key"})
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    other = post(network, "/api/v1/jobs", body | {"partitions": 2}, **{"Idempotency-Key": "a key"})
    assert "another request" in problem(other, 422)["detail"]
    problem(post(network, "/api/v1/jobs", body, **{"Idempotency-Key": "k" * 256}), 400)
    network.adopted(first.json()["job"])


def test_jobs_are_listed_newest_first_and_by_state(network, iris) -> None:
    jobs = network.client.jobs()
    assert [job["height"] for job in jobs] == sorted((job["height"] for job in jobs), reverse=True)
    assert iris["job"] in [job["job"] for job in network.client.jobs("adopted")]
    assert network.client.jobs("cancelled") == [job for job in jobs if job["state"] == "cancelled"]
    problem(get(network, "/api/v1/jobs?state=sleeping"), 400)
    problem(get(network, "/api/v1/jobs/nobody"), 404)


def test_jobs_come_in_pages(network, iris) -> None:
    """By the node's cursor: each page costs the same, however many jobs there were."""
    whole = [job["job"] for job in network.client.jobs()]
    assert len(whole) > 1
    found, cursor = [], ""
    while cursor is not None:
        page = get(network, f"/api/v1/jobs?limit=1{cursor and f'&cursor={cursor}'}").json()
        found += [job["job"] for job in page["jobs"]]
        cursor = page["next"]
    assert found == whole
    assert fields(problem(get(network, "/api/v1/jobs?cursor=nobody"), 400)) == {"cursor"}


def test_a_job_without_a_candidate_can_be_cancelled_and_one_that_is_over_not(network, iris) -> None:
    network.broker.halted.set()
    try:
        job = network.client.train("iris-nb", "iris", BAYES)
        waiting = network.client.job(job)["waiting_for"]
        assert waiting is not None
        assert network.client.jobs("open")[0]["job"] == job
        network.client.cancel(job)
        documents = list(network.client.watch(job))
        assert documents[-1]["state"] == "cancelled"
    finally:
        network.broker.halted.clear()
    with pytest.raises(Problem) as caught:
        network.client.cancel(iris["job"])
    assert caught.value.status == 409


def test_events_end_when_the_job_is_over_and_resume_where_they_broke(network, iris) -> None:
    job = iris["job"]
    answer = get(network, f"/api/v1/jobs/{job}/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    numbers = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert numbers
    assert all(number.isdigit() for number in numbers)
    assert data[-1]["state"] == "adopted"
    resumed = get(network, f"/api/v1/jobs/{job}/events", **{"Last-Event-ID": numbers[-1]})
    assert '"final": true' in resumed.text
    problem(get(network, f"/api/v1/jobs/{job}/events", **{"Last-Event-ID": "soon"}), 400)
    problem(get(network, "/api/v1/jobs/nobody/events"), 404)


def test_every_state_of_a_job_s_life_is_told_as_it_comes(network, iris) -> None:
    network.approving.clear()
    job = network.client.train("iris-nb", "iris", BAYES)
    states = []
    for document in network.client.watch(job):
        states.append(document["state"])
        if document["state"] == "voting":
            network.approving.set()
            break
    assert states[0] == "training"
    # Nobody looks at the candidate until something happens on the chain.
    network.client.submit(signed_transfer(network))
    assert network.adopted(job)["version"] >= 2
