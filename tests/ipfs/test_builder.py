"""Files to blocks: the vectors, and the streaming tree against the definition level by level."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs import builder
from ipfs.builder import CANONICAL, PLAIN_ADD, Hasher, Layout, build, only_hash
from ipfs.cid import DAG_PB, cid_of
from ipfs.unixfs import Link, encode_file_node

LAYOUTS = {"v0": PLAIN_ADD, "v1": CANONICAL, "v1_without_raw_leaves": Layout(1, raw_leaves=False)}


def test_every_vector(vector, stream_of):
    names = [name for name in LAYOUTS if name in vector]
    roots = build(
        stream_of(vector), [LAYOUTS[n] for n in names], lambda cids, chunk: None, lambda cid, block: None
    )
    assert [str(root.cid) for root in roots] == [vector[name] for name in names]


def level_by_level(content, layout):
    """The definition: chunks, then each level in groups, until one is left."""
    pieces = [content[i : i + builder.CHUNK] for i in range(0, len(content), builder.CHUNK)] or [b""]
    level = [(Link(cid, len(block)), len(piece)) for piece in pieces for cid, block in [layout.leaf(piece)]]
    while len(level) > 1:
        groups = [level[i : i + builder.LINKS] for i in range(0, len(level), builder.LINKS)]
        level = []
        for group in groups:
            block = encode_file_node(group)
            link = Link(
                cid_of(DAG_PB, block, layout.version), len(block) + sum(link.tsize for link, _ in group)
            )
            level.append((link, sum(size for _, size in group)))
    return level[0][0]


@given(st.binary(max_size=400), st.integers(2, 4), st.integers(1, 5), st.sampled_from(sorted(LAYOUTS)))
def test_the_stream_builds_the_tree_of_the_definition(content, links, chunk, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "CHUNK", chunk)
        patch.setattr(builder, "LINKS", links)
        found = build(io.BytesIO(content), [LAYOUTS[name]], lambda cids, c: None, lambda cid, block: None)[0]
        assert found == level_by_level(content, LAYOUTS[name])


@given(st.lists(st.binary(max_size=50)))
def test_portions_make_no_difference(portions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "CHUNK", 16)
        hasher = Hasher()
        for portion in portions:
            hasher.update(portion)
        assert hasher.finish() == only_hash(io.BytesIO(b"".join(portions)))
