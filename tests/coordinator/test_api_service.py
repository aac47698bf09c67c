"""The service itself: liveness, readiness, metrics, OpenAPI, who may ask."""

from __future__ import annotations

import time
from typing import Any

import requests

from tests.coordinator.http import get, post, problem


def test_the_process_is_live_and_says_by_part_that_it_is_ready(network) -> None:
    assert get(network, "/healthz").json() == {"status": "ok"}
    ready = get(network, "/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["parts"]) == {"chain", "ipfs", "broker", "workers", "validators", "predictor", "wallet"}


def test_where_something_is_missing_it_says_when_to_ask_again(network, monkeypatch) -> None:
    monkeypatch.setattr(network.broker, "workers", lambda genesis: [])
    deadline = time.monotonic() + 30
    while (answer := get(network, "/readyz")).status_code == 200:
        assert time.monotonic() < deadline, "workers that are gone were not missed for 30 seconds"
        time.sleep(0.1)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["parts"]["workers"]["ready"] is False


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
