"""What every content store must do. A subclass gives three fixtures: `store`; `block_file`, from a CID to
the file that holds its block; and `missing_after`, the most seconds until a missing block is told."""

import io
import time

import pytest

from ipfs import Stat, builder
from ipfs.cid import CODECS, parse_cid
from ipfs.errors import (
    ContentCorrupt,
    ContentError,
    ContentLooping,
    ContentMissing,
    ContentTooLarge,
    InvalidCid,
)
from ipfs.store import ContentStore
from ipfs.unixfs import (
    Kind,
    Link,
    Node,
    UnixFs,
    encode_directory,
    encode_file_node,
    encode_node,
    encode_unixfs,
)

NOWHERE = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
EMPTY_DIRECTORY = b"\n\x02\x08\x01"


def letters(count, first=0):
    """Bytes in which every chunk differs."""
    return b"".join(i.to_bytes(4, "big") for i in range(first, first + count // 4 + 1))[:count]


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


class ContentStoreSuite:
    def test_is_a_content_store(self, store):
        assert isinstance(store, ContentStore)

    # Adding and reading

    def test_vectors_come_out_and_go_in(self, store, stored_vector, stream_of):
        cid = store.add(stream_of(stored_vector))
        assert cid == stored_vector.get("v1", cid)
        assert cid in set(store.pins())
        expected = io.BufferedReader(stream_of(stored_vector))
        with store.open(cid) as stream:
            while piece := stream.read(1 << 20):
                assert piece == expected.read(1 << 20)
            assert expected.read() == b""

    def test_bytes_a_path_and_a_stream_are_the_same_file(self, store, tmp_path):
        content = letters(300_000)
        path = tmp_path / "a file.csv"
        path.write_bytes(content)
        assert store.add(content) == store.add(path) == store.add(io.BytesIO(content))
        assert store.read(store.add(path)) == content

    def test_a_path_that_is_not_there(self, store, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such"):
            store.add(tmp_path / "no such")

    def test_a_stream_that_fails_is_its_own_error(self, store):
        class Torn:
            def read(self, size):
                raise TornError("the cable")

        class TornError(OSError):
            pass

        with pytest.raises(TornError, match="the cable"):
            store.add(Torn())

    def test_ranges(self, store):
        content = letters(3 * builder.CHUNK + 17)
        cid = store.add(content)
        edge = builder.CHUNK
        for offset, length in [
            (0, 0),
            (0, 1),
            (edge - 1, 2),
            (edge, edge),
            (2 * edge + 5, None),
            (3 * edge, 99),
        ]:
            end = None if length is None else offset + length
            assert store.read(cid, offset, length) == content[offset:end]
        assert store.read(cid, len(content) + 5) == b""
        with pytest.raises(ValueError, match="-1"):
            store.read(cid, -1)

    def test_a_stream_seeks_and_reads_lines(self, store):
        content = b"".join(b"row %d\n" % i for i in range(60_000))
        with store.open(store.add(content)) as stream:
            assert stream.seekable()
            assert stream.readline() == b"row 0\n"
            assert stream.seek(-10, io.SEEK_END) == len(content) - 10
            assert stream.read() == content[-10:]
            stream.seek(builder.CHUNK - 3)
            assert stream.read(6) == content[builder.CHUNK - 3 : builder.CHUNK + 3]
            stream.seek(0)
            assert sum(1 for _ in stream) == 60_000
        assert stream.closed

    def test_stat(self, store):
        assert store.stat(store.add(b"")).size == 0
        content = letters(2 * builder.CHUNK + 1)
        cid = store.add(content)
        assert store.stat(cid) == Stat(cid, len(content), 4)
        same_chunks = store.add(bytes(3 * builder.CHUNK))
        assert store.stat(same_chunks) == Stat(same_chunks, 3 * builder.CHUNK, 2)

    # Single blocks

    def test_blocks(self, store):
        for codec, data in [("raw", b"x"), ("dag-cbor", b"\xa1\x61a\x01"), ("dag-pb", EMPTY_DIRECTORY)]:
            cid = store.put_block(codec, data)
            assert parse_cid(cid).codec == CODECS[codec]
            assert store.get_block(cid) == data
            assert store.has(cid)
            store.pin(cid)
            assert cid in set(store.pins())
        with pytest.raises(ValueError, match="dag-json"):
            store.put_block("dag-json", b"{}")

    def test_a_block_too_large(self, store):
        with pytest.raises(ContentTooLarge, match="2097152"):
            store.put_block("raw", bytes((2 << 20) + 1))
        assert len(store.get_block(store.put_block("raw", bytes(2 << 20)))) == 2 << 20

    def test_links_of_dag_cbor_belong_to_the_dag(self, store):
        leaf = store.put_block("raw", b"a leaf under cbor")
        link = b"\xd8\x2a\x58\x25\x00" + bytes(parse_cid(leaf))
        root = store.put_block("dag-cbor", b"\x82" + link + b"\x01")
        assert store.stat(root).blocks == 2
        assert store.has(root)
        dangling = b"\xd8\x2a\x58\x25\x00" + bytes(parse_cid(NOWHERE))
        assert not store.has(store.put_block("dag-cbor", b"\x81" + dangling))

    def test_directories(self, store):
        file = store.add(letters(300_000, 7))
        directory = store.put_block("dag-pb", encode_directory([Link(parse_cid(file), 300_200, "a.csv")]))
        assert store.has(directory)
        assert store.stat(directory).blocks == 4
        with pytest.raises(ContentError, match=f"{directory}.*directory"):
            store.open(directory)

    # Pins

    def test_pins(self, store):
        cid = store.add(b"to be let go")
        assert cid in set(store.pins())
        store.unpin(cid)
        assert cid not in set(store.pins())
        store.unpin(cid)
        store.pin(cid)
        store.pin(cid)
        assert cid in set(store.pins())

    def test_a_pin_needs_every_block(self, store, missing_after):
        root = store.put_block("dag-pb", encode_file_node([(Link(parse_cid(NOWHERE), 9), 9)]))
        with pytest.raises(ContentMissing, match=NOWHERE):
            store.pin(root)
        assert root not in set(store.pins())

    # What goes wrong

    @pytest.mark.parametrize(
        "text", ["", "Qm", "hello", "bafy", "Qm" + "1" * 44, "b" * 500, "f01551220", "🙂" * 10]
    )
    def test_no_cid(self, store, text):
        for use in (store.open, store.read, store.pin, store.unpin, store.has, store.stat, store.get_block):
            with pytest.raises(InvalidCid, match="CID"):
                use(text)

    def test_missing_content_names_the_cid_and_who_was_asked(self, store, missing_after):
        started = time.monotonic()
        with pytest.raises(ContentMissing) as caught:
            store.open(NOWHERE)
        assert time.monotonic() - started < missing_after
        assert (caught.value.cid, caught.value.asked) == (NOWHERE, store.name)
        assert NOWHERE in str(caught.value)
        assert store.name in str(caught.value)
        assert not store.has(NOWHERE)

    def test_a_vanished_block(self, store, block_file, missing_after):
        content = letters(2 * builder.CHUNK, 1_000_000)
        cid = store.add(content)
        leaf = builder.only_hash(io.BytesIO(content[builder.CHUNK :]))
        block_file(str(leaf)).unlink()
        assert store.read(cid, 0, builder.CHUNK) == content[: builder.CHUNK]
        with pytest.raises(ContentMissing, match=str(leaf)) as caught:
            store.read(cid)
        assert (caught.value.cid, caught.value.asked) == (str(leaf), store.name)

    @pytest.mark.parametrize("size", [100, 2 * builder.CHUNK])
    def test_one_flipped_byte_of_a_leaf(self, store, block_file, size):
        content = letters(size, 2_000_000)
        cid = store.add(content)
        leaf = str(builder.only_hash(io.BytesIO(content[-builder.CHUNK :])))
        flip_byte(block_file(leaf))
        for use in (store.read, store.pin, lambda cid: store.get_block(leaf)):
            with pytest.raises(ContentCorrupt) as caught:
                use(cid)
            assert (caught.value.cid, caught.value.asked) == (leaf, store.name)
        with store.open(cid) if size > 100 else io.BytesIO(content) as stream:
            assert stream.read(50) == content[:50]

    def test_one_flipped_byte_of_a_root(self, store, block_file):
        cid = store.add(letters(2 * builder.CHUNK, 3_000_000))
        flip_byte(block_file(cid))
        for use in (store.open, store.stat, store.has, store.pin):
            with pytest.raises(ContentCorrupt, match=cid):
                use(cid)

    def test_a_block_file_grown_too_large(self, store, block_file):
        cid = store.add(b"small once")
        path = block_file(cid)
        path.chmod(0o644)
        path.write_bytes(bytes(3 << 20))
        with pytest.raises(ContentTooLarge, match=cid):
            store.read(cid)

    def test_a_tree_too_deep(self, store):
        cid = store.put_block("raw", b"the bottom")
        for _ in range(70):
            cid = store.put_block("dag-pb", encode_file_node([(Link(parse_cid(cid), 10), 10)]))
        with pytest.raises(ContentLooping, match="levels deep"):
            store.read(cid)

    def test_few_blocks_that_say_they_are_a_huge_file(self, store):
        cid, size = store.put_block("raw", b"0" * 1000), 1000
        for _ in range(6):
            cid = store.put_block("dag-pb", encode_file_node([(Link(parse_cid(cid), 1), size)] * 174))
            size *= 174
        with pytest.raises(ContentTooLarge, match=cid):
            store.open(cid)
        assert store.has(cid)  # seven blocks, however many ways lead to them

    def test_sizes_that_lie(self, store):
        leaf = parse_cid(store.put_block("raw", b"ten bytes!"))
        cid = store.put_block("dag-pb", encode_file_node([(Link(leaf, 10), 11)]))
        with pytest.raises(ContentCorrupt, match=rf"{cid}.*11 bytes.*found 10"):
            store.read(cid)
        total = UnixFs(Kind.FILE, b"", 11, (10,))
        cid = store.put_block("dag-pb", encode_node(Node((Link(leaf, 10),), encode_unixfs(total))))
        with pytest.raises(ContentCorrupt, match=rf"{cid}.*says 11 bytes.*parts say 10"):
            store.read(cid)

    @pytest.mark.parametrize(
        "block", [b"\x12\xff", b"\n\x80", b"\n\x03\x08\x02\x18", b"\x12\x02\x0a\x00", b""]
    )
    def test_malformed_nodes(self, store, block):
        cid = store.put_block("dag-pb", block)
        with pytest.raises(ContentCorrupt, match=cid):
            store.read(cid)
