"""What scripts rely on of `assay up`: its ports, its folder, its end, and that it takes up where it was."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chain.wallets import Wallets

BAYES = "sklearn.naive_bayes.GaussianNB"
FLOWER = [5.1, 3.5, 1.4, 0.2]
IRIS = Path(__file__).parents[2] / "datasets" / "iris.csv"
#: `ipfs add --cid-version=1 datasets/iris.csv`
IRIS_CID = "bafkreie4yhbulry3zsnuq23uzp3amp5gn5f3lyhwaoslhq2hd3bol2hdku"
UP = (sys.executable, "-P", "-m", "cli.main", "up")

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]


@pytest.mark.parametrize("option", ["--port", "--node-port"])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run("--data", str(tmp_path), *(("--port", "0") if option != "--port" else ()), option, str(port))
    assert found.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in found.stderr
    assert f"with {option}\n" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "endpoints.json").exists()
    assert not list(tmp_path.glob("logs/*")), "nothing was started"


def test_a_second_fleet_on_the_folder_is_refused_and_told_whose_it_is(fleet):
    found = run("--data", str(fleet.folder.path), "--port", "0")
    assert found.returncode == 1
    assert f"in use by another fleet (process {fleet.process.pid})" in found.stderr
    assert fleet.client.ready()["ready"]


def test_a_file_is_added_beside_the_running_fleet(fleet):
    printed = json.loads(fleet.assay("dataset", "add", str(IRIS), "--data", str(fleet.folder.path), "--json"))
    assert printed["cid"] == IRIS_CID


def test_sigterm_ends_all_of_it_and_it_takes_up_where_it_was(fleet):
    job = fleet.client.train("kept", "iris", BAYES, partitions=1)
    assert fleet.closed(job)["adopted"]
    served = fleet.client.predict("kept", [FLOWER])
    head = fleet.node.chain()
    assert fleet.end(signal.SIGTERM) < 10
    assert fleet.process.returncode == 0
    assert not fleet.folder.endpoints.exists()

    fleet.start(*UP, "--workers", "3").ready()
    assert len(workers(fleet)) == 3
    block = fleet.node.block(head["height"])
    assert block is not None
    assert block["hash"] == head["head"]
    assert fleet.client.predict("kept", [FLOWER]) == served
    assert fleet.job(job)["final"]
    # The third worker came after the genesis: it is paid what an account needs, and works.
    address = next(address for address, name in workers(fleet).items() if name == "worker-3")
    assert fleet.node.account(address).balance > 0
    for index in range(8):
        document = fleet.closed(fleet.client.train(f"three-{index}", "iris", BAYES, partitions=8))
        assert document["adopted"]
        if address in {part["worker"] for part in document["partitions"]}:
            break
    else:
        pytest.fail("worker-3 never got anything")


def test_ctrl_c_ends_all_of_it(fleet):
    assert fleet.end(signal.SIGINT) < 10
    assert fleet.process.returncode == 0
    assert "Traceback" not in fleet.said()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`assay up` where it must end by itself."""
    return subprocess.run([*UP, *arguments], capture_output=True, text=True, timeout=30, check=False)


def workers(fleet) -> dict[str, str]:
    """Address -> name of the fleet's workers that run."""
    names = {name for name in fleet.look() if name.startswith("worker") and "pool" not in name}
    return {address: name for name, address in Wallets(fleet.folder.wallets).addresses().items() if name in names}
