"""Every route of a real coordinator, with data that its OpenAPI allows and data that it forbids (schemathesis)."""

from __future__ import annotations

import random
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.requests import REQUESTS, SEED, SEGMENTS, Sent, Target, check_growth, headers_of, path_of, usage

#: Streams without an end: asked by `test_streams`, which does not wait for it.
STREAMS = ("/api/v1/chain/log", "/api/v1/jobs/{job}/events")
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection,
]  # fmt: skip


@pytest.fixture(scope="module")
def api(network: Any, iris: Any) -> schemathesis.BaseSchema:
    """The coordinator's own description of itself, read from it."""
    return schemathesis.openapi.from_url(f"{network.url}/openapi.json")


def standing(network: Any) -> dict[str, Any]:
    """What the network knows, whoever mines what."""
    shown = {
        name: requests.get(f"{network.url}/api/v1/{name}?limit=100", timeout=30).json()
        for name in ("jobs", "models", "datasets")
    }
    return {**shown, "pending": network.node.chain()["pending"]}


def operations(api: schemathesis.BaseSchema) -> list[Any]:
    found = [result.ok() for result in api.get_all_operations()]
    return [each for each in found if each.path not in STREAMS]


def attack(operation: Any, mode: GenerationMode, count: int) -> int:
    """So many cases of one operation; how many were sent."""
    session = requests.Session()
    rng = random.Random(SEED)
    sent = 0

    @seed(SEED)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        nonlocal sent
        sent += 1
        if rng.random() < 0.5:  # the names of what there is, or nothing deep is reached
            known = {"name": "iris-nb", "model": "iris-nb", "number": 1, "version": 1, "which": "0"}
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known.get(name, case.path_parameters[name])
        response = case.call(session=session, timeout=60)
        if response.status_code == 503:
            return  # declared: the node or the store is busy
        case.validate_response(response, checks=CHECKS)

    with session:
        run()
    return sent


def test_every_route_takes_what_its_description_allows_and_refuses_the_rest(network: Any, api: Any) -> None:
    total, skipped, found = 0, [], []
    for operation in operations(api):
        before, reads = standing(network), operation.method.upper() == "GET"
        for mode in GenerationMode:
            try:
                total += attack(operation, mode, max(1, REQUESTS // 2))
            except Unsatisfiable:
                skipped.append(f"{operation.label} {mode.value}")  # there is nothing wrong that could be said to it
            except BaseExceptionGroup as failures:  # schemathesis has its own, with the request to send again
                found.append(f"{operation.label} {mode.value}: {failures}")
        assert not reads or standing(network) == before, f"{operation.label} changed something"
    print(f"coordinator: {total:,} requests, seed {SEED}; nothing to send: {', '.join(skipped) or 'none'}")
    assert not found, "\n\n".join(found)


def test_every_route_takes_hostile_paths_queries_and_headers(network: Any, api: Any) -> None:
    target = Target("127.0.0.1", int(network.url.rpartition(":")[2]), None)
    rng, before = random.Random(SEED), standing(network)
    segments = (*SEGMENTS, b"iris-nb", b"iris", b"1")
    rules = [result.ok() for result in api.get_all_operations()]
    counts = [max(1, REQUESTS // 5), REQUESTS]
    for number, operation in [(number, each) for number in range(2) for each in rules]:
        if number == 1 and operation is rules[0]:
            held = usage()  # every thread has its connection to the node by now
        for _ in range(counts[number]):
            rule = operation.path.replace("{", "<").replace("}", ">")
            method = "GET" if rng.random() < 0.9 else rng.choice(("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"))
            target.send(Sent(method, path_of(rng, rule, segments), headers_of(rng)))
    target.close()
    assert standing(network) == before
    if REQUESTS >= 200:  # fewer are taken up by what threads and libraries keep once
        check_growth(held, usage())
    print(f"coordinator: {len(rules)} routes, statuses {dict(sorted(target.seen.items()))}, seed {SEED}")
