"""Requests to the coordinator under test, and what its problem documents must be."""

from __future__ import annotations

from typing import Any

import requests

from chain.transactions import Transfer

#: The estimator of the network's first job.
BAYES = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}


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


def signed_transfer(network) -> bytes:
    key = network.outsider
    return network.node.prepare(Transfer(recipient=key.address, amount=1), key).data
