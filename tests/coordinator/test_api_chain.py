"""The chain over HTTP. On a real node, an embedded store and real learning."""

from __future__ import annotations

import pytest
import requests

from coordinator.client import Problem
from tests.coordinator.http import get, problem, signed_transfer


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


def numbered(network, query: str, count: int, **headers: str) -> list[tuple[int, str]]:
    """Id and line of the log's first `count` events."""
    url = f"{network.url}/api/v1/chain/log{query}"
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        assert answer.status_code == 200, answer.text
        lines = (line for line in answer.iter_lines(decode_unicode=True) if line.startswith(("id: ", "data: ")))
        return [(int(next(lines).removeprefix("id: ")), next(lines)) for _ in range(count)]


def test_the_log_resumes_behind_the_line_that_the_client_saw_last(network, iris) -> None:
    seen = numbered(network, "?tail=5", 5)
    assert all(f" seq={number} " in f"{line} " for number, line in seen)
    resumed = numbered(network, "?tail=0", 3, **{"Last-Event-ID": str(seen[1][0])})
    assert resumed == seen[2:]
    problem(get(network, "/api/v1/chain/log", **{"Last-Event-ID": "newest"}), 400)


def test_accounts_and_validators(network) -> None:
    account = network.client.account(network.outsider.address)
    assert account["balance"] == network.node.account(network.outsider.address).balance
    assert 0 < account["balance"] <= 1_000_000  # other tests of the session spend from it
    problem(get(network, "/api/v1/accounts/me"), 400)
    validators = network.client.validators()
    assert validators["quorum"] == {"weight": 3, "of": 4}
    assert len(validators["validators"]) == 4
