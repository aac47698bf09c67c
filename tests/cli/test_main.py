"""Every command: its help, its errors, its exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from chain.keys import Key
from chain.params import Genesis
from cli import chain, main, wallet
from cli.main import COMMANDS, cli

KEY = Key(b"\x07" * 32)


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                yield f"{name} {inner}", each
        else:
            yield name, command


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_its_help_says_what_it_does_with_an_example(assay: Callable[..., Any], name: str) -> None:
    ran = assay(*name.split(), "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"Usage: assay {name}")
    assert f"assay {name}" in ran.out.split("\n", 1)[1]


@pytest.mark.parametrize("name", ["wallet new", "wallet list", "validators sign"])
def test_what_talks_to_nobody_does_not_say_that_it_talks_to_a_node(assay: Callable[..., Any], name: str) -> None:
    help_ = assay(*name.split(), "--help").out
    assert "whose wallets are meant" in help_
    assert "to talk to" not in help_


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_option_is_explained(name: str, command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            self_evident = parameter.show_default or isinstance(parameter.type, click.Choice)
            assert parameter.help or self_evident, f"{name} {parameter.name}"


def test_the_first_page_lists_all_commands(assay: Callable[..., Any]) -> None:
    ran = assay("--help")
    assert ran.status == 0
    assert all(f"  {name} " in ran.out for name in COMMANDS)
    assert assay("-h").out == ran.out
    assert assay("--version").status == 0


def test_a_group_and_its_help_load_no_learning_library() -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        "try: main(['job', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'pandas', 'sklearn', 'celery') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["job"], "Usage: assay job"),
        (["job", "show"], "Missing argument"),
        (["train"], "Missing option"),
        (["train", "--nonsense"], "No such option"),
        (["audit", "iris@one"], "expected MODEL or MODEL@NUMBER"),
        (["model", "predict", "iris"], "at least one row"),
        (["model", "predict", "iris", "{"], "is no JSON"),
        (["wallet", "balance", "0x12"], "expected an address"),
        (["wallet", "send", "a", "b", "0"], "Invalid value"),
        (["worker", "--memory", "0"], "Invalid value"),
        (["dataset", "add", "/no/such/file"], "does not exist"),
        (["chain", "status", "--node", "127.0.0.1:7001"], "expected http://HOST:PORT, came '127.0.0.1:7001'"),
        (["job", "list", "--url", "127.0.0.1:5000"], "expected http://HOST:PORT"),
        (["job", "list", "--url", "http://[::1"], "expected http://HOST:PORT"),
        (["validator", "--node", "http://a:70000"], "expected http://HOST:PORT"),
        (["worker", "--node", "ftp://a:1"], "expected http://HOST:PORT"),
        (["node", "--port", "80000"], "0<=x<=65535"),
        (["coordinator", "--port", "80000"], "0<=x<=65535"),
        (["up", "--node-port", "80000"], "0<=x<=65535"),
        (["node", "--log-level", "verbose"], "'verbose' is not one of 'debug', 'info', 'warning'"),
        (["coordinator", "--broker", "http://127.0.0.1:6379/0"], "expected a broker's URL, redis://HOST:PORT/NUMBER"),
        (["worker", "--broker", "redis://127.0.0.1:a/0"], "expected a broker's URL"),
        (["up", "--broker", "127.0.0.1:6379"], "expected a broker's URL"),
        (["demo", "--broker", "amqp://127.0.0.1"], "expected a broker's URL"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(
    assay: Callable[..., Any], arguments: list[str], said: str
) -> None:
    ran = assay(*arguments)
    assert (ran.status, said in ran.err) == (2, True), ran


NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["chain", "status", "--node", NOBODY],
        ["chain", "block", "--node", NOBODY],
        ["chain", "log", "--node", NOBODY],
        ["wallet", "balance", "0x" + "ab" * 20, "--node", NOBODY],
        ["job", "list", "--url", NOBODY],
        ["model", "show", "x", "--url", NOBODY],
        ["dataset", "list", "--url", NOBODY],
    ],
)
def test_where_nobody_answers_it_is_status_1_and_one_line_that_names_the_address(
    assay: Callable[..., Any], arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = assay(*arguments)
    assert ran.status == 1
    assert ran.err.startswith("Error: ")
    assert "127.0.0.1:1" in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_is_missing_is_named(assay: Callable[..., Any], tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "cli.main", "node", "--data", str(tmp_path / "empty")]
    node = subprocess.run(command, capture_output=True, text=True, check=False)
    assert node.returncode == 1
    assert "genesis.json" in node.stderr
    assert "--genesis" in node.stderr
    assert "Traceback" not in node.stderr
    ran = assay("wallet", "send", "nobody", "0x" + "ab" * 20, 5, "--data", tmp_path, "--node", "http://127.0.0.1:1")
    assert ran.status == 1
    assert "nobody" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["network", "init", "--validators", "1", "--out"],
        ["chain", "status", "--data"],
        ["wallet", "new", "a", "--data"],
        ["wallet", "list", "--data"],
    ],
)
def test_a_file_where_a_folder_is_expected_is_named_and_left_alone(
    assay: Callable[..., Any], tmp_path: Path, arguments: list[str]
) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("mine")
    for place in (in_the_way, in_the_way / "below"):
        ran = assay(*arguments, place)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1), ran
        assert ran.err.startswith(f"Error: {in_the_way}")
        assert "a folder is expected" in ran.err
    assert (in_the_way.read_text(), list(tmp_path.iterdir())) == ("mine", [in_the_way])


def test_a_service_whose_data_folder_is_a_file_says_so(tmp_path: Path) -> None:
    """In a process of its own: a service sets up the log of its process."""
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("mine")
    command = [sys.executable, "-P", "-m", "cli.main", "node", "--data", str(in_the_way)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert ran.stderr.startswith(f"Error: {in_the_way}")
    assert "a folder is expected" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["coordinator", "--host", "0.0.0.0"], "answers on loopback only; '0.0.0.0' is no loopback address"),
        (["node", "--host", "192.0.2.1", "--port", "0"], "expected an address of this machine to listen on"),
    ],
)
def test_an_address_that_a_service_cannot_have_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "genesis.json").write_text(Genesis("development", 0, (KEY.address,), (), "").to_json())
    command = [sys.executable, "-P", "-m", "cli.main", *arguments, "--data", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert ran.stderr.startswith("Error: ")
    assert said in ran.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_ctrl_c_is_status_130(
    assay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(chain.targets, "node", interrupted)
    ran = assay("chain", "status")
    assert (ran.status, ran.err.strip().splitlines()[-1]) == (130, "stopped")


def test_a_reader_that_went_away_is_no_error() -> None:
    code = "from cli.main import main; main(['--help'])"
    script = f"{sys.executable} -c \"{code}\" | true; echo ${{PIPESTATUS[0]}}"
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "Traceback" not in out.stderr


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(wallet.targets, "node", broken)
    with pytest.raises(AssertionError, match="a bug"):
        main.main(["wallet", "balance", "0x" + "ab" * 20])
