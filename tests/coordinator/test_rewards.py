"""A job's reward over HTTP: taken, held, paid at adoption, returned at any other end; and the validators' document."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from click.testing import CliRunner

from chain.transactions import Stake
from cli.main import cli
from coordinator.client import Problem

BAYES = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}
REWARD = 10_007


@pytest.fixture(scope="module")
def iris(network: Any) -> str:
    network.dataset("iris-paid")
    return "iris-paid"


@pytest.fixture
def opener(network: Any, iris: str) -> str:
    """The coordinator's address."""
    return str(network.client.dataset(iris)["owner"])


def paid(document: Any) -> dict[str, int]:
    return {each["account"]: each["amount"] for each in document["payouts"]}


def test_workers_and_validators_share_the_reward_of_an_adopted_job(network: Any, iris: str, opener: str) -> None:
    before = {key.address: network.client.account(key.address)["balance"] for key in network.workers}
    document = network.adopted(network.client.train("paid", iris, BAYES, reward=REWARD, partitions=4))
    shares = paid(document)
    assert document["reward"] == sum(shares.values()) == REWARD
    approvals = network.client.version("paid", document["version"])["approvals"]
    share = network.node.params().validator_share
    each = REWARD * share // 1_000_000 // len(approvals)
    assert {who: amount for who, amount in shares.items() if who in approvals} == dict.fromkeys(approvals, each)
    for worker, balance in before.items():
        assert network.client.account(worker)["balance"] == balance + shares.get(worker, 0)
    assert set(shares) <= {*before, *approvals, opener}
    assert network.client.jobs("adopted")[0]["payouts"] == document["payouts"]


def test_an_open_job_holds_it_and_a_cancelled_one_returns_it(network: Any, iris: str, opener: str) -> None:
    before = network.client.account(opener)
    network.broker.halted.set()
    try:
        job = network.client.train("paid", iris, BAYES, reward=500)
        held, document = network.client.account(opener), network.client.job(job)
        assert (held["balance"], held["escrowed"]) == (before["balance"] - 500, before["escrowed"] + 500)
        assert (document["reward"], document["payouts"]) == (500, [])
        network.client.cancel(job)
        document = list(network.client.watch(job))[-1]
    finally:
        network.broker.halted.clear()
    assert (document["state"], paid(document)) == ("cancelled", {opener: 500})
    assert network.client.account(opener) == before


def test_a_reward_that_the_wallet_does_not_have_names_the_field_and_registers_nothing(
    network: Any, iris: str, opener: str
) -> None:
    owned = network.client.account(opener)["balance"]
    with pytest.raises(Problem) as refused:
        network.client.train("never-registered", iris, BAYES, reward=owned + 1)
    assert refused.value.status == 400
    ((field, message),) = refused.value.errors
    assert field == "reward"
    assert f"at most {owned}" in message
    assert network.node.model("never-registered") is None


def test_on_the_command_line(network: Any, iris: str) -> None:
    arguments = ["train", "--dataset", iris, "--model", "paid", "--estimator", BAYES["class"], "--reward", "50"]
    done = CliRunner().invoke(cli, [*arguments, "--detach", "--url", network.url])
    assert done.exit_code == 0, done.output
    assert network.adopted(done.output.strip())["reward"] == 50
    assert CliRunner().invoke(cli, [*arguments[:-1], "-1", "--url", network.url]).exit_code == 2


def test_stake_is_shown(network: Any) -> None:
    address = network.outsider.address
    network.node.wait_transaction(network.node.send(Stake(70), network.outsider))
    account = network.client.account(address)
    assert (account["stake"], account["unbonding"], account["escrowed"]) == (70, [], 0)


def test_validators_show_the_set_what_is_to_come_and_who_is_admitted(network: Any) -> None:
    found = network.client.validators()
    assert {each["weight"] for each in found["validators"]} == {1}
    assert (found["serial"], found["power"], found["pending"], found["signed_from"]) == (0, "member", None, 0)
    assert [each["address"] for each in found["admitted"]] == [each["address"] for each in found["validators"]]
    assert {(each["power"], each["stake"], each["since"]) for each in found["admitted"]} == {(1, 0, 0)}


def test_the_api_describes_it(network: Any) -> None:
    text = requests.get(f"{network.url}/openapi.json", timeout=60).text
    for word in ("payouts", "escrowed", "unbonding", "admitted", "signed_from"):
        assert f'"{word}"' in text, word
