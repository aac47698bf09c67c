"""Version 1 of the HTTP API, on a real node, an embedded store and real learning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from chain.transactions import Transfer
from coordinator.client import Problem

ROOT = Path(__file__).parents[2]
BAYES = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}


@pytest.fixture(scope="session")
def iris(network):
    """The network with Iris registered and one version of `iris-nb` in service; the document of its job."""
    network.dataset()
    return network.adopted(network.client.train("iris-nb", "iris", BAYES))


def post(network, path: str, body: Any, **headers: str) -> requests.Response:
    return requests.post(network.url + path, json=body, headers=headers, timeout=60)


def get(network, path: str, **headers: str) -> requests.Response:
    return requests.get(network.url + path, headers=headers, timeout=60)


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["title"]
    return document


def fields(document: dict[str, Any]) -> set[str]:
    return {error["field"] for error in document["errors"]}


# The service


def test_the_process_is_live_and_says_by_part_that_it_is_ready(network) -> None:
    assert get(network, "/healthz").json() == {"status": "ok"}
    ready = get(network, "/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["parts"]) == {"chain", "ipfs", "broker", "workers", "validators", "predictor"}


def test_metrics_count_requests_by_route(network) -> None:
    get(network, "/healthz")
    text = get(network, "/metrics").text
    assert 'assay_http_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert "assay_chain_final_height" in text


def test_openapi_is_3_1_and_every_reference_leads_somewhere(network) -> None:
    spec = get(network, "/openapi.json").json()
    assert spec["openapi"] == "3.1.0"
    names, operations = set(spec["components"]["schemas"]), []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                assert reference.removeprefix("#/components/schemas/") in names, reference
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(spec)
    for path in spec["paths"].values():
        operations += [operation for operation in path.values() if isinstance(operation, dict)]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation["responses"] and operation["summary"] for operation in operations)


def test_openapi_names_exactly_the_routes_there_are(network) -> None:
    paths = get(network, "/openapi.json").json()["paths"]
    assert {(method, path) for path, item in paths.items() for method in item if method != "parameters"} == {
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("post", "/api/v1/datasets"),
        ("get", "/api/v1/datasets"),
        ("get", "/api/v1/datasets/{name}"),
        ("post", "/api/v1/models"),
        ("get", "/api/v1/models"),
        ("get", "/api/v1/models/{name}"),
        ("get", "/api/v1/models/{name}/versions"),
        ("get", "/api/v1/models/{name}/versions/{number}"),
        ("get", "/api/v1/models/{name}/versions/{number}/certificate"),
        ("post", "/api/v1/models/{name}/predict"),
        ("get", "/api/v1/models/{name}/evaluation"),
        ("post", "/api/v1/jobs"),
        ("get", "/api/v1/jobs"),
        ("get", "/api/v1/jobs/{job}"),
        ("delete", "/api/v1/jobs/{job}"),
        ("get", "/api/v1/jobs/{job}/events"),
        ("get", "/api/v1/chain"),
        ("get", "/api/v1/chain/blocks"),
        ("get", "/api/v1/chain/blocks/{which}"),
        ("get", "/api/v1/chain/transactions/{transaction}"),
        ("post", "/api/v1/chain/transactions"),
        ("get", "/api/v1/chain/log"),
        ("get", "/api/v1/accounts/{address}"),
        ("get", "/api/v1/validators"),
    }


def test_the_documentation_page_shows_every_route_and_loads_nothing_from_elsewhere(network) -> None:
    page = get(network, "/docs")
    assert page.status_code == 200
    assert "/api/v1/jobs/{job}/events" in page.text
    assert "src=" not in page.text
    assert "https://" not in page.text


def test_requests_for_another_host_or_from_another_page_are_refused(network) -> None:
    problem(get(network, "/healthz", Host="attacker.example"), 403)
    problem(post(network, "/api/v1/jobs", {}, Origin="https://attacker.example"), 403)
    problem(post(network, "/api/v1/jobs", {}, Origin="null"), 403)
    assert get(network, "/healthz", Host="localhost:5000", Origin="http://localhost:3000").status_code == 200


def test_errors_of_the_framework_are_problem_documents_too(network) -> None:
    problem(get(network, "/nowhere"), 404)
    problem(requests.put(network.url + "/healthz", timeout=10), 405)
    broken = requests.post(network.url + "/api/v1/jobs", data="{", timeout=10)
    problem(broken, 400)
    problem(requests.post(network.url + "/api/v1/jobs", data='{"partitions": NaN}', timeout=10), 400)
    problem(requests.post(network.url + "/api/v1/jobs", data=b" " * (9 << 20), timeout=30), 413)


# Datasets


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
    assert fields(problem(get(network, "/api/v1/datasets?cursor=nobody"), 400)) == {"cursor"}
    assert fields(problem(get(network, "/api/v1/datasets?size=3"), 400)) == {"size"}


# Models


def test_the_default_policy_of_a_model_that_came_with_its_first_job(network, iris) -> None:
    model = network.client.model("iris-nb")
    assert (model["metric"], model["holdout"], model["minimum_improvement"]) == (
        "accuracy",
        {"fraction": 0.2, "dataset": None},
        0.0,
    )
    assert model["audit_fraction"] == 1.0
    assert model["version"] is not None
    assert (model["version"]["version"], model["version"]["final"]) == (1, True)


def test_a_model_is_registered_once_and_its_policy_is_fixed(network, iris) -> None:
    body = {"name": "iris-strict", "datasets": ["iris"], "minimum_improvement": 0.01, "metric": "f1_macro"}
    first = post(network, "/api/v1/models", body)
    assert first.status_code == 201
    again = post(network, "/api/v1/models", body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = problem(post(network, "/api/v1/models", body | {"minimum_improvement": 0.5}), 409)
    assert "minimum_improvement" in other["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": "r2"}, "metric"),
        ({"holdout": {"fraction": 0.2, "dataset": "iris"}}, "holdout"),
        ({"holdout": {"fraction": 1.5}}, "holdout.fraction"),
        ({"audit_fraction": 0.5}, "audit_fraction"),
        ({"openers": ["0xABC"]}, "openers.0"),
        ({"task": "regression"}, "datasets"),
        ({"datasets": []}, "datasets"),
    ],
)
def test_a_wrong_field_of_a_model_is_named(network, iris, change: dict[str, Any], field: str) -> None:
    body = {"name": "iris-wrong", "datasets": ["iris"]} | change
    named = fields(problem(post(network, "/api/v1/models", body), 400))
    assert any(name.startswith(field) for name in named), named


def test_a_version_shows_its_votes_and_an_unknown_one_is_404(network, iris) -> None:
    version = network.client.version("iris-nb", 1)
    assert version["job"] == iris["job"]
    assert len(version["votes"]) >= 3
    assert network.client.versions("iris-nb")[0]["cid"] == version["cid"]
    problem(get(network, "/api/v1/models/iris-nb/versions/99"), 404)
    problem(get(network, "/api/v1/models/nobody"), 404)
    problem(get(network, "/api/v1/models/nobody/versions"), 404)


def test_the_version_in_service_at_a_time(network, iris) -> None:
    before = get(network, "/api/v1/models/iris-nb?at=2020-01-01T00:00:00Z").json()
    assert before["version"] is None
    later = get(network, "/api/v1/models/iris-nb?at=2100-01-01T00:00:00%2B02:00").json()
    assert later["version"]["version"] >= 1
    assert fields(problem(get(network, "/api/v1/models/iris-nb?at=yesterday"), 400)) == {"at"}


def test_predictions_of_rows_as_objects_and_as_arrays_agree(network, iris) -> None:
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    row = [5.1, 3.5, 1.4, 0.2]
    found = network.client.predict("iris-nb", [row, dict(zip(names, row, strict=True))])
    assert found["predictions"] == ["setosa", "setosa"]
    assert found["probabilities"] is not None
    assert found["probabilities"][0] == found["probabilities"][1]
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    assert found["cid"] == network.client.model("iris-nb")["version"]["cid"]


@pytest.mark.parametrize(
    "row", [[1.0], {"sepal_length": 1.0}, ["a", "b", "c", "d"], {"petal": 1, "sepal_width": 2}]
)
def test_a_row_that_does_not_fit_is_a_wrong_field(network, iris, row: Any) -> None:
    found = problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": [row]}), 400)
    assert any(name.startswith("rows") for name in fields(found))


def test_a_prediction_has_bounds_and_needs_a_final_version(network, iris) -> None:
    problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": []}), 400)
    problem(post(network, "/api/v1/models/iris-nb/predict", {"rows": [[1, 2, 3, 4]] * 10_001}), 413)
    post(network, "/api/v1/models", {"name": "iris-empty", "datasets": ["iris"]})
    found = problem(post(network, "/api/v1/models/iris-empty/predict", {"rows": [[1, 2, 3, 4]]}), 409)
    assert "no final version" in found["detail"]


def test_the_evaluation_repeats_the_version_s_score(network, iris) -> None:
    found = network.client.evaluation("iris-nb")
    assert found["metrics"]["accuracy"] == pytest.approx(
        network.client.version("iris-nb", 1)["score"], abs=1e-6
    )
    assert len(found["metrics"]["confusion_matrix"]) == 3


# Jobs


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


# The chain


def signed_transfer(network) -> bytes:
    key = network.outsider
    return network.node.prepare(Transfer(recipient=key.address, amount=1), key).data


def test_the_chain_s_summary_blocks_and_transactions(network, iris) -> None:
    chain = network.client.chain()
    assert chain["finalised_height"] == chain["final"]["height"] <= chain["height"]
    blocks = network.client.blocks(limit=3)
    assert len(blocks) == 3
    assert network.client.block(blocks[0]["hash"])["height"] == blocks[0]["height"]
    assert network.client.transaction(iris["job"])["kind"] == "open_job"
    problem(get(network, "/api/v1/chain/blocks/99999999"), 404)
    problem(get(network, "/api/v1/chain/blocks/latest"), 400)
    problem(get(network, "/api/v1/chain/transactions/bafynobody"), 404)


def test_a_signed_transaction_needs_nothing_but_its_signature(network) -> None:
    data = signed_transfer(network)
    taken = network.client.submit(data)
    assert network.client.submit(data)["transaction"] == taken["transaction"]
    network.node.wait_transaction(taken["transaction"], "final", 20)


def test_a_signed_transaction_as_dag_json(network) -> None:
    from chain.encoding import decode, to_json

    data = signed_transfer(network)
    text = to_json(decode(data, len(data)))
    answer = requests.post(
        network.url + "/api/v1/chain/transactions",
        data=text,
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert answer.status_code == 202, answer.text


def test_bytes_that_are_no_transaction_and_one_that_is_forged_are_refused_with_the_chain_s_code(
    network,
) -> None:
    with pytest.raises(Problem) as caught:
        network.client.submit(b"\xa1\x61a\x01")
    assert caught.value.status == 400
    data = bytearray(signed_transfer(network))
    place = data.rindex(b"signature") + 20
    data[place] = ord("0") if data[place] != ord("0") else ord("1")
    with pytest.raises(Problem) as forged:
        network.client.submit(bytes(data))
    assert forged.value.status == 400
    assert "signature" in forged.value.code or "forbidden" in forged.value.code


def test_the_log_is_streamed(network, iris) -> None:
    for line in network.client.log():
        assert "=" in line
        break
    problem(get(network, "/api/v1/chain/log?tail=-1"), 400)


def test_accounts_and_validators(network) -> None:
    account = network.client.account(network.outsider.address)
    assert account["balance"] == 1_000_000
    problem(get(network, "/api/v1/accounts/me"), 400)
    validators = network.client.validators()
    assert validators["quorum"] == {"weight": 3, "of": 4}
    assert len(validators["validators"]) == 4
