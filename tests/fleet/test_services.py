"""The same fleet on a real Kubo and a real Redis: what it makes is read by others' tools, and damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from chain.blocks import Block
from chain.client import NodeClient
from chain.encoding import to_json
from chain.params import DEVELOPMENT

BAYES = "sklearn.naive_bayes.GaussianNB"
FLOWER = [5.1, 3.5, 1.4, 0.2]
IRIS = Path(__file__).parents[2] / "datasets" / "iris.csv"

pytestmark = [pytest.mark.fleet, pytest.mark.kubo, pytest.mark.redis, pytest.mark.timeout(240)]


@pytest.fixture
def fleet(fleets, kubo, redis_url):
    return fleets("services", "--ipfs", kubo.api, "--broker", redis_url).ready()


def blocks(node: NodeClient) -> list[Block]:
    """All blocks after the genesis."""
    found = []
    for height in range(1, int(node.chain()["height"]) + 1):
        data = node.raw_block(height)
        assert data is not None
        found.append(Block.decode(data, DEVELOPMENT.max_block_bytes))
    return found


def test_a_job_on_them_and_what_is_read_with_ipfs(fleet, kubo, redis_url, tmp_path):
    assert not list(fleet.folder.path.glob("store/*")), "nothing lies in an embedded store"
    with redis.Redis.from_url(redis_url) as broker:
        assert len(list(broker.scan_iter(f"assay:worker:{fleet.node.genesis_hash()[:16]}:*"))) == 2
    cid = kubo.run("add", "-Q", "--cid-version=1", str(IRIS)).decode().strip()
    fleet.client.add_dataset("iris", "species", cid=cid)
    document = fleet.closed(fleet.client.train("iris", "iris", BAYES, partitions=4))
    assert document["adopted"]
    assert fleet.client.predict("iris", [FLOWER])["predictions"] == ["setosa"]

    pins = kubo.run("pin", "ls", "-q").decode().split()
    candidate = document["candidate"]["cid"]
    for made in [candidate, *(part["update"] for part in document["partitions"])]:
        assert made in pins
        assert kubo.run("cat", made) == kubo.run("block", "get", made)  # small: one raw block
    assert kubo.run("cat", cid) == IRIS.read_bytes()

    for block in blocks(fleet.node)[-4:]:
        for signed in block.transactions:
            put = kubo.run("dag", "put", "--store-codec=dag-cbor", "--input-codec=dag-cbor", stdin=signed.data)
            assert put.decode().strip() == signed.cid
            assert json.loads(kubo.run("dag", "get", signed.cid)) == json.loads(to_json(signed.to_object()))
        node = block.ipld_node()
        put = kubo.run("dag", "put", "--store-codec=dag-cbor", "--input-codec=dag-cbor", stdin=node).decode().strip()
        assert put == block.cid
        read = json.loads(kubo.run("dag", "get", block.cid))
        assert read["header"] == block.header.pack().hex()
        assert [link["/"] for link in read["transactions"]] == [signed.cid for signed in block.transactions]
        first = json.loads(kubo.run("dag", "get", f"{block.cid}/transactions/0/body/kind"))
        assert first == block.transactions[0].body.kind

    # One byte of a dataset flipped where Kubo keeps it: Kubo hands it out as it is, the workers refuse it.
    lines = IRIS.read_text().splitlines(keepends=True)
    other = tmp_path / "other.csv"
    other.write_text("".join(lines[:-3]))
    cid = fleet.dataset("other", other)
    fleet.client.register_model("other", ["other"])
    (kept,) = [path for path in kubo.repo.glob("blocks/*/*.data") if path.read_bytes() == other.read_bytes()]
    kept.chmod(0o644)
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    document = fleet.closed(fleet.client.train("other", "other", BAYES, partitions=2))
    assert document["state"] == "failed"
    assert cid in document["reason"]
    assert kubo.api in document["reason"]
