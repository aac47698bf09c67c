"""Every route of a real node over HTTP: whatever comes, a problem document or an answer, and a chain left as it was."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest
import requests

from chain.client import NodeClient
from chain.keys import Key
from chain.node.api import create_app
from chain.node.running import run
from chain.params import Genesis
from chain.schema import Address
from chain.transactions import Signed, body_of, sign
from tests.chain.conftest import ALICE, EXAMPLES
from tests.fuzz.decoders_chain import VALIDATORS
from tests.fuzz.mutate import Example, make
from tests.fuzz.progress import of_routes
from tests.fuzz.requests import (
    REQUESTS,
    SEED,
    SEGMENTS,
    TYPES,
    Sent,
    Target,
    check_growth,
    headers_of,
    known_codes,
    odd_body,
    path_of,
    random_of,
    usage,
)

#: Who signs what is sent: no validator, nobody's owner, and without coins.
NOBODY = Key(b"\x63" * 32)
#: Requests between two looks at the chain.
LOOK = 50
#: The route after which memory, threads and files are to stay: what is made once was made by then.
WARM = 3


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeClient]:
    """A node at its genesis, with nobody to vote: what changes it was accepted."""
    stop, ports = threading.Event(), Queue[int]()
    validators = tuple(key.address for key in VALIDATORS)
    genesis = Genesis("development", time.time_ns() // 10**6, validators, ((ALICE.address, 1_000_000),), "fuzzed")
    miner = Address("0x" + "ab" * 20)
    arguments = (tmp_path_factory.mktemp("node"), "127.0.0.1", 0, genesis, miner, stop, ports.put)
    thread = threading.Thread(target=run, args=arguments)
    thread.start()
    client = NodeClient(f"http://127.0.0.1:{ports.get(timeout=30)}")
    yield client
    stop.set()
    thread.join(20)
    client.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def target(node: NodeClient) -> Iterator[Target]:
    found = Target("127.0.0.1", int(node.url.rpartition(":")[2]), known_codes())
    yield found
    found.close()


def standing(node: NodeClient) -> dict[str, Any]:
    shown = requests.get(f"{node.url}/chain", timeout=30).json()
    return {name: shown[name] for name in ("head", "height", "pending", "seq", "final", "justified")}


def signed(node: NodeClient) -> list[Signed]:
    """A transaction of each kind by somebody who owns nothing and is nobody: well-formed, signed, and refused."""
    expires = time.time_ns() // 10**6 + 300_000
    genesis: Any = node.genesis_hash()
    bodies = [body_of(each, NOBODY.address, genesis, f"{number:032x}", expires) for number, each in enumerate(EXAMPLES)]
    return [sign(body, NOBODY) for body in bodies]


def rules() -> list[tuple[str, str]]:
    from unittest.mock import MagicMock

    found = []
    for rule in create_app(MagicMock()).url_map.iter_rules():
        if "static" not in rule.rule and not rule.rule.startswith("/p2p/"):
            found += [(method, rule.rule) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return sorted(found)


def request(rng: random.Random, method: str, rule: str, examples: list[Example], segments: tuple[bytes, ...]) -> Sent:
    if rng.random() < 0.05:
        method = rng.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"))
    path, headers = path_of(rng, rule, segments), headers_of(rng)
    if method == "GET" or (method not in ("POST", "PUT") and rng.random() < 0.5):
        return Sent(method, path, headers)
    if rng.random() < 0.7:
        path = rule
    body = make(rng, examples) if rng.random() < 0.8 else odd_body(rng)
    likely = "application/vnd.ipld.dag-cbor" if body[:1] not in b"{[" else "application/json"
    headers["Content-Type"] = likely if rng.random() < 0.85 else rng.choice(TYPES)
    if headers["Content-Type"] == "":
        del headers["Content-Type"]
    return Sent(method, path, headers, body)


def test_every_route_takes_bad_requests(node: NodeClient, target: Target) -> None:
    progress = of_routes(SEED, "runtime", "chain")
    validators = {key.address for key in VALIDATORS}
    assert NOBODY.address not in validators, "a vote of a validator's is rightly taken"
    examples = [Example(each.data, "cbor") for each in signed(node)]
    examples.append(Example(b'{"url":"http://127.0.0.1:1"}', "json"))
    segments = (*SEGMENTS, node.genesis_hash().encode(), ALICE.address.encode())
    before, held = standing(node), usage()
    for place, (method, rule) in enumerate(rules()):
        part = f"node {method} {rule}"
        for number in progress.numbers(part, REQUESTS):
            sent = request(random_of(part, number), method, rule, examples, segments)
            status, _, _ = target.send(sent)
            accepted = status < 300 and sent.method == "POST" and rule == "/transactions"
            assert not accepted, f"accepted: {sent}"
            if number % LOOK == 0:
                assert standing(node) == before, f"the chain changed within {LOOK} requests before {sent}"
        assert standing(node) == before, f"the chain changed within {LOOK} requests to {part}"
        print(f"{part}: {progress.said(part, REQUESTS)}; {target.statuses()}", flush=True)
        if place == WARM:
            held = usage()
    check_growth(held, usage())
