"""The formats of blocks, byte by byte, and that no bytes break their readers."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs import builder
from ipfs.cid import RAW, cid_of
from ipfs.unixfs import (
    Kind,
    Link,
    Node,
    UnixFs,
    decode_node,
    decode_unixfs,
    encode_directory,
    encode_file_node,
    encode_node,
    encode_unixfs,
    encode_wrapped_leaf,
)
from ipfs.wire import (
    MalformedBlock,
    decode_varint,
    encode_bytes_field,
    encode_varint,
    encode_varint_field,
    fields,
)

numbers = st.integers(0, 2**64 - 1)
links = st.builds(
    Link, st.binary(max_size=9).map(lambda data: cid_of(RAW, data)), numbers, st.text(max_size=9)
)
CHILD = cid_of(RAW, b"child")


@given(numbers)
def test_varints(number):
    assert decode_varint(b"?" + encode_varint(number) + b"!", 1) == (number, 1 + len(encode_varint(number)))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 9 + b"\x7f", b"\x80" * 11 + b"\x00"])
def test_varints_cut_off_or_too_long(data):
    with pytest.raises(MalformedBlock):
        decode_varint(data, 0)


@given(st.lists(links), st.none() | st.binary())
def test_nodes_go_back_and_forth(links, data):
    node = Node(tuple(links), data)
    assert decode_node(encode_node(node)) == node


@given(
    st.builds(
        UnixFs,
        st.sampled_from(Kind),
        st.binary(),
        st.none() | numbers,
        st.lists(numbers).map(tuple),
    )
)
def test_unixfs_goes_back_and_forth(data):
    assert decode_unixfs(encode_unixfs(data)) == data


@given(st.binary())
def test_any_bytes_are_read_or_malformed(data):
    for decode in (decode_node, decode_unixfs, lambda data: list(fields(data))):
        try:
            decode(data)
        except MalformedBlock as error:
            assert str(error)  # noqa: PT017 - both ends are right


def test_the_bytes_as_kubo_writes_them():
    assert encode_wrapped_leaf(b"") == bytes.fromhex("0a0408021800")
    assert encode_wrapped_leaf(b"abc") == bytes.fromhex("0a0908021203616263" + "1803")
    assert encode_directory([]) == bytes.fromhex("0a020801")
    link = "122a" + "0a24" + bytes(CHILD).hex() + "1200" + "1807"
    assert encode_file_node([(Link(CHILD, 7), 5)]).hex() == link + "0a06" + "08021805" + "2005"


def test_packed_sizes_data_first_and_unknown_fields_of_unixfs_are_read():
    packed = (
        encode_unixfs(UnixFs(Kind.FILE, b"", 3))
        + encode_bytes_field(4, b"\x01\x02")
        + encode_varint_field(9, 1)
    )
    assert decode_unixfs(packed).blocksizes == (1, 2)
    node = encode_node(Node((Link(CHILD, 1),), None))
    assert decode_node(encode_bytes_field(1, b"data") + node) == Node((Link(CHILD, 1),), b"data")


@pytest.mark.parametrize(
    ("block", "what"),
    [
        (b"\x0a\x05abc", "5 bytes where 3 are left"),
        (b"\x08\x01", "wire type 0 instead of 2"),
        (b"\x1a\x00", "unknown field 3"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "field number 0"),
        (b"\x0a\x00\x0a\x00", "data is repeated"),
        (b"\x12\x00", "no CID"),
        (b"\x12\x04\x0a\x02\x01\x55", "expected a CID"),
        (b"\x12\x03\x12\x01\xff", "cannot be read"),
        (b"\x12\x04\x12\x00\x12\x00", "repeated or out of order"),
        (b"\x12\x02\x20\x00", "unknown field 4"),
        (
            encode_node(Node((Link(CHILD, 1),), b"")) + encode_node(Node((Link(CHILD, 1),), None)),
            "both sides",
        ),
    ],
)
def test_malformed_nodes_say_why(block, what):
    with pytest.raises(MalformedBlock, match=what):
        decode_node(block)


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "without a type"), (b"\x08\x09", "9 is not known"), (b"\x08\x02\x10\x01", "wire type")],
)
def test_malformed_unixfs_says_why(data, what):
    with pytest.raises(MalformedBlock, match=what):
        decode_unixfs(data)


@pytest.mark.parametrize(
    ("layout", "name"), [(builder.PLAIN_ADD, "v0"), (builder.CANONICAL, "v1")], ids=["v0", "v1"]
)
def test_the_vectors_directory(vector_document, keystream, layout, name):
    def add(stream):
        return builder.build(stream, [layout], lambda cids, chunk: None, lambda cid, block: None)[0]

    def directory(**entries):
        named = [Link(link.cid, link.tsize, name) for name, link in entries.items()]
        block = encode_directory(named)
        return Link(cid_of(0x70, block, layout.version), len(block) + sum(link.tsize for link in named))

    below = directory(**{"empty": directory(), "b.bin": add(keystream("assay", 300_000))})
    root = directory(
        **{
            "Ünïcode name.txt": add(io.BytesIO(b"hello world")),
            "sub": below,
            "a.csv": add(io.BytesIO(b"x,y\n1,2\n")),
        }
    )
    assert str(root.cid) == vector_document["kubo_0_42"]["directory"][name]
    if layout is builder.PLAIN_ADD:
        assert str(directory().cid) == vector_document["empty_directory"]["v0"]


def test_a_directory_has_each_name_once():
    with pytest.raises(ValueError, match="'a' is there twice"):
        encode_directory([Link(CHILD, 1, "a"), Link(CHILD, 2, "a")])
