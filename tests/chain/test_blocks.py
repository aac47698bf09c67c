"""A block that is not exactly right is refused: each field of its header, each field of its body."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import schema
from chain.blocks import (
    HEADER_BYTES,
    NO_ADDRESS,
    NO_HASH,
    Block,
    Commitment,
    Header,
    check_body,
    check_header,
    genesis_block,
    is_early,
    merkle_root,
    merkle_root_of,
)
from chain.encoding import Link, cid_of, cid_to_bytes, decode, encode
from chain.errors import (
    BadHeight,
    BadParent,
    BadRoot,
    BadTarget,
    BadTime,
    BadTransaction,
    BadVersion,
    BadWork,
    BlockTooLarge,
    ChainError,
    InvalidEncoding,
    InvalidSignature,
    WrongNetwork,
)
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Address, Cid, Hash
from chain.transactions import BEFORE_BODY, ReportFailure, Signed, body_of, sign

GENESIS = Hash("ab" * 32)
TARGET = DEVELOPMENT.initial_target
LIMIT = DEVELOPMENT.max_block_bytes
Mine = Callable[[Header], Header]


def _check(block: Block, parent: Header) -> None:
    check_header(block.header, parent, TARGET)
    check_body(block, DEVELOPMENT, GENESIS, 7)


def test_a_valid_block_passes_and_comes_back(block: Block, parent_header: Header) -> None:
    _check(block, parent_header)
    back = Block.decode(block.encode(), LIMIT)
    assert (back, back.id, back.height, back.data) == (block, block.id, 7, block.data)
    _check(back, parent_header)
    for read, made in zip(back.transactions, block.transactions, strict=True):
        assert (read.data, read.id, read.cid) == (made.data, made.id, made.cid)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("version", 0, BadVersion),
        ("version", 2, BadVersion),
        ("parent", Hash("00" * 32), BadParent),
        ("time", -1, BadTime),  # relative to the parent's
        ("time", 0, BadTime),
        ("target", 0x207FFFFF, BadTarget),
        ("target", 0x1F3FFFFE, BadTarget),
        ("target", 0, BadTarget),
        ("root", Hash("00" * 32), BadRoot),
    ],
)
def test_each_header_field_is_checked_even_of_a_mined_header(
    field: str, value: Any, error: type[ChainError], block: Block, parent_header: Header, mined: Mine
) -> None:
    value = parent_header.time + value if field == "time" else value
    header = dataclasses.replace(block.header, **{field: value})
    if header.target:
        header = mined(header)
    with pytest.raises(error) as refusal:
        _check(dataclasses.replace(block, header=header), parent_header)
    assert refusal.value.where == f"header.{field}"


def test_a_header_without_its_work_is_refused(block: Block, parent_header: Header) -> None:
    with pytest.raises(BadWork):
        check_header(dataclasses.replace(block.header, nonce=block.header.nonce + 1), parent_header, TARGET)
    with pytest.raises(BadWork):  # any other change costs the work too
        check_header(dataclasses.replace(block.header, time=block.header.time + 1), parent_header, TARGET)


@pytest.mark.parametrize(
    "changed",
    [
        lambda block: {"commitment": dataclasses.replace(block.commitment, height=8)},
        lambda block: {"commitment": dataclasses.replace(block.commitment, miner=NO_ADDRESS)},
        lambda block: {"commitment": dataclasses.replace(block.commitment, state=NO_HASH)},
        lambda block: {"transactions": ()},
        lambda block: {"transactions": block.transactions[:-1]},
        lambda block: {"transactions": (*block.transactions, block.transactions[-1])},
        lambda block: {"transactions": block.transactions[::-1]},
    ],
)
def test_a_body_that_is_not_the_headers_is_refused_by_its_root(
    changed: Callable[[Block], dict[str, Any]], block: Block
) -> None:
    with pytest.raises(BadRoot):
        check_body(dataclasses.replace(block, **changed(block)), DEVELOPMENT, GENESIS, 7)


def test_even_another_valid_signature_in_the_body_is_refused_by_its_root(block: Block) -> None:
    first = block.transactions[0]
    other = Signed(first.body, block.transactions[1].signature)
    assert other.id == first.id
    assert other.cid != first.cid
    with pytest.raises(BadRoot):
        check_body(dataclasses.replace(block, transactions=(other, *block.transactions[1:])), DEVELOPMENT, GENESIS, 7)


def _with_body(block: Block, commitment: Commitment, transactions: tuple[Signed, ...]) -> Block:
    """The block of a miner who commits to this body."""
    root = merkle_root(commitment, transactions)
    return Block(dataclasses.replace(block.header, root=root), commitment, transactions)


def test_a_wrong_height_is_refused(block: Block) -> None:
    other = _with_body(block, dataclasses.replace(block.commitment, height=8), block.transactions)
    with pytest.raises(BadHeight, match="expected 7, found 8"):
        check_body(other, DEVELOPMENT, GENESIS, 7)


def test_a_forged_transaction_is_refused_with_its_index_and_cause(block: Block) -> None:
    nobodys = "00" * 64 + "1b"
    for signature in (block.transactions[1].signature, nobodys):
        forged = Signed(block.transactions[2].body, signature)
        other = _with_body(block, block.commitment, (*block.transactions[:2], forged))
        with pytest.raises(BadTransaction, match=r"transaction 2 of the block \(invalid_signature\)") as refusal:
            check_body(other, DEVELOPMENT, GENESIS, 7)
        assert refusal.value.index == 2
        assert isinstance(refusal.value.cause, InvalidSignature)
    with pytest.raises(BadTransaction) as refusal:
        check_body(block, DEVELOPMENT, NO_HASH, 7)
    assert isinstance(refusal.value.cause, WrongNetwork)


def test_all_who_signed_are_recovered_at_one_go(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.transactions.recover", lambda digest, signature: 1 / 0)  # one by one
    check_body(Block.decode(block.encode(), LIMIT), DEVELOPMENT, GENESIS, 7)


def test_size_and_number_of_transactions_are_bounded(block: Block) -> None:
    for params in (
        dataclasses.replace(DEVELOPMENT, max_block_transactions=len(block.transactions) - 1),
        dataclasses.replace(DEVELOPMENT, max_block_bytes=len(block.data) - 1),
    ):
        with pytest.raises(BlockTooLarge):
            check_body(block, params, GENESIS, 7)
    with pytest.raises(InvalidEncoding, match="at most"):
        Block.decode(block.data, len(block.data) - 1)


def test_a_block_far_ahead_of_the_clock_is_early_not_invalid(block: Block) -> None:
    limit = block.header.time - DEVELOPMENT.max_future_ms
    assert is_early(block.header, DEVELOPMENT, limit - 1)
    assert not is_early(block.header, DEVELOPMENT, limit)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"header": None}, "header"),
        ({"header": "00" * 87}, "header"),
        ({"header": "00" * 89}, "header"),
        ({"header": "AB" * 88}, "header"),
        ({"header": "  " * 88}, "header"),
        ({"header": "00" * 68 + "ff" * 20}, "header.time"),
        ({"commitment": {}}, "commitment.height"),
        ({"commitment": {"height": -1, "miner": NO_ADDRESS, "state": NO_HASH}}, "commitment.height"),
        ({"commitment": {"height": True, "miner": NO_ADDRESS, "state": NO_HASH}}, "commitment.height"),
        ({"commitment": {"height": 1, "miner": NO_HASH, "state": NO_HASH}}, "commitment.miner"),
        ({"commitment": {"height": 1, "miner": NO_ADDRESS, "state": NO_ADDRESS}}, "commitment.state"),
        ({"commitment": {"height": 1, "miner": NO_ADDRESS, "state": NO_HASH, "x": 1}}, "commitment"),
        ({"transactions": {}}, "transactions"),
        ({"transactions": [{}]}, "transactions[0]"),
        ({"transactions": [Link(cid_of(b""))]}, "transactions[0]"),
        ({"transactions": [{"body": {}, "signature": ""}]}, "transactions[0].signature"),
        ({"transactions": [{"body": {}, "signature": "00" * 65}]}, "transactions[0].body.kind"),
        ({"more": 1}, ""),
    ],
)
def test_malformed_blocks_are_refused_by_the_path_of_the_field(
    change: dict[str, Any], where: str, block: Block
) -> None:
    obj = decode(block.encode(), LIMIT)
    with pytest.raises((InvalidEncoding, InvalidSignature)) as refusal:
        Block.decode(encode(obj | change), LIMIT)
    assert refusal.value.where == where


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_a_chain_error_and_nothing_else(data: bytes) -> None:
    for read in (lambda: Block.decode(data, LIMIT), lambda: Genesis.from_bytes(data)):
        with pytest.raises(ChainError):
            read()


def test_changed_bytes_raise_a_chain_error_and_nothing_else(block: Block, parent_header: Header) -> None:
    data = block.encode()

    @given(st.integers(0, len(data) - 1), st.integers(1, 255), st.integers(0, 3))
    def spoil(place: int, change: int, cut: int) -> None:
        changed = data[:place] + bytes((data[place] ^ change,)) + data[place + 1 + cut :]
        with pytest.raises(ChainError):
            _check(Block.decode(changed, LIMIT), parent_header)

    spoil()


hashes = st.binary(min_size=32, max_size=32).map(lambda data: Hash(data.hex()))
headers = st.builds(
    Header,
    version=st.integers(0, 2**32 - 1),
    parent=hashes,
    root=hashes,
    time=st.integers(0, 2**63 - 1),
    target=st.integers(0, 2**32 - 1),
    nonce=st.integers(0, 2**64 - 1),
)


@given(headers)
def test_a_header_is_88_bytes_and_comes_back(header: Header) -> None:
    assert len(header.pack()) == HEADER_BYTES
    assert Header.unpack(header.pack()) == header


@pytest.mark.parametrize("change", [{"nonce": -1}, {"nonce": 2**64}, {"time": -1}, {"target": 2**32}, {"parent": "xy"}])
def test_header_fields_out_of_range_are_not_packed(change: dict[str, Any], parent_header: Header) -> None:
    with pytest.raises(InvalidEncoding, match="header"):
        dataclasses.replace(parent_header, **change).pack()


def test_a_header_of_another_length_is_refused() -> None:
    for size in (0, 87, 89):
        with pytest.raises(InvalidEncoding, match="88 bytes"):
            Header.unpack(bytes(size))


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 300])
def test_the_spliced_encoding_is_the_plain_one(count: int, block: Block) -> None:
    many = dataclasses.replace(block, transactions=(block.transactions[0],) * count)
    plain = {
        "header": many.header.pack().hex(),
        "commitment": schema.to_object(many.commitment),
        "transactions": [signed.to_object() for signed in many.transactions],
    }
    assert many.encode() == encode(plain)
    assert Block.decode(many.encode(), LIMIT) == many


def test_the_ipld_node_links_the_signed_transactions(block: Block) -> None:
    node = decode(block.ipld_node(), LIMIT)
    assert node["transactions"] == [Link(signed.cid) for signed in block.transactions]
    assert node["header"] == block.header.pack().hex()
    assert schema.from_object(Commitment, node["commitment"]) == block.commitment
    assert block.cid == cid_of(block.ipld_node())


@given(st.lists(st.binary(max_size=4).map(cid_of).map(cid_to_bytes), min_size=1, max_size=9), st.data())
def test_no_two_lists_have_one_root(cids: list[bytes], draw: st.DataObject) -> None:
    root = merkle_root_of(cids)
    assert merkle_root_of([*cids, cids[-1]]) != root  # an odd node is not paired with itself
    other = draw.draw(st.lists(st.sampled_from(cids), min_size=1, max_size=9))
    assert (merkle_root_of(other) == root) == (other == cids)


def test_the_genesis_block_binds_time_and_state() -> None:
    genesis = Genesis("development", 5, (Key(b"\x01" * 32).address,), (), "")
    first = genesis_block(genesis, DEVELOPMENT, Hash("01" * 32))
    assert first.header.parent == NO_HASH
    assert first.height == 0
    assert first.header.root == merkle_root(first.commitment, ())
    later = dataclasses.replace(genesis, time=6)
    others = (genesis_block(genesis, DEVELOPMENT, Hash("02" * 32)), genesis_block(later, DEVELOPMENT, Hash("01" * 32)))
    assert len({first.id, *(other.id for other in others)}) == 3
    assert Block.decode(first.encode(), LIMIT) == first
    assert Address(first.commitment.miner) == NO_ADDRESS


@pytest.mark.kubo
def test_transactions_and_blocks_are_readable_in_kubo(block: Block, kubo: Any) -> None:
    """`ipfs dag get` shows what we put, under the CIDs we computed."""
    import json

    for signed in block.transactions:
        put = kubo.run("block", "put", "--cid-codec", "dag-cbor", "--mhtype", "sha2-256", stdin=signed.data)
        assert put.decode().strip() == signed.cid
        shown = json.loads(kubo.run("dag", "get", signed.cid))
        assert shown["body"]["sender"] == signed.sender
        assert shown["signature"] == signed.signature
    put = kubo.run("block", "put", "--cid-codec", "dag-cbor", "--mhtype", "sha2-256", stdin=block.ipld_node())
    assert put.decode().strip() == block.cid
    amount = kubo.run("dag", "get", f"{block.cid}/transactions/0/body/payload/amount")
    assert json.loads(amount) == 5


def test_what_looks_like_the_beginning_of_a_transaction_inside_of_one_misleads_nobody() -> None:
    key = Key(b"\x05" * 32)
    texts = ["plain", "\u00a2dbody", "\u00a2dbody{}" * 3, "isignaturex", "\u00a2dbody", "end"]
    assert BEFORE_BODY in texts[1].encode()
    job = Cid(cid_of(b"job"))
    said = [ReportFailure(job, 0, 0, None, "code", text, (), text) for text in texts]
    signed = [sign(body_of(each, key.address, GENESIS, f"{n:032x}", 9), key) for n, each in enumerate(said)]
    commitment = Commitment(7, key.address, GENESIS)
    for count in range(len(signed) + 1):
        some = tuple(signed[:count])
        block = Block(Header(1, GENESIS, merkle_root(commitment, some), 1, 0x1F3FFFFF, 0), commitment, some)
        back = Block.decode(block.data, 10**6)
        assert back == block
        assert back.data == block.data
        assert [each.id for each in back.transactions] == [each.id for each in some]
        for cut in (block.data[:-1], block.data + b"\x00", block.data[:-131]):
            with pytest.raises((InvalidEncoding, InvalidSignature)):
                Block.decode(cut, 10**6)
