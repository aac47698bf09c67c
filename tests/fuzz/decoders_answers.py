"""Answers of services: a node's to its client, a coordinator's to its own, both as wrong as they can be."""

from __future__ import annotations

import json as plain_json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import requests

from chain import schema
from chain.answers import problem_of
from chain.client import NodeClient, NodeError
from chain.encoding import encode
from chain.params import DEVELOPMENT
from chain.state import Attested, State
from chain.state.membership import membership
from coordinator.client import Client
from coordinator.transport import ClientError
from tests.chain.conftest import EXAMPLES
from tests.fuzz.decoders import Decoder
from tests.fuzz.decoders_chain import ALICE, NETWORK, OTHER, cbor, json
from tests.fuzz.mutate import Example
from tests.lab import Lab

STAND = {"height": 12, "head": OTHER, "final_height": 10}


def answered(data: bytes, status: int = 200, kind: str = "application/json") -> requests.Response:
    """A response with this body."""
    response = requests.Response()
    response.status_code = status
    response.headers["Content-Type"] = kind
    response._content = data
    return response


class _Session:
    """Answers everything with the same bytes."""

    def __init__(self) -> None:
        self.data = b""

    def request(self, *_: Any, **__: Any) -> requests.Response:
        return answered(self.data)

    def close(self) -> None:
        """Nothing is open."""


class FuzzedNode(NodeClient):
    """A client whose node is hostile; two pages of a list are enough of it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.session = _Session()

    def _session(self) -> Any:
        return self.session


class FuzzedCoordinator(Client):
    """A client whose coordinator is hostile."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self._session.close()
        self._session = _Session()  # type: ignore[assignment]


def node(ask: Callable[[NodeClient], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        client = FuzzedNode()
        client.session.data = data
        return ask(client)

    return decode


def coordinator(ask: Callable[[Client], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        client = FuzzedCoordinator()
        client._session.data = data  # type: ignore[attr-defined]
        return ask(client)

    return decode


@cache
def state() -> State:
    """A state with something of most tables."""
    where = Path(tempfile.mkdtemp(prefix="assay-fuzz-"))
    try:
        lab = Lab(where).register()
        lab.adopt(lab.work(lab.open()))
        lab.open()
        return lab.state
    finally:
        shutil.rmtree(where)


def view(value: Any) -> bytes:
    return encode({**STAND, "value": schema.to_object(value), "final": True})


def page(*values: Any) -> bytes:
    items = [{"value": schema.to_object(value), "final": True} for value in values]
    return encode({**STAND, "items": items, "next": None})


def decoders() -> list[Decoder]:
    found = state()
    job, model, version = (next(iter(table.values())) for table in (found.jobs, found.models, found.versions))
    dataset = next(iter(found.datasets.values()))
    refused = (NodeError,)
    report = next(each for each in EXAMPLES if each.kind == "report_misconduct")
    chain = {"network": "development", "genesis": OTHER, "height": 12, "head": OTHER, "params": {}}
    event = {"seq": 3, "height": 2, "block": OTHER, "kind": "block", "undone": False, "time": 1, "miner": "0x1"}
    events = {"events": [event, event], "next": 4, "run": "a1", "head": OTHER, "height": 2, "final_height": 1}
    problem = b'{"type":"about:blank","title":"x","status":400,"detail":"no","code":"a","errors":[{"field":"a"}]}'
    asked: tuple[tuple[str, Callable[[NodeClient], Any], tuple[Example, ...]], ...] = (
        ("account", lambda client: client.account("0x"), cbor(view(found.accounts[ALICE.address]
         if ALICE.address in found.accounts else next(iter(found.accounts.values()))))),
        ("dataset", lambda client: client.dataset("x"), cbor(view(dataset))),
        ("datasets", lambda client: client.datasets(), cbor(page(dataset, dataset))),
        ("model", lambda client: client.model_view("x"), cbor(view(model))),
        ("version", lambda client: client.version("x", 1), cbor(view(version))),
        ("job", lambda client: client.job_view("x"), cbor(view(job))),
        ("jobs", lambda client: client.jobs("all"), cbor(page(job))),
        ("attested", lambda client: client.attested_view("x", 1), cbor(view(Attested("x", 1, ())))),
        ("validators", lambda client: client.validators(), cbor(view(found.validators))),
        ("membership", lambda client: client.membership(), cbor(view(membership(found, DEVELOPMENT)))),
        ("finality", lambda client: client.finality(), cbor(view(found.finality))),
        ("voted", lambda client: client.voted(), cbor(encode({**STAND, "voted": {ALICE.address: 3}}))),
        ("evidence", lambda client: client.evidence(), cbor(encode({**STAND, "items": [schema.to_object(report)]}))),
        ("escrowed", lambda client: client.escrowed("0x"), cbor(encode({**STAND, "escrowed": 5}))),
        ("genesis", lambda client: client.genesis(), cbor(NETWORK.to_bytes())),
        ("genesis_hash", lambda client: client.genesis_hash(), json(plain_json.dumps(chain))),
        ("params", lambda client: client.params(), json(plain_json.dumps(chain))),
        ("transaction", lambda client: client.transaction("x"), json(b'{"transaction":"x","status":"final"}')),
        ("wait_transaction", lambda client: client.wait_transaction("x", timeout=0),
         json(b'{"transaction":"x","status":"final"}')),
        ("events", lambda client: client.events(), json(plain_json.dumps(events))),
    )  # fmt: skip
    return [
        *(
            Decoder(f"answers/node.{name}", node(ask), examples, refused,
                    ("chain.answers.to_view", "chain.answers.to_event"))
            for name, ask, examples in asked
        ),
        Decoder("answers/problem_of", lambda data: problem_of(answered(data, 400)), json(problem), (),
                ("chain.answers.problem_of",)),
        Decoder("answers/coordinator.ready", coordinator(lambda client: client.ready()),
                json(b'{"ready":true,"parts":{"chain":{"ready":true,"reason":null}}}'), (ClientError,), ()),
        Decoder("answers/coordinator.versions", coordinator(lambda client: client.versions("x")),
                json(b'{"versions":[{"version":1,"cid":"x"}],"next":null}'), (ClientError,), ()),
    ]  # fmt: skip
