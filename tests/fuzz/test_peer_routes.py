"""`/p2p/` of a real node: each message spoiled by strangers from other addresses of the loopback, since one that broke
a rule is not listened to any more."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chain import schema
from chain.client import NodeClient
from chain.node.peering.codec import NAMES, encode
from chain.node.peering.links import TOKEN, Greeting
from chain.node.peering.messages import Hello, Status
from tests.fuzz.decoders_peers import MESSAGES
from tests.fuzz.mutate import Example, make
from tests.fuzz.progress import of_routes
from tests.fuzz.requests import (
    REQUESTS,
    SEED,
    TYPES,
    Sent,
    Target,
    check_growth,
    known_codes,
    odd_body,
    random_of,
    usage,
)
from tests.fuzz.test_node import WARM, node, standing

__all__ = ["node"]
CBOR = "application/vnd.ipld.dag-cbor"


class Stranger:
    """Greets from an address of its own, and again from another when it is no longer listened to."""

    def __init__(self, client: NodeClient, target: Target) -> None:
        self.target, self.token, self.count = target, "", 0
        chain = client.chain()
        head, final = str(chain["head"]), str(chain["final"]["hash"])
        self.status = Status(int(chain["height"]), head, str(chain["work"]), "0", 0, final, 0, final)  # type: ignore[arg-type]
        self.genesis: Any = chain["genesis"]

    @property
    def address(self) -> str:
        return f"127.{1 + self.count // 60_000}.{self.count // 250 % 240}.{1 + self.count % 250}"

    def greeting(self) -> Greeting:
        return Greeting(Hello(1, self.genesis, secrets.token_hex(16), "", self.status), "", "")

    def greet(self) -> None:
        """Until it has a token; a node that is full has room when others were silent for a minute."""
        deadline = time.monotonic() + 90
        while not self.token:
            assert time.monotonic() < deadline, "no greeting was answered for 90 seconds"
            self.count += 1
            sent = Sent("POST", "/p2p/hello", {"Content-Type": CBOR}, schema.to_bytes(self.greeting()))
            status, body, _ = self.target.send(sent, self.address)
            if status == 200:
                self.token = schema.from_bytes(Greeting, body, 4096).token
            else:
                assert status in (403, 429, 503), (status, body)
                time.sleep(0.05)

    def send(self, name: str, headers: dict[str, str], body: bytes) -> int:
        self.greet()
        sent = Sent("POST", f"/p2p/{name}", {TOKEN: self.token, **headers}, body)
        status, _, _ = self.target.send(sent, self.address)
        if status >= 400 and status not in (413, 415, 411):
            self.token = ""
        return status


@pytest.fixture
def stranger(node: NodeClient) -> Iterator[Stranger]:
    target = Target("127.0.0.1", int(node.url.rpartition(":")[2]), known_codes())
    yield Stranger(node, target)
    target.close()


def spoiled(rng: random.Random, examples: list[Example]) -> tuple[dict[str, str], bytes]:
    body = make(rng, examples) if rng.random() < 0.93 else odd_body(rng)
    kind = CBOR if rng.random() < 0.95 else rng.choice([each for each in TYPES if each])
    return {"Content-Type": kind}, body


def test_every_message_takes_bad_ones(node: NodeClient, stranger: Stranger) -> None:
    progress, before = of_routes(SEED, "runtime", "chain"), standing(node)
    examples = {type(one): [Example(encode(one), "cbor")] for one in MESSAGES}
    held = usage()
    for place, (name, kind) in enumerate([*NAMES.items(), ("no-such-message", MESSAGES[0].__class__)]):
        part = f"node POST /p2p/{name}"
        for number in progress.numbers(part, REQUESTS):
            stranger.send(name, *spoiled(random_of(part, number), examples[kind]))
        assert standing(node) == before, f"{name} changed the chain"
        print(f"{part}: {progress.said(part, REQUESTS)}, from {stranger.count:,} addresses so far; "
              f"{stranger.target.statuses()}", flush=True)  # fmt: skip
        if place == WARM:
            held = usage()
    check_growth(held, usage())


def test_greetings_may_be_spoiled(node: NodeClient, stranger: Stranger) -> None:
    progress, before, part = of_routes(SEED, "runtime", "chain"), standing(node), "node POST /p2p/hello, spoiled"
    for number in progress.numbers(part, REQUESTS):
        greeting = Example(schema.to_bytes(stranger.greeting()), "cbor")
        headers, body = spoiled(random_of(part, number), [greeting])
        stranger.count += 1
        status, answer, _ = stranger.target.send(Sent("POST", "/p2p/hello", headers, body), stranger.address)
        if status == 200:  # a good greeting by chance: its peer breaks a rule at once, and so makes room
            stranger.token = schema.from_bytes(Greeting, answer, 4096).token
            stranger.send("headers", {"Content-Type": CBOR}, b"\xff")
            stranger.token = ""
    assert standing(node) == before
    print(f"{part}: {progress.said(part, REQUESTS)}; {stranger.target.statuses()}", flush=True)
