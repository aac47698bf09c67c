"""Contents and vectors for the tests of `ipfs`."""

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest
from Crypto.Cipher import ChaCha20

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # for content_store_suite, which two test modules share
pytest.register_assert_rewrite("content_store_suite")


class Keystream(io.RawIOBase):
    """`size` bytes of the ChaCha20 keystream (zero nonce) under sha256(seed), in short reads."""

    def __init__(self, seed, size):
        super().__init__()
        self._cipher = ChaCha20.new(key=hashlib.sha256(seed.encode()).digest(), nonce=bytes(8))
        self._left = size

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self._left, 100_000)
        buffer[:count] = self._cipher.encrypt(bytes(count))
        self._left -= count
        return count


def vector_stream(vector):
    if "content" in vector:
        return io.BytesIO(vector["content"].encode())
    return Keystream(vector["seed"], vector["bytes"])


def load_vectors():
    document = json.loads((HERE / "cid-vectors.json").read_text())
    return document["vectors"] + document["kubo_0_42"]["vectors"], document


def pytest_generate_tests(metafunc):
    """`vector` is each vector; `stored_vector` those worth storing: small ones, two levels, the largest."""
    vectors, _ = load_vectors()
    names = {"vector": vectors}
    names["stored_vector"] = [v for v in vectors if v.get("bytes", 0) < 1_000_000]
    names["stored_vector"] += [v for v in vectors if v.get("bytes") in (45_613_057, 157_286_403)]
    for name, values in names.items():
        if name in metafunc.fixturenames:
            ids = [v.get("content", None) or f"{v.get('seed', 'empty')}-{v.get('bytes', 0)}" for v in values]
            metafunc.parametrize(name, values, ids=ids)


@pytest.fixture
def keystream():
    return Keystream


@pytest.fixture
def stream_of():
    return vector_stream


@pytest.fixture(scope="session")
def vector_document():
    return load_vectors()[1]


class Memory:
    """Blocks in a dictionary, to be lied about."""

    def __init__(self, limits=None):
        from ipfs.reader import Limits, Source

        self.blocks = {}
        self.source = Source("a dictionary", self.get, limits=limits or Limits())

    def get(self, cid):
        from ipfs.errors import ContentMissing

        if cid.digest not in self.blocks:
            raise ContentMissing(str(cid), "a dictionary", "the block is not here")
        return self.blocks[cid.digest]

    def put(self, codec, data):
        from ipfs.cid import cid_of

        cid = cid_of(codec, data)
        self.blocks[cid.digest] = data
        return cid

    def add(self, stream, layout):
        from ipfs.builder import build

        def keep(cid, block):
            self.blocks[cid.digest] = block

        return build(stream, [layout], lambda cids, chunk: keep(*layout.leaf(chunk)), keep)[0].cid


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture(scope="session")
def new_memory():
    return Memory
