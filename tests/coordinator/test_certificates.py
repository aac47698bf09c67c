"""A version's certificate over HTTP and on the command line: absent with a reason, then there, then checked offline."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from chain.certificates import Certificate, OutdatedSet, verify
from chain.keys import Key
from chain.schema import Hash
from cli.main import cli
from coordinator.client import Problem
from validators.attester import Attester

KEYS = [Key(number.to_bytes(32, "big")) for number in range(1, 5)]
MODEL = "iris-certified"


def get(network: Any, name: str = MODEL, number: int = 1) -> requests.Response:
    return requests.get(f"{network.url}/api/v1/models/{name}/versions/{number}/certificate", timeout=60)


def attest(network: Any, keys: list[Key]) -> None:
    """These validators attest all there is, and it is in a block."""
    for key in keys:
        Attester(network.node, key).consider()
    deadline = time.monotonic() + 30
    for _ in network.node.follow(threading.Event(), wait=0.5):
        sets = network.node.attested_view(MODEL, 1).value.sets
        signers = {one.validator for one in sets[0].attestations} if sets else set()
        if signers >= {key.address for key in keys}:
            return
        assert time.monotonic() < deadline


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture(scope="module")
def adopted(network: Any) -> Any:
    """A version that nobody has attested yet."""
    network.dataset()
    estimator = {"class": "sklearn.naive_bayes.GaussianNB", "params": {}}
    network.adopted(network.client.train(MODEL, "iris", estimator))
    return network


@pytest.fixture(scope="module")
def waiting(adopted: Any) -> str:
    """What is answered with two of four attestations."""
    attest(adopted, KEYS[:2])
    answer = get(adopted)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == "urn:assay:problem:no-certificate-yet"
    return str(document["detail"])


@pytest.fixture(scope="module")
def certified(adopted: Any, waiting: str) -> Any:
    attest(adopted, KEYS[:3])
    return adopted


def test_while_there_is_none_it_says_who_is_missing(waiting: str) -> None:
    assert "a weight of 2 of 4" in waiting
    assert "needs 3" in waiting
    assert all(key.address in waiting for key in KEYS[2:])
    assert not any(key.address in waiting for key in KEYS[:2])


def test_with_a_quorum_it_is_there_in_canonical_form(certified: Any) -> None:
    answer = get(certified)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    found = Certificate.from_json(answer.content)
    assert found.to_json() == answer.content
    assert found.to_document() == certified.client.certificate(MODEL, 1)
    version = certified.client.version(MODEL, 1)
    said = found.statement
    assert (said.model, said.version, said.candidate) == (MODEL, 1, version["cid"])
    assert (said.dataset, said.score) == (version["dataset_cid"], round(version["score"] * 1_000_000))
    known = certified.node.validators()
    verify(found, known, genesis=Hash(certified.node.genesis_hash()))
    with pytest.raises(OutdatedSet):
        verify(found, known, newest_serial=1)


def test_what_there_is_not_has_no_certificate(certified: Any) -> None:
    for name, number in (("nobody", 1), (MODEL, 2), (MODEL, 0), (MODEL, 10**30)):
        answer = get(certified, name, number)
        assert answer.status_code == 404
        assert "unknown" in answer.json()["type"]
    with pytest.raises(Problem, match="no model"):
        certified.client.certificate("nobody", 1)


def test_openapi_has_the_route(certified: Any) -> None:
    paths = requests.get(f"{certified.url}/openapi.json", timeout=60).json()["paths"]
    (path,) = [path for path in paths if path.endswith("/certificate")]
    assert {"200", "404"} <= set(paths[path]["get"]["responses"])


def test_the_node_shows_the_attestations(certified: Any) -> None:
    answer = requests.get(f"{certified.node.url}/models/{MODEL}/versions/1/attestations", timeout=60).json()
    (only,) = answer["value"]["sets"]
    assert only["validators"]["serial"] == 0
    assert {one["validator"] for one in only["attestations"]} >= {key.address for key in KEYS[:3]}
    nothing = requests.get(f"{certified.node.url}/models/{MODEL}/versions/2/attestations", timeout=60)
    assert nothing.status_code == 404


@pytest.mark.parametrize("which", [MODEL, f"{MODEL}@1"])
@pytest.mark.parametrize("flag", ["", "--cbor"])
def test_the_command_writes_a_file_that_verifies(certified: Any, tmp_path: Path, which: str, flag: str) -> None:
    out = tmp_path / "certificate"
    done = run("model", "certificate", which, "--url", certified.url, "--out", str(out), *flag.split())
    assert done.exit_code == 0, done.output
    assert "written to" in done.output
    known = tmp_path / "validators.json"
    known.write_text(json.dumps(certified.client.validators()))
    done = run("certificate", "verify", str(out), "--validators", str(known))
    assert done.exit_code == 0, done.output
    assert "VALID" in done.output
    done = run("certificate", "verify", str(out), "--validators", ",".join(key.address for key in KEYS), "--json")
    assert json.loads(done.output)["valid"] is True


def test_the_command_prints_json_and_says_what_is_missing(certified: Any) -> None:
    done = run("model", "certificate", MODEL, "--url", certified.url, "--json")
    assert json.loads(done.output) == certified.client.certificate(MODEL, 1)
    assert run("model", "certificate", f"{MODEL}@x", "--url", certified.url).exit_code == 2
    assert run("model", "certificate", MODEL, "--url", certified.url, "--cbor").exit_code == 2
    done = run("model", "certificate", f"{MODEL}@7", "--url", certified.url)
    assert done.exit_code == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the disk that is always full")
def test_a_full_disk_is_told_in_one_line(certified: Any) -> None:
    done = run("model", "certificate", MODEL, "--url", certified.url, "--out", "/dev/full")
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    assert "/dev/full: No space left on device: the certificate was not written" in done.output
