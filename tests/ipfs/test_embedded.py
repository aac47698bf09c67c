"""The embedded store: the common suite, both CIDs of one content, and many processes in one folder."""

import io
import os
import subprocess
import sys
import tracemalloc

import pytest
from content_store_suite import ContentStoreSuite, flip_byte, letters

from ipfs import builder, open_store
from ipfs.cid import parse_cid
from ipfs.embedded import EmbeddedStore
from ipfs.errors import ContentCorrupt, ContentMissing, StoreUnavailable


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def block_file(store):
    def find(cid):
        text = parse_cid(cid).digest.hex()
        return store.folder / "blocks" / text[:2] / text

    return find


@pytest.fixture
def missing_after():
    return 1.0


class TestEmbeddedStore(ContentStoreSuite):
    """All that every store must do."""


def added_plainly(store, content: bytes) -> str:
    """Add it; the CIDv0 that plain `ipfs add` gives."""
    store.add(content)
    return str(builder.only_hash(io.BytesIO(content), builder.PLAIN_ADD))


def test_content_is_readable_under_the_cid_of_plain_ipfs_add(store, stored_vector, stream_of):
    store.add(stream_of(stored_vector))
    cid = stored_vector["v0"]
    expected = io.BufferedReader(stream_of(stored_vector))
    with store.open(cid) as stream:
        while piece := stream.read(1 << 20):
            assert piece == expected.read(1 << 20)
        assert expected.read() == b""
    assert store.has(cid)
    store.pin(cid)
    assert cid in set(store.pins())
    assert str(builder.only_hash(stream_of(stored_vector), builder.PLAIN_ADD)) == cid


def test_the_second_cid_costs_little(store):
    content = letters(20 * builder.CHUNK)
    store.add(content)
    stored = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    assert stored < 1.01 * len(content)


def test_the_second_cid_is_checked_against_itself(store, block_file):
    content = letters(3 * builder.CHUNK)
    cid = added_plainly(store, content)
    flip_byte(block_file(str(builder.only_hash(io.BytesIO(content[builder.CHUNK : 2 * builder.CHUNK])))))
    with pytest.raises(ContentCorrupt) as caught:
        store.read(cid)
    leaf = str(builder.only_hash(io.BytesIO(content[builder.CHUNK : 2 * builder.CHUNK]), builder.PLAIN_ADD))
    assert caught.value.cid == leaf
    assert store.read(cid, 2 * builder.CHUNK) == content[2 * builder.CHUNK :]


def test_a_wrap_that_leads_elsewhere_is_caught(store):
    cid = parse_cid(added_plainly(store, b"this one"))
    other = parse_cid(store.add(b"another"))
    text = cid.digest.hex()
    (store.folder / "wraps" / text[:2] / text).write_bytes(other.digest)
    with pytest.raises(ContentCorrupt, match=str(cid)):
        store.read(str(cid))


def test_adding_again_mends_a_damaged_block(store, block_file):
    cid = store.add(b"a dataset")
    flip_byte(block_file(cid))
    assert store.add(b"a dataset") == cid
    assert store.read(cid) == b"a dataset"


def test_a_store_opened_again_has_it_all(store):
    cid = store.add(letters(300_000))
    again = EmbeddedStore(store.folder)
    assert list(again.pins()) == [cid]
    assert again.read(cid) == letters(300_000)


def test_memory_does_not_grow_with_the_file(store, keystream):
    tracemalloc.start()
    try:
        cid = store.add(keystream("memory", 60 * builder.CHUNK))
        with store.open(cid) as stream:
            while stream.read(50_000):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * builder.CHUNK


ADDER = """
import sys
from pathlib import Path
from ipfs import open_store
store = open_store(Path(sys.argv[1]))
for number in range(20):
    content = (b"%d of everybody" % number) * 30_000
    assert store.read(store.add(content)) == content
    cid = store.add(sys.argv[2].encode() * (number + 1))
    store.unpin(cid)
    store.pin(cid)
print(len(list(store.pins())))
"""


def test_many_processes_share_a_folder(store):
    adders = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(store.folder), name], stdout=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    for adder in adders:
        out, _ = adder.communicate(timeout=60)
        assert adder.returncode == 0
        assert int(out) >= 40
    assert len(list(store.pins())) == 20 + 3 * 20
    assert all(store.stat(cid).size == len(store.read(cid)) for cid in store.pins())
    assert not list((store.folder / "tmp").iterdir())


KILLED = """
import os, sys
from pathlib import Path
from ipfs import open_store
class Stream:
    count = 0
    def read(self, size):
        self.count += 1
        if self.count == 5:
            os.kill(os.getpid(), 9)
        return bytes([self.count]) * size
open_store(Path(sys.argv[1])).add(Stream())
"""


def test_a_process_killed_while_adding_leaves_no_pin_and_no_harm(store):
    assert subprocess.run([sys.executable, "-c", KILLED, str(store.folder)], check=False).returncode == -9
    assert list(store.pins()) == []
    content = b"".join(bytes([i]) * builder.CHUNK for i in range(1, 7))
    assert store.read(store.add(content)) == content


def test_abandoned_writes_are_cleared_when_opened(store):
    old, new = store.folder / "tmp" / "old", store.folder / "tmp" / "new"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    EmbeddedStore(store.folder)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file"):
        open_store(tmp_path / "file")


def test_a_folder_taken_away(store):
    store.add(b"x")
    (store.folder / "pins").rename(store.folder / "gone")
    with pytest.raises(StoreUnavailable, match="list the pins"):
        store.pins()
    with pytest.raises(StoreUnavailable, match="store the content"):
        store.add(b"y")


def test_a_wrap_whose_chunk_is_gone_is_missing(store, block_file):
    cid = added_plainly(store, b"the chunk")
    block_file(str(builder.only_hash(io.BytesIO(b"the chunk")))).unlink()
    with pytest.raises(ContentMissing, match=cid):
        store.read(cid)
    assert not store.has(cid)


def test_blocks_are_on_the_disk_before_the_pin_is_there(store, block_file, monkeypatch):
    synced, real = [], os.fsync

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, len(list(store.pins()))))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    content = letters(builder.CHUNK + 1)
    cid = store.add(content)
    leaves = [content[: builder.CHUNK], content[builder.CHUNK :]]
    for block in [cid, *(str(builder.only_hash(io.BytesIO(leaf))) for leaf in leaves)]:
        for path in (block_file(block), block_file(block).parent):
            assert (path.stat().st_ino, 0) in synced
    assert ((store.folder / "pins").stat().st_ino, 1) in synced
