"""The commands on a real coordinator and a real node, as people and as scripts use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.dataset import KNOWN

ROOT = Path(__file__).parents[2]
IRIS = ROOT / "datasets" / "iris.csv"
KNEIGHBORS = "sklearn.neighbors.KNeighborsClassifier"


@pytest.fixture(scope="module")
def adopted(network: Any) -> str:
    """A finished job on model `iris`."""
    network.dataset()
    job = network.client.train("iris", "iris", KNEIGHBORS, partitions=2)
    network.adopted(job)
    return str(job)


def test_a_file_is_added_beside_a_running_fleet_and_registered(on: Callable[..., Any]) -> None:
    added = on("dataset", "add", IRIS, "--json").json
    assert added["name"] == "iris.csv"
    assert added["size"] == IRIS.stat().st_size
    assert on("dataset", "add", IRIS).out == added["cid"] + "\n"
    registered = on("dataset", "register", added["cid"], "--name", "flowers", "--target", "species", "--json").json
    assert (registered["name"], registered["cid"], registered["rows"]) == ("flowers", added["cid"], 150)
    listed = on("dataset", "list", "--json").json
    assert "flowers" in [dataset["name"] for dataset in listed]
    assert "flowers" in on("dataset", "list").out


def test_registering_what_cannot_be_is_status_1(on: Callable[..., Any], adopted: str) -> None:
    added = on("dataset", "add", IRIS, "--json").json
    ran = on("dataset", "register", added["cid"], "--name", "wrong", "--target", "no such column")
    assert ran.status == 1
    assert "no such column" in ran.err


def test_without_a_fleet_a_file_goes_to_the_embedded_store(assay: Callable[..., Any], tmp_path: Path) -> None:
    added = assay("dataset", "add", IRIS, "--data", tmp_path / "new", "--json").json
    assert added["cid"].startswith("baf")
    assert (tmp_path / "new" / "store").is_dir()


def test_train_shows_the_job_as_it_goes_and_how_it_ended(on: Callable[..., Any], adopted: str) -> None:
    ran = on("train", "--dataset", "iris", "--model", "iris", "--estimator", KNEIGHBORS, "--partitions", 2)
    assert ran.status in (0, 1), ran.err
    for said in ("job  ", "seed  ", "update 0.0", "update 0.1", "candidate  ", "vote  "):
        assert said in ran.out
    assert ("adopted" in ran.out) is (ran.status == 0)


def test_train_for_scripts_prints_the_closed_job(on: Callable[..., Any], adopted: str) -> None:
    arguments = ["--dataset", "iris", "--model", "trees", "--estimator", "sklearn.tree.DecisionTreeClassifier"]
    job = on("train", *arguments, "--param", "max_depth=3", "--json").json
    assert (job["state"], job["final"], job["model"]) == ("adopted", True, "trees")
    assert job["estimator"]["params"] == {"max_depth": 3}


def test_train_detached_prints_the_job_s_id(on: Callable[..., Any], network: Any, adopted: str) -> None:
    arguments = ["train", "--dataset", "iris", "--model", "iris", "--estimator", KNEIGHBORS, "--detach", "--json"]
    job = on(*arguments).json["job"]
    ran = on("job", "watch", job, "--json")
    assert json.loads(ran.out)["job"] == job


def test_an_estimator_that_is_none_is_status_1_and_named(on: Callable[..., Any], adopted: str) -> None:
    ran = on("train", "--dataset", "iris", "--model", "iris", "--estimator", "os.system")
    assert ran.status == 1
    assert "os.system" in ran.err


def test_jobs_are_listed_and_shown(on: Callable[..., Any], adopted: str) -> None:
    assert adopted in [job["job"] for job in on("job", "list", "--json").json]
    assert adopted in on("job", "list", "--state", "adopted").out
    assert on("job", "show", adopted, "--json").json["state"] == "adopted"
    shown = on("job", "show", adopted).out
    assert "state       adopted" in shown
    assert "update 0.0" in shown
    assert on("job", "watch", adopted).status == 0


def test_a_job_that_is_not_there_is_status_1(on: Callable[..., Any], adopted: str) -> None:
    nothing = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    for command in ("show", "cancel"):
        ran = on("job", command, nothing)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith("Error: ")


def test_a_job_is_cancelled(on: Callable[..., Any], network: Any, adopted: str) -> None:
    network.broker.halted.set()
    try:
        job = on("train", "--dataset", "iris", "--model", "iris", "--estimator", KNEIGHBORS, "--detach").out.strip()
        assert on("job", "cancel", job, "--json").json["transaction"]
        ended = on("job", "watch", job, "--json")
        assert ended.status == 1, "no model was adopted"
        assert json.loads(ended.out)["state"] == "cancelled"
    finally:
        network.broker.halted.clear()


def test_models_are_listed_shown_and_predict(on: Callable[..., Any], adopted: str, tmp_path: Path) -> None:
    assert "iris" in [model["name"] for model in on("model", "list", "--json").json]
    assert "accuracy" in on("model", "list").out
    shown = on("model", "show", "iris", "--json").json
    assert 1 in [version["version"] for version in shown["all_versions"]]
    assert "verified by" in on("model", "show", "iris").out
    answer = on("model", "predict", "iris", "5.1,3.5,1.4,0.2", "6.3,3.3,6.0,2.5", "--json").json
    assert answer["predictions"] == ["setosa", "virginica"]
    assert on("model", "predict", "iris", "5.1,3.5,1.4,0.2").out.startswith("setosa  (setosa ")
    rows = tmp_path / "rows.json"
    rows.write_text("[[5.1, 3.5, 1.4, 0.2]]")
    assert on("model", "predict", "iris", "--file", rows, "--json").json["predictions"] == ["setosa"]
    table = tmp_path / "rows.csv"
    heading, first = IRIS.read_text().splitlines()[:2]
    table.write_text(f"{heading.rsplit(',', 1)[0]}\n{first.rsplit(',', 1)[0]}\n")
    assert on("model", "predict", "iris", "--file", table, "--json").json["predictions"] == ["setosa"]


@pytest.mark.parametrize(("text", "said"), [("{", "is no JSON"), ("{}", "expected a JSON array")])
def test_a_file_of_rows_that_is_none_is_status_2(
    on: Callable[..., Any], tmp_path: Path, text: str, said: str
) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(text)
    ran = on("model", "predict", "iris", "--file", rows)
    assert (ran.status, said in ran.err) == (2, True)


def test_a_row_that_does_not_fit_is_status_1_and_says_why(on: Callable[..., Any], adopted: str) -> None:
    ran = on("model", "predict", "iris", "5.1")
    assert ran.status == 1
    assert ran.err.startswith("Error: ")


def test_the_chain_is_shown(on: Callable[..., Any], network: Any, adopted: str) -> None:
    status = on("chain", "status", "--json").json
    assert status["genesis"] == network.node.genesis_hash()
    assert f"genesis {status['genesis'][:8]}" in on("chain", "status").out
    page = on("chain", "block", "--limit", 3, "--json").json
    assert len(page["blocks"]) == 3
    block = on("chain", "block", 1, "--json").json
    assert block["height"] == 1
    assert on("chain", "block", block["hash"], "--json").json == block
    wrong = on("chain", "block", "xyz")
    assert (wrong.status, "'xyz': expected a height, or a block's hash" in wrong.err) == (2, True)
    ran = on("chain", "block", 10**6)
    assert ran.status == 1
    assert "has no block 1000000" in ran.err
    log = on("chain", "log", "--tail", 5).out.splitlines()
    assert len(log) == 5


def test_wallets_are_made_listed_and_used(on: Callable[..., Any], network: Any) -> None:
    made = on("wallet", "new", "alice", "--json").json
    assert made["address"].startswith("0x")
    assert made in on("wallet", "list", "--json").json
    again = on("wallet", "new", "alice")
    assert again.status == 1
    sent = on("wallet", "send", "coordinator", "alice", 5000, "--json").json
    assert sent["status"] in ("included", "final")
    owned = {"address": made["address"], "balance": 5000, "stake": 0, "unbonding": [], "escrowed": 0}
    assert on("wallet", "balance", "alice", "--json").json == owned
    assert "5000" in on("wallet", "balance", made["address"].upper().replace("0X", "0x")).out
    poor = on("wallet", "send", "alice", "coordinator", 10**9)
    assert poor.status == 1
    assert "5000" in poor.err


def test_an_adopted_version_is_verified(on: Callable[..., Any], network: Any, adopted: str, tmp_path: Path) -> None:
    found = on("audit", "iris@1", "--json").json
    assert (found["verdict"], found["version"], found["job"]) == ("verified", 1, adopted)
    assert [update["kind"] for update in found["updates"]] == ["update", "update", "aggregate"]
    assert all(one["matches"] for one in [*found["updates"], *found["comparisons"]])
    told = on("audit", "iris@1")
    assert told.status == 0
    assert "VERIFIED: iris version 1" in told.out
    assert "--genesis" in told.out, "whose validators these are is not known"
    genesis = tmp_path / "genesis.json"
    genesis.write_text(network.node.genesis().to_json())
    known = on("audit", "iris@1", "--genesis", genesis)
    assert known.status == 0
    assert "--genesis" not in known.out


def test_what_cannot_be_audited_is_status_1(on: Callable[..., Any], adopted: str, tmp_path: Path) -> None:
    for which, said in (("nobody", "no model"), ("iris@99", "no version 99")):
        ran = on("audit", which)
        assert ran.status == 1
        assert said in ran.err
    genesis = tmp_path / "genesis.json"
    genesis.write_text("{}")
    ran = on("audit", "iris", "--genesis", genesis)
    assert ran.status == 1
    assert ran.err.startswith("Error: ")


def test_a_known_dataset_is_taken_from_a_folder_and_checked(
    assay: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, place, name = KNOWN["boston"]
    (tmp_path / "known" / place).parent.mkdir(parents=True)
    (tmp_path / "known" / place).write_text("not what was published\n")
    monkeypatch.setenv("ASSAY_DATASETS", str(tmp_path / "known"))
    ran = assay("dataset", "fetch", "boston", "--to", tmp_path)
    assert ran.status == 1
    assert "expected a file with SHA-256" in ran.err
    assert not (tmp_path / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["known"], "nothing half-made is left"
