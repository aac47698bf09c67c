"""What operators see of a node's peers, and change: with the token in the node's folder, wherever they come from."""

from __future__ import annotations

import stat

import pytest
import requests
from click.testing import CliRunner

from chain.answers import NodeRefused
from chain.node.peering.book import Book
from chain.node.peering.limits import Limits
from chain.node.peering.operators import operator_token
from cli.chain import chain
from runtime.settings import DataFolder
from tests.chain.node.peering.test_greeting import greet, hello, say, token_of
from tests.chain.node.peering.test_http import Running, start, wait

__all__ = ["hello", "start"]

NOBODY = "http://127.0.0.1:9"


def overview(node: Running) -> dict[str, list[dict[str, object]]]:
    return dict(requests.get(f"{node.url}/peers", timeout=5).json())


def peers(node: Running, *arguments: str) -> str:
    """`assay chain peers` for a node."""
    done = CliRunner().invoke(chain, ["peers", *arguments, "--node", node.url, "--data", str(node.folder)])
    assert done.exit_code == 0, done.output
    return done.output


def ask(node: Running, method: str, path: str, token: str | None, **given: object) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.request(method, node.url + path, headers=headers, timeout=5, **given)  # type: ignore[arg-type]


def test_operators_add_and_list_peers_on_the_command_line(start):
    a, b = start("a"), start("b")
    peers(b, "--add", f"{a.url}/")
    wait(lambda: len(b.peers()) == 1)
    shown = peers(b)
    assert f"this node is reached at {b.url}" in shown
    assert a.url in shown
    assert b.client.peers()["peers"][0]["peer"] == a.url
    assert "peers       1" in CliRunner().invoke(chain, ["status", "--node", b.url]).output


def test_an_address_that_was_a_mistake_is_dialled_no_more_also_after_a_restart(start):
    a = start("a")
    peers(a, "--add", NOBODY)
    wait(lambda: overview(a)["addresses"][0]["failures"] != 0)
    peers(a, "--remove", NOBODY)
    assert overview(a)["addresses"] == []
    a.end()
    again = start("a")
    assert overview(again)["addresses"] == []
    with pytest.raises(NodeRefused, match="the address of a node that this one knows"):
        again.client.remove_peer(NOBODY, again.token)


def test_removing_ends_a_connection(start):
    a, b = start("a"), start("b")
    b.add(a)
    wait(lambda: len(b.peers()) == 1)
    b.client.remove_peer(a.url, b.token)
    assert b.peers() == []


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_without_the_token_nobody_changes_anything_not_even_on_the_nodes_machine(start, token):
    """A proxy on it would make everybody's requests come from there."""
    a = start("a")
    url = {"url": NOBODY}
    for answer in (
        ask(a, "POST", "/peers", token, json=url),
        ask(a, "DELETE", "/peers", token, params=url),
        ask(a, "DELETE", "/peers/discouraged", token, params={"who": "192.0.2.7"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "operator.token" in answer.json()["detail"]
    assert overview(a)["addresses"] == []


def test_the_token_is_for_its_owners_eyes_and_stays(tmp_path):
    path = DataFolder(tmp_path).operator_token
    path.parent.mkdir()
    token = operator_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert operator_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short")
    assert len(operator_token(path)) == 64


def test_a_folder_that_is_not_the_nodes_has_no_token(start, tmp_path):
    a = start("a")
    command = ["peers", "--add", NOBODY, "--node", a.url, "--data", str(tmp_path / "elsewhere")]
    refused = CliRunner().invoke(chain, command)
    assert refused.exit_code == 1
    assert "name the node's own data folder with --data" in refused.output


def test_an_address_is_checked_with_fitting_advice(start):
    a = start("a")
    for given in ({}, {"url": 1}, {"url": "http://x/"}, {"url": "HTTP://Foo"}, {"url": "http://x:99999"}):
        answer = ask(a, "POST", "/peers", a.token, json=given)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "http://HOST:PORT" in answer.json()["detail"]
        assert "DAG-CBOR" not in answer.json()["detail"]
    for url in ("", "HTTP://Foo"):
        assert ask(a, "DELETE", "/peers", a.token, params={"url": url}).status_code == 400


def test_a_body_that_is_no_json_is_told_what_was_expected(start):
    a = start("a")
    headers = {"Authorization": f"Bearer {a.token}", "Content-Type": "application/json"}
    for body in (b"{bad", b"", b"\xff", b"[1, 1.5]", b'{"url": "\\ud800"}'):
        answer = requests.post(f"{a.url}/peers", data=body, headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert answer.json()["detail"].startswith('expected a body {"url": "http://HOST:PORT"}: ')
        assert "DAG-CBOR" not in answer.json()["detail"]


def test_a_node_s_own_address_is_refused_as_its_peer(start):
    a = start("a")
    with pytest.raises(NodeRefused, match=f"expected the address of another node, {a.url} is this one's own"):
        a.client.add_peer(f"{a.url}/", a.token)
    assert overview(a)["addresses"] == []


def test_operators_forgive(start, hello):
    a = start("a")
    assert say(a, token_of(greet(a, hello)), body=b"\xff").status_code == 400
    assert [each["who"] for each in overview(a)["discouraged"]] == ["from 127.0.0.1"]
    peers(a, "--forgive", "127.0.0.1")
    assert overview(a)["discouraged"] == []
    assert greet(a, hello).status_code == 200
    with pytest.raises(NodeRefused, match="that this one does not listen to"):
        a.client.forgive_peer("127.0.0.1", a.token)


@pytest.mark.parametrize(
    ("who", "forgiven"),
    [
        ("http://h:1", ["http://h:1", "http://h:1 from 192.0.2.7"]),
        ("h", ["http://h:1", "http://h:2", "http://h:1 from 192.0.2.7"]),
        ("192.0.2.7", ["http://h:1 from 192.0.2.7", "from 192.0.2.7"]),
        ("from 192.0.2.7", ["from 192.0.2.7"]),
        ("2001:db8:1:2::/64", ["from 2001:db8:1:2::/64"]),
        ("", []),
        ("from", []),
        ("http", []),
    ],
)
def test_an_address_or_a_host_is_forgiven_with_all_that_came_from_there(who, forgiven):
    book = Book(Limits(), None)  # type: ignore[arg-type]
    names = ("http://h:1", "http://h:2", "http://h:1 from 192.0.2.7", "from 192.0.2.7", "from 2001:db8:1:2::/64")
    for name in names:
        book.discourage(name, 0, "nonsense")
    assert book.forgive(who) == forgiven
    assert set(book.discouraged) == set(names) - set(forgiven)


def test_what_was_forgiven_is_dialled_at_once():
    book = Book(Limits(), None)  # type: ignore[arg-type]
    book.add("http://h:1")
    book.discourage("http://h:1", 0, "nonsense")
    assert book.next_try(frozenset(), True) == Limits().discourage_ms
    book.forgive("http://h:1")
    assert book.next_try(frozenset(), True) == 0


@pytest.mark.parametrize(("options", "warned"), [({"advertise": ""}, True), ({}, False)])
def test_a_node_that_nobody_can_reach_says_so(start, caplog, options, warned):
    start("a", **options)
    assert ("--advertise" in caplog.text) is warned
