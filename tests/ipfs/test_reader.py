"""Reading what others wrote: any range of any tree, and every lie found out."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs import builder
from ipfs.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ipfs.dag import links_of, stat, walk
from ipfs.errors import ContentCorrupt, ContentError, ContentLooping, ContentMissing, ContentTooLarge
from ipfs.reader import FileReader, Limits, Source, open_file, read_range
from ipfs.unixfs import (
    Kind,
    Link,
    Node,
    UnixFs,
    encode_file_node,
    encode_node,
    encode_unixfs,
)


def file_node(memory, parts, filesize=None, inline=b""):
    """A node of a file over (cid, size said) with the total said."""
    sizes = tuple(size for _, size in parts)
    total = len(inline) + sum(sizes) if filesize is None else filesize
    data = encode_unixfs(UnixFs(Kind.FILE, inline, total, sizes))
    return memory.put(DAG_PB, encode_node(Node(tuple(Link(cid, 0) for cid, _ in parts), data)))


@given(st.binary(max_size=300), st.integers(0, 310), st.none() | st.integers(0, 310), st.booleans())
def test_any_range_of_any_tree(new_memory, content, offset, length, raw_leaves):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "CHUNK", 7)
        patch.setattr(builder, "LINKS", 3)
        memory = new_memory()
        cid = memory.add(io.BytesIO(content), builder.Layout(int(raw_leaves), raw_leaves))
        end = None if length is None else offset + length
        assert read_range(memory.source, cid, offset, length) == content[offset:end]
        with open_file(memory.source, cid) as stream:
            assert stream.read() == content
            stream.seek(offset)
            assert stream.read(5) == content[offset : offset + 5]


@given(st.recursive(st.binary(min_size=1, max_size=5), lambda below: st.lists(below, min_size=1, max_size=4)))
def test_trees_of_any_shape_with_bytes_in_inner_nodes(new_memory, tree):
    memory = new_memory()

    def put(tree):
        if isinstance(tree, bytes):
            return memory.put(RAW, tree), tree
        below = [put(child) for child in tree]
        inline = b"inner"
        cid = file_node(memory, [(cid, len(content)) for cid, content in below], inline=inline)
        return cid, inline + b"".join(content for _, content in below)

    cid, content = put(tree)
    assert read_range(memory.source, cid, 0, None) == content
    assert read_range(memory.source, cid, 3, None) == content[3:]


def test_reading_asks_for_what_it_needs_only(memory):
    leaves = [memory.put(RAW, bytes([i]) * 10) for i in range(4)]
    cid = file_node(memory, [(leaf, 10) for leaf in leaves])
    for unneeded in (leaves[0], leaves[3]):
        del memory.blocks[unneeded.digest]
    assert read_range(memory.source, cid, 12, 10) == bytes([1]) * 8 + bytes([2]) * 2
    with pytest.raises(ContentMissing, match=str(leaves[3])):
        read_range(memory.source, cid, 12, None)


def test_a_loop(memory):
    """No block can contain its own hash; should a hash ever fail us, the reader still ends."""

    class Trusting(Source):
        def checked(self, cid, data):
            return data

    one, two = Cid(1, DAG_PB, bytes(32)), Cid(1, DAG_PB, b"\1" * 32)
    memory.blocks[one.digest] = encode_file_node([(Link(two, 0), 5)])
    memory.blocks[two.digest] = encode_file_node([(Link(one, 0), 5)])
    with pytest.raises(ContentLooping, match="reached from itself"):
        read_range(Trusting("a dictionary", memory.get), one, 0, None)
    with pytest.raises(ContentCorrupt, match=str(one)):
        read_range(memory.source, one, 0, None)
    assert len(list(walk(Trusting("a dictionary", memory.get), one, leaves=True))) == 2


def chain(memory, levels):
    cid = memory.put(RAW, b"x")
    for _ in range(levels):
        cid = file_node(memory, [(cid, 1)])
    return cid


def test_depth(memory):
    assert read_range(memory.source, chain(memory, 63), 0, None) == b"x"
    with pytest.raises(ContentLooping, match="64 levels"):
        read_range(memory.source, chain(memory, 64), 0, None)


def test_limits(new_memory):
    memory = new_memory(Limits(block=1000, file=5000, whole_read=50, blocks=4))
    leaf = memory.put(RAW, bytes(40))
    file = file_node(memory, [(leaf, 40)] * 2)
    assert len(read_range(memory.source, file, 0, 50)) == 50
    with pytest.raises(ContentTooLarge, match="80 bytes"):
        read_range(memory.source, file, 0, None)
    with pytest.raises(ContentTooLarge, match="5040 bytes"):
        FileReader(memory.source, memory.put(DAG_PB, encode_file_node([(Link(leaf, 0), 5040)])))
    with pytest.raises(ContentTooLarge, match="1001"):
        memory.source.block(memory.put(RAW, bytes(1001)))
    several = file_node(memory, [(memory.put(RAW, bytes([i])), 1) for i in range(5)])
    with pytest.raises(ContentTooLarge, match="more than 4 blocks"):
        stat(memory.source, several)


@pytest.mark.parametrize(
    ("said", "total", "what"),
    [
        ([10, 11], None, "11 bytes are below"),
        ([10, 9], None, "9 bytes are below"),
        ([10, 10], 21, "says 21 bytes of file, its parts say 20"),
        ([10, 2**64 - 10], 0, "its parts say 18446744073709551616"),
        ([10, 0], None, "no bytes are below"),
    ],
)
def test_sizes_that_lie(memory, said, total, what):
    leaf = memory.put(RAW, bytes(10))
    cid = file_node(memory, [(leaf, size) for size in said], total)
    with pytest.raises(ContentCorrupt, match=what) as caught:
        read_range(memory.source, cid, 0, None)
    assert caught.value.cid == str(cid)


def test_a_leaf_that_lies_about_itself(memory):
    leaf = memory.put(DAG_PB, encode_node(Node((), encode_unixfs(UnixFs(Kind.FILE, b"abc", 4)))))
    with pytest.raises(ContentCorrupt, match="4 bytes of file, its parts say 3"):
        read_range(memory.source, file_node(memory, [(leaf, 4)]), 0, None)


def test_links_without_sizes(memory):
    leaf = Link(memory.put(RAW, b"abc"), 3)
    for data in (
        UnixFs(Kind.FILE, b"", 3),
        UnixFs(Kind.FILE, b"", 6, (3, 3)),
        UnixFs(Kind.FILE, b"", None, (3,)),
    ):
        cid = memory.put(DAG_PB, encode_node(Node((leaf,), encode_unixfs(data))))
        with pytest.raises(ContentCorrupt, match=str(cid)):
            read_range(memory.source, cid, 0, None)


@given(st.binary(max_size=200), st.sampled_from([DAG_PB, DAG_CBOR]))
def test_any_block_is_read_or_a_clear_error(new_memory, block, codec):
    memory = new_memory()
    cid = memory.put(codec, block)
    for use in (read_range, lambda source, cid, *_: list(walk(source, cid, leaves=True))):
        try:
            use(memory.source, cid, 0, None)
        except ContentError as error:
            assert error.asked == "a dictionary"  # noqa: PT017 - both ends are right
            assert error.cid in str(error)  # noqa: PT017 - both ends are right


def test_what_is_no_file_says_so(memory):
    kinds = [(Kind.DIRECTORY, "directory"), (Kind.SYMLINK, "symlink"), (Kind.SHARD, "shard")]
    for kind, what in kinds:
        cid = memory.put(DAG_PB, encode_node(Node((), encode_unixfs(UnixFs(kind)))))
        with pytest.raises(ContentError, match=what):
            open_file(memory.source, cid)
    with pytest.raises(ContentError, match="dag-cbor block"):
        open_file(memory.source, memory.put(DAG_CBOR, b"\x01"))


cbor_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary() | st.text() | st.floats(width=64)
)


@given(
    st.recursive(cbor_scalars, lambda below: st.lists(below) | st.dictionaries(st.text(), below)),
    st.integers(0, 3),
)
def test_links_of_dag_cbor(value, count):
    found = [Cid(1, RAW, bytes([i]) * 32) for i in range(count)]

    def head(major, number):
        return bytes([major << 5 | 27]) + number.to_bytes(8, "big")

    def encode(value):
        if isinstance(value, Cid):
            return b"\xd8\x2a\x58\x25\x00" + bytes(value)
        if value is None or isinstance(value, bool):
            return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
        if isinstance(value, int):
            return head(0, value) if value >= 0 else head(1, -1 - value)
        if isinstance(value, float):
            return b"\xfb" + bytes(8)
        if isinstance(value, (bytes, str)):
            data = value if isinstance(value, bytes) else value.encode()
            return head(2 if isinstance(value, bytes) else 3, len(data)) + data
        if isinstance(value, list):
            return head(4, len(value)) + b"".join(map(encode, value))
        return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())

    block = encode([value, {"links": found}, value])
    assert list(links_of(Cid(1, DAG_CBOR, bytes(32)), block)) == found
    for cut in range(0, len(block), 7):
        with pytest.raises(ContentCorrupt):
            links_of(Cid(1, DAG_CBOR, bytes(32)), block[:cut])
