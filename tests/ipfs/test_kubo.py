"""Kubo: the common suite on a real one, equality with its own `add`, and one that only pretends."""

import base64
import io
import json
import multiprocessing
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from content_store_suite import NOWHERE, ContentStoreSuite, letters

from ipfs import builder, open_store
from ipfs.cid import cid_of, parse_cid
from ipfs.errors import ContentCorrupt, ContentMissing, StoreUnavailable
from ipfs.kubo import KuboStore


@pytest.fixture
def store(kubo):
    store = open_store(kubo.api, timeout=2.0)
    yield store
    store.close()


@pytest.fixture
def block_file(kubo):
    """Kubo's flatfs: blocks/<last three characters but the last>/<multihash in base32>.data"""

    def find(cid):
        multihash = b"\x12\x20" + parse_cid(cid).digest
        key = base64.b32encode(multihash).decode().rstrip("=")
        return kubo.repo / "blocks" / key[-3:-1] / f"{key}.data"

    return find


@pytest.fixture
def missing_after():
    return 5.0


@pytest.mark.kubo
class TestKuboStore(ContentStoreSuite):
    """All that every store must do."""


@pytest.mark.kubo
def test_files_of_any_size_have_the_cids_of_ipfs_add(kubo, keystream, tmp_path):
    draw = random.Random(174)
    node = builder.CHUNK * builder.LINKS
    sizes = [0, 1, draw.randrange(builder.CHUNK), builder.CHUNK - 1, builder.CHUNK, builder.CHUNK + 1]
    sizes += [draw.randrange(2, 40) * builder.CHUNK + draw.randrange(-2, 3) for _ in range(6)]
    sizes += [node - builder.CHUNK, node - 1, node, node + 1, node + builder.CHUNK, 2 * node + 1]
    for size in sizes:
        path = tmp_path / str(size)
        path.write_bytes(keystream(f"size {size}", size).read())
        for layout, options in [(builder.CANONICAL, ["--cid-version=1"]), (builder.PLAIN_ADD, [])]:
            expected = kubo.run("add", "-Q", "--only-hash", *options, str(path)).decode().strip()
            with path.open("rb") as file:
                assert str(builder.only_hash(file, layout)) == expected, size
        path.unlink()


@pytest.mark.kubo
def test_what_one_side_adds_the_other_reads(kubo, store):
    content = letters(700_000)
    assert kubo.run("cat", store.add(content)) == content
    plain = kubo.run("add", "-Q", stdin=content[1:]).decode().strip()
    assert plain.startswith("Qm")
    assert store.read(plain) == content[1:]
    for options in (["--trickle"], ["--chunker=rabin"], ["--chunker=size-1000", "--raw-leaves=false"]):
        cid = kubo.run("add", "-Q", "--cid-version=1", *options, stdin=content).decode().strip()
        assert store.read(cid, 99_999, 300_000) == content[99_999:399_999]


@pytest.mark.kubo
def test_a_block_put_is_one_that_ipfs_dag_get_reads(kubo, store):
    cid = store.put_block("dag-cbor", b"\xa1\x66height\x07")
    assert json.loads(kubo.run("dag", "get", cid)) == {"height": 7}


@pytest.mark.kubo
def test_many_may_pin_the_same_at_once(kubo):
    """Kubo drops a pin for a moment when it is asked for it again: nobody is told that it failed."""
    cid = KuboStore(kubo.api).add(b"wanted by all")

    def keep(_: int) -> None:
        store = KuboStore(kubo.api)
        try:
            for _ in range(10):
                store.pin(cid)
                assert store.add(b"wanted by all") == cid
        finally:
            store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))


@pytest.mark.kubo
def test_the_embedded_store_has_the_same_cids(store, tmp_path):
    embedded = open_store(tmp_path)
    content = letters(builder.CHUNK * 3)
    assert embedded.add(content) == store.add(content)
    assert embedded.stat(embedded.add(content)) == store.stat(store.add(content))


def _read_in_a_child(store, cid, answer):
    answer.put(store.read(cid))


@pytest.mark.kubo
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_store_used_before_a_fork_works_after_it(store):
    content = letters(5 * builder.CHUNK)
    cid = store.add(content)
    assert store.read(cid) == content
    fork = multiprocessing.get_context("fork")
    answer = fork.Queue()
    child = fork.Process(target=_read_in_a_child, args=(store, cid, answer))
    child.start()
    assert answer.get(timeout=30) == content
    child.join(30)
    answer.close()
    answer.join_thread()
    assert store.read(cid) == content


def test_importing_the_package_loads_no_http_client():
    program = "import ipfs, sys; print([m for m in ('requests', 'ipfshttpclient') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"[]\n"


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("/ip4/127.0.0.1/tcp/1", "cannot be asked"),
        ("/ip4/nonsense/tcp/5001", "no address"),
        ("http://127.0.0.1:1", "cannot be asked"),
        ("/dns/localhost/tcp/1", "cannot be asked"),
    ],
)
def test_nobody_there(where, what):
    store = open_store(where, timeout=2.0)
    with pytest.raises(StoreUnavailable, match=what) as caught:
        store.read(NOWHERE)
    assert (caught.value.cid, caught.value.asked) == (NOWHERE, f"Kubo {where}")
    store.close()


class Pretender:
    """A server that answers as told: `blocks` gives for a CID the answers to one request after the other,
    either bytes, or (status, message), or None for never."""

    def __init__(self):
        self.version = "0.42.0"
        self.blocks = {}
        self.answers = {}
        self.gone = threading.Event()
        pretender = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                url = urlsplit(self.path)
                command = url.path.removeprefix("/api/v0/")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        self.rfile.read(size + 2)
                    self.rfile.readline()
                argument = parse_qs(url.query).get("arg", [""])[0]
                answer = pretender.answer(command, argument)
                if answer is None:
                    pretender.gone.wait(30)
                    self.close_connection = True
                    return
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                if status != 200:
                    body = json.dumps({"Message": body, "Code": 0, "Type": "error"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, command, argument):
        if command == "version":
            return json.dumps({"Version": self.version}).encode()
        if command == "block/get":
            answers = self.blocks[argument]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return self.answers[command]

    def close(self):
        self.gone.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def pretender():
    pretender = Pretender()
    yield pretender
    pretender.close()


@pytest.fixture
def fooled(pretender):
    store = KuboStore(f"http://127.0.0.1:{pretender.server.server_port}", timeout=0.5)
    yield store
    store.close()


def test_a_proxy_in_the_environment_is_not_for_kubo(pretender, fooled, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    pretender.blocks[CID] = [WHOLE]
    assert fooled.get_block(CID) == WHOLE


WHOLE = b"the whole block"
CID = str(cid_of(0x55, WHOLE))


def test_a_transfer_that_broke_off_is_asked_for_again(pretender, fooled):
    pretender.blocks[CID] = [WHOLE[:5], WHOLE]
    assert fooled.get_block(CID) == WHOLE


def test_other_bytes_twice_are_corrupt(pretender, fooled):
    pretender.blocks[CID] = [b"something else"]
    with pytest.raises(ContentCorrupt, match=CID):
        fooled.get_block(CID)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, ContentMissing),
        ((500, "block was not found locally (offline): ipld: could not find " + CID), ContentMissing),
        ((500, "block in storage has different hash than requested"), ContentCorrupt),
        ((502, "<html>"), Exception),
    ],
)
def test_what_kubo_says_becomes_our_errors(pretender, fooled, answer, error):
    pretender.blocks[CID] = [answer]
    with pytest.raises(error, match=CID) as caught:
        fooled.get_block(CID)
    assert caught.value.asked == fooled.name


def test_a_kubo_too_old(pretender, fooled):
    pretender.version = "0.8.0"
    with pytest.raises(StoreUnavailable, match=r"0\.8\.0"):
        fooled.get_block(CID)


def test_a_kubo_that_names_other_content_or_does_not_pin(pretender, fooled):
    pretender.answers["add"] = json.dumps({"Hash": NOWHERE, "Name": "x"}).encode()
    with pytest.raises(ContentCorrupt, match=NOWHERE):
        fooled.add(WHOLE)
    pretender.answers["add"] = json.dumps({"Hash": CID, "Name": "x"}).encode()
    pretender.answers["pin/ls"] = (500, f"path '{CID}' is not pinned")
    with pytest.raises(Exception, match="not pinned") as caught:
        fooled.add(io.BytesIO(WHOLE))
    assert caught.value.cid == CID
