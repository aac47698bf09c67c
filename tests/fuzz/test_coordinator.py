"""Every route of a real coordinator, with data that its OpenAPI allows and data that it forbids (schemathesis)."""

from __future__ import annotations

import random
import time
from collections import Counter
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

from tests.fuzz.progress import Taken, of_routes
from tests.fuzz.requests import (
    REQUESTS,
    SEED,
    SEGMENTS,
    TYPES,
    Sent,
    Target,
    check_growth,
    headers_of,
    odd_body,
    path_of,
    random_of,
    usage,
)

#: Streams without an end, which schemathesis would wait for. The test of hostile paths opens them, reads the answer's
#: head, and hangs up.
STREAMS = ("/api/v1/chain/log", "/api/v1/jobs/{job}/events")
#: States of a job that goes on.
OPEN = ("training", "voting")
#: The rooms whose change begins a campaign anew.
CODE = ("runtime", "chain", "coordinator")
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


def asked_for(network: Any) -> dict[str, Any]:
    """What changes by requests alone, and not by what goes on with jobs that were accepted: names of what there is,
    policies, and who was cancelled."""
    state = standing(network)
    models = [{**each, "version": None} for each in state["models"]["models"]]
    jobs = {each["job"]: each["state"] == "cancelled" for each in state["jobs"]["jobs"]}
    return {"jobs": jobs, "models": models, "datasets": [each["name"] for each in state["datasets"]["datasets"]]}


def ticked(network: Any) -> tuple[int, int]:
    """What changes with all that the chain takes: cheap to ask for, so that it can be after each request."""
    chain = network.node.chain()
    return chain["seq"], chain["pending"]


def settled(network: Any) -> dict[str, Any]:
    """What the network knows once it has nothing under way."""
    deadline = time.monotonic() + 120
    while True:
        found = standing(network)
        if not found["pending"] and all(each["state"] not in OPEN for each in found["jobs"]["jobs"]):
            return found
        assert time.monotonic() < deadline, f"jobs do not end: {found}"
        time.sleep(0.1)


def operations(api: schemathesis.BaseSchema) -> list[Any]:
    found = [result.ok() for result in api.get_all_operations()]
    return [each for each in found if each.path not in STREAMS]


def attack(network: Any, operation: Any, mode: GenerationMode, count: int, job: str) -> Counter[int]:
    """So many cases of one operation, or as many as there are; the answers by their status. `job` exists."""
    session = requests.Session()
    rng = random.Random(SEED)
    seen = Counter[int]()
    before, ticks = [asked_for(network)], [ticked(network)]
    writes = operation.method.upper() != "GET"
    named = "iris" if "datasets" in operation.path else "iris-nb"
    known = {"name": named, "model": "iris-nb", "job": job, "number": 1, "version": 1, "which": "0"}

    @seed(SEED)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        if rng.random() < 0.5:  # the names of what there is, or nothing deep is reached
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known.get(name, case.path_parameters[name])
        response = case.call(session=session, timeout=60)
        seen[response.status_code] += 1
        if writes and (response.status_code < 400 or ticked(network) != ticks[0]):
            ticks[0], now = ticked(network), asked_for(network)
            assert response.status_code < 400 or now == before[0], f"refused, but it changed something: {response.text}"
            before[0] = now
        if response.status_code == 503:  # declared: the node or the store is busy
            assert response.headers["Retry-After"][0].isdigit()
        else:
            case.validate_response(response, checks=CHECKS)

    with session:
        run()
    return seen


def test_every_route_takes_what_its_description_allows_and_refuses_the_rest(network: Any, iris: Any, api: Any) -> None:
    progress, wanted = of_routes(SEED, *CODE), max(1, REQUESTS // 2)
    found = []
    for operation in operations(api):
        before, reads = settled(network), operation.method.upper() == "GET"
        for mode in GenerationMode:
            part, begun = f"coordinator {operation.label}, {mode.value}", time.monotonic()
            if not progress.taken(part).left(wanted):
                continue
            try:
                seen = attack(network, operation, mode, wanted, iris["job"])
                taken = Taken(seen.total(), ended=seen.total() < wanted)
                progress.note(part, taken)
                print(f"{part}: {taken.said(wanted)}, {time.monotonic() - begun:.1f} s; {dict(sorted(seen.items()))}",
                      flush=True)  # fmt: skip
            except Unsatisfiable:  # there is nothing wrong that could be said to it
                progress.note(part, Taken(0, ended=True))
                print(f"{part}: {Taken(0, ended=True).said(wanted)}", flush=True)
            except BaseExceptionGroup as failures:  # schemathesis has its own, with the request to send again
                found.append(f"{part}: {failures}")
        assert not reads or standing(network) == before, f"{operation.label} changed something"
    assert not found, "\n\n".join(found)


def test_every_route_takes_hostile_paths_queries_and_headers(network: Any, iris: Any, api: Any) -> None:
    target = Target("127.0.0.1", int(network.url.rpartition(":")[2]), None)
    progress, before = of_routes(SEED, *CODE), settled(network)
    rules = [result.ok() for result in api.get_all_operations()]
    for operation in rules:  # not counted: what each thread and library keeps once, it keeps from then on
        for number in range(max(1, min(REQUESTS // 5, 2_000))):
            target.send(hostile(operation, "warm", number))
    held = usage()
    target.statuses()
    for operation in rules:
        part, begun = f"coordinator {operation.label}, hostile", time.monotonic()
        for number in progress.numbers(part, REQUESTS):
            target.send(hostile(operation, part, number))
        print(f"{part}: {progress.said(part, REQUESTS)}, {time.monotonic() - begun:.1f} s; {target.statuses()}",
              flush=True)  # fmt: skip
    target.close()
    assert standing(network) == before
    check_growth(held, usage(), memory=REQUESTS >= 200, of_a_thread=2)


def hostile(operation: Any, part: str, number: int) -> Sent:
    rng = random_of(part, number)
    rule = operation.path.replace("{", "<").replace("}", ">")
    method = operation.method.upper()
    if rng.random() < 0.1:
        method = rng.choice(("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"))
    path, headers = path_of(rng, rule, (*SEGMENTS, b"iris-nb", b"iris", b"1")), headers_of(rng)
    if method not in ("POST", "PUT"):
        return Sent(method, path, headers)
    kind = rng.choice(TYPES) if rng.random() < 0.3 else "application/json"
    return Sent(method, path, {**headers, **({"Content-Type": kind} if kind else {})}, odd_body(rng))
