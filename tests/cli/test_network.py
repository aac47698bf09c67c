"""`assay network init`: a genesis from flags or answers, and what to do with it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from chain.blockchain import Blockchain
from chain.keys import Key
from chain.node.running import DATABASE
from chain.params import NETWORKS, Genesis
from chain.wallets import Wallets
from cli import instructions
from cli import network as networks
from cli.main import cli
from runtime.settings import DEFAULT

ADDRESSES = [Key(bytes([number]) * 32).address for number in range(1, 4)]
NAMED = [f"--validator=org-{number}={address}" for number, address in enumerate(ADDRESSES)]


@pytest.fixture
def init(tmp_path: Path) -> Any:
    """Run it in a folder of the test's; the exit status and what was printed."""

    def run(*options: str, answers: str = "", out: str = "net") -> tuple[int, str]:
        command = ["network", "init", "--out", str(tmp_path / out), *options]
        done = CliRunner().invoke(cli, command, input=answers)
        return done.exit_code, done.output

    return run


def test_the_folders_with_keys_that_the_pages_make_are_kept_out_of_the_repository() -> None:
    """The pages have them made where the repository is, and a `git add .` must not take keys and passwords along."""
    root = Path(__file__).parents[2]
    ignored = (root / ".gitignore").read_text().splitlines()
    made = {str(option.default) for option in networks.init.params if option.name == "out"} | {str(DEFAULT)}
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        made |= set(re.findall(r"assay network init --validators [^`\n]*--out ([^ `\n]+)", page.read_text()))
    assert not [folder for folder in sorted(made) if f"{folder}/" not in ignored]


def genesis(tmp_path: Path, out: str = "net") -> Genesis:
    return Genesis.from_json((tmp_path / out / "genesis.json").read_text())


def test_flags_alone_make_a_consortium(init: Any, tmp_path: Path) -> None:
    status, output = init(*NAMED, "--note", "three labs", "--json")
    assert status == 0, output
    found, made = json.loads(output), genesis(tmp_path)
    assert (made.network, made.note, made.balances) == ("consortium", "three labs", ())
    assert made.validators == tuple(sorted(ADDRESSES))
    chain = Blockchain(made, NETWORKS["consortium"])
    assert found["genesis"] == chain.genesis_id
    assert chain.head.state.validators.weights == (1, 1, 1)
    assert [each["name"] for each in found["validators"]] == ["org-0", "org-1", "org-2"]
    assert {each["data"] for each in found["validators"]} == {None}
    assert [step.split()[1] for step in found["next"]] == ["node", "validator", "coordinator", "worker"]


def test_wallets_are_made_each_in_its_own_folder_with_the_genesis(init: Any, tmp_path: Path) -> None:
    status, output = init("--validators", "2", "--json")
    assert status == 0, output
    for each in json.loads(output)["validators"]:
        folder = Path(each["data"])
        assert Wallets(folder / "wallets").load(each["name"]).address == each["address"]
        assert (folder / "node" / "genesis.json").read_text() == (tmp_path / "net" / "genesis.json").read_text()
    assert set(genesis(tmp_path).validators) == {each["address"] for each in json.loads(output)["validators"]}


def test_answers_do_as_well(init: Any, tmp_path: Path) -> None:
    status, output = init(answers=f"\na={ADDRESSES[0]}, b={ADDRESSES[1]}\nby hand\n")
    assert status == 0, output
    assert genesis(tmp_path).note == "by hand"
    assert len(genesis(tmp_path).validators) == 2
    assert "each validator has one vote" in output
    assert init(answers="stake\n1\nvalidator-1=50\n\n", out="staked")[0] == 0
    assert genesis(tmp_path, "staked").balances[0][1] == 50


def test_an_answer_that_cannot_be_is_asked_for_again_without_naming_options(init: Any, tmp_path: Path) -> None:
    who = ["bad", "0", "3000", "a=0x12", f"a={ADDRESSES[0]}, a={ADDRESSES[1]}", "2"]
    amounts = ["validator-1=x", "validator-9=5", "validator-1=5", "validator-1=5, validator-2=6"]
    status, output = init(answers="\n".join(["moon", "stake", *who, *amounts, "x" * 1001, "by hand", ""]))
    assert status == 0, output
    for said in (
        "bad: expected NAME=ADDRESS", "1 at least", "at most 21 validators, found 3000", "40 hexadecimal digits",
        "expected different names", "an amount of at least 1", "the name of a validator: validator-1, validator-2",
        "found none of validator-2", "at most 1000 characters",
    ):  # fmt: skip
        assert said in output
    assert "--validator" not in output.partition("genesis.json: network")[0]
    assert "--balance" not in output.partition("genesis.json: network")[0]
    assert (genesis(tmp_path).note, sum(dict(genesis(tmp_path).balances).values())) == ("by hand", 11)


def test_commands_for_everybody_are_printed(init: Any, tmp_path: Path) -> None:
    _, output = init("--validators", "2", NAMED[0])
    assert f"assay node --data DATA --genesis {tmp_path / 'net' / 'genesis.json'}" in output
    assert "To fill in: HERE, the host of the node that is started; ANOTHER, the host of another member's" in output
    assert "--port 7002 --peers http://127.0.0.1:7001" in output


def test_hosts_and_the_first_port_are_printed_as_others_reach_them(init: Any) -> None:
    _, output = init("--validators", "3", "--host", "b.example", "--host", "validator-1=a.example", "--port", "8001")
    data = [line.split() for line in output.splitlines() if line.startswith("  assay node")]
    assert [words[words.index("--port") + 1] for words in data] == ["8001", "8001", "8002"]
    urls = ["http://a.example:8001", "http://b.example:8001", "http://b.example:8002"]
    assert [words[words.index("--advertise") + 1] for words in data] == urls
    for words, own in zip(data, urls, strict=True):
        assert words[words.index("--host") + 1] == "0.0.0.0"
        assert [word for word in words if word in urls and word != own] == [url for url in urls if url != own]
    assert "assay worker" in output
    assert f"--store {instructions.STORE}" in output, "a shared folder is for one machine"
    assert "--node http://127.0.0.1:8001" in output, "each validator asks its own node"


def test_of_keys_made_elsewhere_the_hosts_may_be_known(init: Any) -> None:
    _, output = init(*NAMED[:2], "--host", "org-0=a.example")
    assert "--port 7001 --host 0.0.0.0 --advertise http://a.example:7001" in output
    assert "--advertise http://a.example:7001 --peers http://ANOTHER:7001" in output
    assert "--advertise http://HERE:7001 --peers http://a.example:7001" in output, "the other one's is not"
    _, output = init(*NAMED[:2], "--host", "a.example", out="known")
    assert "HERE" not in output, "all hosts are named"


def test_folders_that_were_made_are_named_also_where_hosts_are_not(init: Any, tmp_path: Path) -> None:
    _, output = init("--validators", "3", "--host", "validator-1=a.example")
    nodes = [line.split() for line in output.splitlines() if line.startswith("  assay node")]
    folders = [str(tmp_path / "net" / f"validator-{number}") for number in (1, 2, 3)]
    assert [words[words.index("--data") + 1] for words in nodes] == folders
    peers = [[word for before, word in itertools.pairwise(words) if before == "--peers"] for words in nodes]
    assert peers == [["http://ANOTHER:7001"], ["http://a.example:7001"], ["http://a.example:7001"]]
    assert "--advertise http://HERE:7001" in output
    for number in (1, 2, 3):
        assert f"--name validator-{number}" in output
    assert "DATA" not in output
    assert "--name NAME" not in output


def test_where_sending_needs_a_balance_the_printed_services_sign_with_a_validator_s_wallet(init: Any) -> None:
    staked = [f"--balance=validator-{number}=10000" for number in (1, 2)]
    for preset, options in (("stake", staked), ("development", [])):
        _, output = init("--preset", preset, "--validators", "2", *options, "--json", out=preset)
        for step in json.loads(output)["next"][-2:]:
            assert step.endswith(" --wallet validator-1"), step
    _, output = init("--preset", "stake", "--validators", "2", *staked, out="told")
    assert "Nobody but the validators can send anything" in output, "all that there is is stake"
    _, output = init(NAMED[0], "--preset", "development", out="elsewhere")
    assert output.count(" --wallet NAME\n") == 2
    assert "--wallet" not in init("--validators", "2", out="consortium")[1], "nobody needs coins"


def test_without_a_terminal_it_says_which_options_answer(init: Any, tmp_path: Path) -> None:
    status, output = init(answers="")
    assert status == 2
    assert "--validators COUNT, or with --validator NAME=ADDRESS" in output
    assert not (tmp_path / "net").exists()


def test_the_printed_commands_exist(init: Any) -> None:
    steps = json.loads(init("--validators", "2", NAMED[0], "--json")[1])["next"]
    for step in steps:
        _, name, *words = step.split()
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        known = {option for item in command.params for option in item.opts}
        assert {word for word in words if word.startswith("--")} <= known, step


def test_a_network_begins_once(init: Any, tmp_path: Path) -> None:
    init("--validators", "1")
    before, wallet = genesis(tmp_path), (tmp_path / "net/validator-1/wallets/validator-1.json").read_text()
    status, output = init("--validators", "1")
    assert status == 1
    assert "--force" in output
    assert genesis(tmp_path) == before
    assert init("--validators", "1", "--force", "--note", "again")[0] == 0
    assert genesis(tmp_path).note == "again"
    assert (tmp_path / "net/validator-1/wallets/validator-1.json").read_text() == wallet, "keys stay"


@pytest.mark.parametrize(
    "left", [f"validator-1/node/{DATABASE}", "validator-2/validator-2/checkpoints.json", "lab-five/wallets/.lab.voted"]
)
@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_network_that_has_begun_is_not_replaced(init: Any, tmp_path: Path, left: str, options: list[str]) -> None:
    init("--validators", "2")
    used = tmp_path / "net" / left
    used.parent.mkdir(parents=True, exist_ok=True)
    used.touch()
    files = {path: path.read_bytes() for path in (tmp_path / "net").rglob("*") if path.is_file()}
    status, output = init("--validators", "3", "--note", "again", *options)
    assert status == 1
    assert f"{used} is of a network that has begun" in output
    assert "--out" in output
    assert {path: path.read_bytes() for path in (tmp_path / "net").rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--validator", "a"], "NAME=ADDRESS"),
        (["--validator", "a=0x12"], "40 hexadecimal digits"),
        (["--validator", f"A B={ADDRESSES[0]}"], "expected a name"),
        ([f"--validator=a={ADDRESSES[0]}", f"--validator=b={ADDRESSES[0]}"], "different addresses"),
        ([f"--validator=a={ADDRESSES[0]}", f"--validator=a={ADDRESSES[1]}"], "different names"),
        ([*NAMED, "--validators", "20"], "at most 21"),
        ([*NAMED, "--preset", "moon"], "moon"),
        ([*NAMED, "--preset", "stake"], "--balance"),
        ([*NAMED, "--balance", "org-0=0"], "at least 1"),
        ([*NAMED, "--balance", "org-0=x"], "at least 1"),
        ([*NAMED, "--balance", "nobody=5"], "or the name of a validator: org-0, org-1, org-2"),
        (["--validator", "a=0x7E5f4552091A69125d5DfCb7b8C2659029395Bdf"], "(EIP-55), so a character is wrong"),
        ([*NAMED, "--balance", f"org-0={2**63}"], "below 2^63"),
        ([*NAMED, "--balance", "org-0=1", "--balance", "org-0=2"], "one for each account"),
        ([*NAMED, "--note", "x" * 1001], "1000 characters"),
        ([*NAMED, "--host", "nobody=a.example"], "the name of a validator: org-0, org-1, org-2"),
        ([*NAMED, "--host", "a b"], "expected HOST"),
        ([*NAMED, "--host", "http://a.example:7001"], "expected HOST"),
        ([*NAMED, "--host", "a.example", "--port", "65534"], "room for one of each"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_writes_no_genesis(
    init: Any, tmp_path: Path, options: list[str], said: str
) -> None:
    status, output = init(*options)
    assert status == 2, output
    assert said in output
    assert not (tmp_path / "net" / "genesis.json").exists()


def test_where_sending_needs_a_balance_it_says_so(init: Any) -> None:
    _, output = init(*NAMED, "--preset", "development")
    assert "Nobody but the validators can send anything" in output
    _, output = init(*NAMED, "--preset", "development", "--balance", f"0x{'ab' * 20}=5000", out="paid")
    assert "Nobody" not in output


def test_the_help_names_the_default_rules() -> None:
    assert networks.CONSORTIUM.minimum_balance == 0
    assert "consortium" in CliRunner().invoke(cli, ["network", "init", "--help"]).output


@pytest.mark.parametrize("option", ["--peers", "--advertise"])
@pytest.mark.parametrize("url", ["b.example:7001", "http://b.example", "ftp://b.example:7001", "http://b.example:70000"])
def test_a_node_s_peers_are_addresses(option: str, url: str) -> None:
    done = CliRunner().invoke(cli, ["node", option, url])
    assert done.exit_code == 2
    assert "expected http://HOST:PORT" in done.output
