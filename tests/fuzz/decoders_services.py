"""What a Kubo answers, what a broker hands to a worker, and files with rows: as wrong as they can be."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import click
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from chain.encoding import encode
from cli.model import _rows_of
from ipfs.cid import DAG_CBOR, RAW, cid_of
from ipfs.errors import ContentError
from ipfs.kubo import KuboStore, ipfshttpclient
from tests.fuzz.decoders import Decoder, as_json
from tests.fuzz.decoders_chain import json
from tests.fuzz.decoders_files import in_file
from tests.fuzz.mutate import Example
from workers.asked import NoTask, asked_of

LEAF = b"the bytes of a leaf"
LEAF_CID = str(cid_of(RAW, LEAF))
ROWS = b"sepal_length,sepal_width,kind\n5.1,3.5,red\n4.9,,blue\n"


class _Body(io.BytesIO):
    """A body that ends, as urllib3 asks of http.client's."""

    def isclosed(self) -> bool:
        return self.tell() >= len(self.getbuffer())


class _Kubo(BaseAdapter):
    """Answers every request with the same: the first byte chooses the status, the rest is the body."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def send(self, request: requests.PreparedRequest, **__: Any) -> requests.Response:  # type: ignore[override]
        if request.body is not None and not isinstance(request.body, bytes | str):
            for _ in request.body:  # what is uploaded is read, as a server does
                pass
        response = requests.Response()
        response.status_code = {0: 200, 1: 500, 2: 404, 3: 403}.get(self.data[0] & 7 if self.data else 0, 200)
        response.headers["Content-Type"] = "application/json"
        response.raw = HTTPResponse(_Body(self.data[1:]), preload_content=False)
        response.url, response.request, response.encoding = str(request.url), request, "utf-8"
        return response

    def close(self) -> None:
        """Nothing is open."""


@cache
def _store() -> tuple[KuboStore, _Kubo]:
    client, adapter = ipfshttpclient.Client("/ip4/127.0.0.1/tcp/1/http", timeout=1, session=True), _Kubo()
    client._client._session.mount("http://", adapter)
    store = KuboStore("/ip4/127.0.0.1/tcp/1/http")
    store._connected = (os.getpid(), client, ThreadPoolExecutor(2))
    return store, adapter


def kubo(ask: Callable[[KuboStore], Any]) -> Callable[[bytes], Any]:
    """`ask` of a store whose Kubo answers everything with these bytes."""

    def decode(data: bytes) -> Any:
        store, adapter = _store()
        adapter.data = data
        return ask(store)

    return decode


def _version(store: KuboStore) -> None:
    with store._asking("", "say its version"):
        store._check_version(store._client)


def said(*bodies: bytes) -> tuple[Example, ...]:
    """Bodies of answers with status 200."""
    return tuple(Example(body, "json", lambda data: b"\0" + data) for body in bodies)


def _parquet() -> bytes:
    import pandas

    return bytes(pandas.read_csv(io.BytesIO(ROWS)).to_parquet())


def decoders() -> list[Decoder]:
    keys = b'{"Keys":{"%s":{"Type":"recursive"}}}' % LEAF_CID.encode()
    added = b'{"Name":"x","Hash":"%s","Size":"19"}' % LEAF_CID.encode()
    block = encode({"links": []})
    put = b'{"Key":"%s","Size":%d}' % (str(cid_of(DAG_CBOR, block)).encode(), len(block))
    refused, answers = (ContentError,), ("ipfs.kubo.KuboStore",)
    task = b'{"job":"%s","attempt":1,"round":0,"partition":2}' % LEAF_CID.encode()
    combined = b'{"job":"%s","attempt":1,"round":0}' % LEAF_CID.encode()
    return [
        Decoder("services/kubo.version", kubo(_version), said(b'{"Version":"0.35.0-rc1","Commit":""}'), refused,
                answers),
        Decoder("services/kubo.pins", kubo(lambda store: list(store.pins())), said(keys), refused, answers),
        Decoder("services/kubo.unpin", kubo(lambda store: store.unpin(LEAF_CID)),
                said(b'{"Pins":["%s"]}' % LEAF_CID.encode()), refused, answers),
        Decoder("services/kubo.pinned", kubo(lambda store: store._pinned(LEAF_CID)), said(keys), refused, answers),
        Decoder("services/kubo.get_block", kubo(lambda store: store.get_block(LEAF_CID)),
                (Example(LEAF, wrap=lambda data: b"\0" + data),), refused, answers, lambda value, data: value == LEAF),
        Decoder("services/kubo.has", kubo(lambda store: store.has(LEAF_CID)),
                (Example(LEAF, wrap=lambda data: b"\0" + data),), refused, answers),
        Decoder("services/kubo.put_block", kubo(lambda store: store.put_block("dag-cbor", block)), said(put), refused,
                answers),
        Decoder("services/kubo.add", kubo(lambda store: store.add(LEAF)), said(added), refused, answers),
        Decoder("services/kubo.errors", kubo(lambda store: store.unpin(LEAF_CID)),
                (Example(b'{"Message":"not pinned or pinned indirectly","Code":0,"Type":"error"}', "json",
                         lambda data: b"\1" + data),), refused, answers),
        Decoder("services/tasks.train", lambda data: asked_of(as_json(data), partition=True), json(task), (NoTask,),
                ("workers.asked.asked_of",)),
        Decoder("services/tasks.aggregate", lambda data: asked_of(as_json(data), partition=False), json(combined),
                (NoTask,), ("workers.asked.asked_of",)),
        Decoder("services/rows.csv", in_file("rows.csv", _rows_of), (Example(ROWS),), (click.UsageError,),
                ("cli.model.predict",)),
        Decoder("services/rows.parquet", in_file("rows.parquet", _rows_of), (Example(_parquet()),), (click.UsageError,),
                ("cli.model.predict",)),
        Decoder("services/rows.json", in_file("rows.json", _rows_of), json(b'[{"a":1},[1,2]]'), (click.UsageError,),
                ("cli.model.predict",)),
    ]  # fmt: skip
