"""Whatever is sent, the answer is a document that says what is wrong with it, and never an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.strict_json import depth_of

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just(10**400)
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ROUTES = {
    "/api/v1/datasets": {
        "name": "fuzz",
        "cid": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "target": "y",
    },
    "/api/v1/models": {"name": "fuzz", "datasets": ["fuzz-nobody"]},
    "/api/v1/jobs": {
        "model": "fuzz",
        "dataset": "fuzz-nobody",
        "estimator": {"class": "sklearn.linear_model.Ridge"},
    },
    "/api/v1/models/fuzz-iris/predict": {"rows": [[1, 2, 3, 4]]},
}
FIELDS = ["name", "cid", "target", "task", "datasets", "metric", "holdout", "model", "estimator", "partitions",
          "rounds", "deadline", "partitioning", "rows", "minimum_improvement", "reward"]  # fmt: skip


@pytest.fixture(scope="session")
def served(network):
    network.dataset("fuzz-iris")
    network.adopted(network.client.train("fuzz-iris", "fuzz-iris", "sklearn.linear_model.LogisticRegression"))
    return network


def send(network, path: str, body: bytes) -> None:
    answer = requests.post(
        network.url + path, data=body, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code < 500, (path, body, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(ROUTES)), field=st.sampled_from(FIELDS), value=documents)
def test_any_value_in_any_field(served, path: str, field: str, value: Any) -> None:
    send(served, path, json.dumps(ROUTES[path] | {field: value}).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.lists(scalars, max_size=6) | st.dictionaries(st.sampled_from(["sepal_length", "x"]), scalars))
def test_any_row(served, row: Any) -> None:
    send(served, "/api/v1/models/fuzz-iris/predict", json.dumps({"rows": [row]}).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([*sorted(ROUTES), "/api/v1/chain/transactions"]), body=st.binary(max_size=60))
def test_any_bytes(served, path: str, body: bytes) -> None:
    send(served, path, body)


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_a_number_too_large_and_a_body_too_deep(served, path: str) -> None:
    send(served, path, b'{"rows": [[1e999, 1, 1, 1]], "deadline": 1e999, "partitions": 1e999}')
    send(served, path, b'{"estimator": ' + b"[" * 100_000)
    send(
        served,
        path,
        b'{"estimator": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b', "model": "m", "dataset": "d"}',
    )


@given(documents)
def test_the_depth_is_counted_without_decoding(document: Any) -> None:
    def depth(node: Any) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        return 0 if inner is None else 1 + max((depth(item) for item in inner), default=0)

    wrapped = ["[{" * 40, document]  # enough brackets in a string that they have to be looked at
    assert depth_of(json.dumps(wrapped)) == depth(wrapped)


def test_a_deep_estimator_with_an_idempotency_key(served) -> None:
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    body = {"model": "m", "dataset": "fuzz-iris", "estimator": deep}
    answer = requests.post(
        served.url + "/api/v1/jobs", json=body, headers={"Idempotency-Key": "deep"}, timeout=30
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/%00", "/api/v1/jobs/..%2F..%2Fchain", "/api/v1/datasets/%E2%98%83",
        "/api/v1/models/a%20b/versions/1",
        "/api/v1/models/m/versions/99999999999999999999", "/api/v1/chain/blocks/999999999999999",
        "/api/v1/chain/transactions/%3Fwait=5", "/api/v1/jobs/x/events", "/api/v1/models/fuzz-iris?at=9999999",
        "/api/v1/models/fuzz-iris?at=0001-01-01T00:00:00%2B23:59", "/api/v1/chain/blocks?cursor=99999999999999999999",
    ],
)  # fmt: skip
def test_odd_paths(served, path: str) -> None:
    answer = requests.get(served.url + path, timeout=30)
    assert answer.status_code < 500, answer.text
