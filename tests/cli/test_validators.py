"""`assay validators`, `assay wallet stake` and `assay chain misconduct` against a real node."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.client import NodeClient, NodeError
from chain.finality import next_vote
from chain.keys import Key
from chain.node import running as nodes
from chain.params import Genesis
from chain.schema import Address, Hash
from chain.transactions import VoteCheckpoint
from chain.wallets import Wallets
from cli.main import cli
from runtime.endpoints import announced
from runtime.settings import DataFolder

NAMES = ["org-a", "org-b", "org-c"]


@dataclass
class Running:
    """A node, and validators that vote; `data` holds everybody's wallets."""

    node: NodeClient
    data: Path
    addresses: dict[str, Address]
    silent: set[str]

    def assay(self, *arguments: object, node: bool = True) -> Result:
        where = ["--node", self.node.url] if node else []
        words = [*map(str, arguments), "--data", str(self.data), *where]
        return CliRunner().invoke(cli, words, catch_exceptions=True)

    def json(self, *arguments: object, node: bool = True) -> Any:
        done = self.assay(*arguments, "--json", node=node)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.output)

    def refusal(self, *arguments: object) -> str:
        """What the user is told: by click, or by the error that `main` prints."""
        done = self.assay(*arguments)
        assert done.exit_code
        return f"{done.output} {done.exception}"

    def wait_for_set(self, serial: int) -> None:
        deadline, after = time.monotonic() + 30, self.node.events().next
        while self.node.validators().serial < serial:
            assert time.monotonic() < deadline, self.node.membership()
            after = self.node.events(after, wait=1).next


def vote(node: NodeClient, keys: dict[str, Key], silent: set[str], stop: threading.Event) -> None:
    """What validators do about checkpoints."""
    last: dict[str, VoteCheckpoint] = {}
    for _ in node.follow(stop, wait=0.5):
        with suppress(NodeError):
            view = node.finality()
            for name, key in keys.items():
                chosen = next_vote(view.value, Hash(view.head), view.height, last.get(name))
                if chosen is not None and name not in silent:
                    last[name] = chosen
                    with suppress(NodeError):
                        node.send(chosen, key)


def running(folder: Path, preset: str) -> Iterator[Running]:
    wallets = Wallets(folder / "wallets")
    keys = {name: wallets.create(name) for name in [*NAMES, "newcomer"]}
    wallets.create("node")
    genesis = Genesis(
        preset, int(time.time() * 1000), tuple(sorted(keys[name].address for name in NAMES)),
        () if preset == "consortium" else tuple(sorted((key.address, 10_000) for key in keys.values())), "cli",
    )  # fmt: skip
    with serving(folder, genesis, keys) as (node, silent):
        yield Running(node, folder, {name: key.address for name, key in keys.items()}, silent)


@contextmanager
def serving(folder: Path, genesis: Genesis, keys: dict[str, Key]) -> Iterator[tuple[NodeClient, set[str]]]:
    """A node on a folder, while `keys` vote, but for those that are added to the set, by name."""
    stop, ports, silent = threading.Event(), Queue[int](), set[str]()
    miner = next(iter(keys.values())).address
    threads = [threading.Thread(target=nodes.run, args=(folder, "127.0.0.1", 0, genesis, miner, stop, ports.put))]
    threads[0].start()
    node = NodeClient(f"http://127.0.0.1:{ports.get(timeout=30)}")
    threads.append(threading.Thread(target=vote, args=(NodeClient(node.url), keys, silent, stop)))
    threads[1].start()
    try:
        yield node, silent
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
        node.close()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Running]:
    yield from running(tmp_path, "consortium")


@pytest.fixture
def stakers(tmp_path: Path) -> Iterator[Running]:
    yield from running(tmp_path, "stake")


def test_the_first_set_is_shown(members: Running) -> None:
    found = members.json("validators", "list")
    assert (found["validators"]["serial"], found["pending"], found["power"]) == (0, None, "member")
    text = members.assay("validators", "list").output
    assert "set 0: 3 validators, weight 3, quorum 3" in text
    assert all(members.addresses[name] in text for name in NAMES)


def test_a_newcomer_is_admitted_by_signatures_collected_apart(members: Running, tmp_path: Path) -> None:
    new, file, copy = members.addresses["newcomer"], tmp_path / "admit.json", tmp_path / "copy.json"
    made = members.json("validators", "admit", "newcomer", "--wallet", "org-a", "--out", file)
    assert (made["add"], made["serial"], made["signers"]) == (new, 0, [members.addresses["org-a"]])
    assert made["quorum"] == {"weight": 3, "of": 3}
    copy.write_bytes(file.read_bytes())
    signed = members.json("validators", "sign", file, "--wallet", "org-b", node=False)
    assert len(signed["signers"]) == 2
    assert f"missing: {members.addresses['org-c']}" in members.refusal("validators", "submit", file)
    members.json("validators", "sign", copy, "--wallet", "org-c", node=False)
    answer = members.json("validators", "submit", file, copy)
    assert answer["status"] in ("included", "final")
    members.wait_for_set(1)
    assert new in members.node.validators().members
    # The same change again, and one that was signed before it, are told apart from what is right.
    assert "signed for set 1 or later" in members.refusal("validators", "submit", file, copy)
    assert "not admitted yet" in members.refusal("validators", "admit", "newcomer")


def test_a_member_is_removed_and_replaced(members: Running, tmp_path: Path) -> None:
    file, leaving = tmp_path / "replace.json", members.addresses["org-c"]
    members.json("validators", "admit", "newcomer", "--replacing", leaving, "--out", file)
    for name in NAMES:
        members.json("validators", "sign", file, "--wallet", name, node=False)
    assert "in block" in members.assay("validators", "submit", file, "--wallet", "newcomer").output
    members.wait_for_set(1)
    assert set(members.node.validators().members) == {
        members.addresses[name] for name in ("org-a", "org-b", "newcomer")
    }
    removal = tmp_path / "remove.json"
    shown = members.assay("validators", "remove", "newcomer", "--out", removal).output
    assert f"remove {members.addresses['newcomer']}, signed for set 1" in shown
    assert "quorum 3" in members.assay("validators", "list").output


def test_a_change_under_way_is_shown_and_waits_for_finality(members: Running, tmp_path: Path) -> None:
    members.silent.update(NAMES)
    file = tmp_path / "admit.json"
    members.json("validators", "admit", "newcomer", "--out", file)
    for name in NAMES:
        members.json("validators", "sign", file, "--wallet", name, node=False)
    output = members.assay("validators", "submit", file).output
    assert "set 1 begins once block 1 is final: 4 validators, weight 4, quorum 3" in output
    assert "set 1 begins once block 1 is final" in members.assay("validators", "list").output


def test_files_that_are_none_and_wallets_that_may_not(members: Running, tmp_path: Path) -> None:
    file = tmp_path / "admit.json"
    assert "member of set 0" in members.refusal("validators", "admit", "newcomer", "--wallet", "node", "--out", file)
    assert not file.exists()
    members.json("validators", "admit", "newcomer", "--out", file)
    assert "--force" in members.refusal("validators", "admit", "newcomer", "--out", file)
    members.json("validators", "admit", "newcomer", "--out", file, "--force")
    change = json.loads(file.read_text())
    stranger = "0x" + "ab" * 20
    forged = {**change, "signatures": [{"validator": stranger, "signature": Key(b"\x07" * 32).sign(b"\x07" * 32)}]}
    for content in ({}, forged):
        file.write_text(json.dumps(content))
        said = members.refusal("validators", "submit", file)
        assert f"{file}: expected a change as `assay validators admit`" in said
        assert "get a whole copy of it from whoever made it" in said
        assert "Encode it again" not in said
        assert "Sign the body" not in said
    assert "address" in members.refusal("validators", "remove", "0x12")
    assert "an admitted validator" in members.refusal("validators", "remove", "newcomer")
    said = members.refusal("validators", "remove", "lab-three")
    assert "or give its address: `assay validators list`" in said
    members.json("validators", "admit", "newcomer", "--out", file, "--force")
    signed = members.assay("validators", "sign", file, "--wallet", "node", node=False).output
    assert "Not checked here: whether they are members" in signed


@pytest.mark.parametrize(
    ("heading", "options"),
    [("Changing who votes", []), ("Stake", ["--preset=development", "--balance=validator-1=9000"])],
)
def test_the_commands_of_the_page_work_as_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heading: str, options: list[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "validators.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", page.partition(f"## {heading}\n")[2].partition("\n## ")[0], re.M | re.S)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["network", "init", "--validators", "4", *options]).exit_code == 0
    folders = [DataFolder(f"assay-network/validator-{number}") for number in range(1, 5)]
    keys = {folder.path.name: Wallets(folder.wallets).load(folder.path.name) for folder in folders}
    genesis = Genesis.from_json(Path("assay-network/genesis.json").read_text())
    with serving(folders[0].path, genesis, keys) as (node, _), ExitStack() as told:
        for folder in folders:
            told.enter_context(announced(folder, "node", {"node": node.url}))
        for line in block.splitlines():
            done = CliRunner().invoke(cli, line.split()[1:])
            assert done.exit_code == 0, (line, done.output, done.exception)


def test_misconduct_is_listed(members: Running) -> None:
    liar = Wallets(members.data / "wallets").load("org-c")
    assert members.json("chain", "misconduct") == {"slashed": [], "caught": []}
    for block in "ab":
        vote = VoteCheckpoint(Hash(members.node.genesis_hash()), 0, Hash(block * 64), 9)
        members.node.send(vote, liar)
    assert members.json("chain", "misconduct")["caught"] == [liar.address]
    assert "caught, not on the chain yet" in members.assay("chain", "misconduct").output
    (report,) = members.node.evidence()
    members.node.wait_transaction(members.node.send(report, Wallets(members.data / "wallets").load("node")))
    found = members.json("chain", "misconduct")
    assert ([each["validator"] for each in found["slashed"]], found["caught"]) == ([liar.address], [])
    assert "targets at height 9" in members.assay("chain", "misconduct").output


def test_stake_is_locked_weighs_and_is_given_up(stakers: Running) -> None:
    assert stakers.json("validators", "list")["power"] == "stake"
    owner = stakers.addresses["newcomer"]
    stakers.json("wallet", "stake", "newcomer", 4000)
    stakers.json("wallet", "unstake", "newcomer", 1000)
    found = stakers.json("wallet", "balance", "newcomer")
    assert (found["balance"], found["stake"], found["escrowed"]) == (6000, 3000, 0)
    assert [each["amount"] for each in found["unbonding"]] == [1000]
    text = stakers.assay("wallet", "balance", owner).output
    assert text.startswith(f"{owner}  6000\n")
    assert "staked             3000" in text
    assert "free from" in text
    assert "at most 3000" in stakers.refusal("wallet", "unstake", "newcomer", 3001)
    assert "at most 6000" in stakers.refusal("wallet", "stake", "newcomer", 6001)


def test_a_validator_of_the_folder_sends_an_admission_where_others_may_not(stakers: Running, tmp_path: Path) -> None:
    file, broke = tmp_path / "admit.json", tmp_path / "broke"
    stakers.json("validators", "admit", "newcomer", "--power", 2500, "--out", file)
    for name in NAMES:
        stakers.json("validators", "sign", file, "--wallet", name, node=False)
    command = ["validators", "submit", str(file), "--data", str(broke), "--node", stakers.node.url]
    assert "no wallet in" in CliRunner().invoke(cli, command).output
    Wallets(broke / "wallets").create("nobody")
    assert "with --wallet: a validator's" in CliRunner().invoke(cli, command).output
    Wallets(broke / "wallets").add("org", Wallets(stakers.data / "wallets").load("org-b"))
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output


def test_where_stake_votes_an_admission_names_a_cap(stakers: Running, tmp_path: Path) -> None:
    file = tmp_path / "admit.json"
    assert "the cap" in stakers.refusal("validators", "admit", "newcomer", "--out", file)
    stakers.json("wallet", "stake", "newcomer", 4000)
    made = stakers.json("validators", "admit", "newcomer", "--power", 2500, "--out", file)
    assert made["power"] == 2500
    for name in NAMES:
        stakers.json("validators", "sign", file, "--wallet", name, node=False)
    stakers.json("validators", "submit", file, "--wallet", "org-a")
    stakers.wait_for_set(1)
    assert stakers.node.validators().weight(stakers.addresses["newcomer"]) == 2500
