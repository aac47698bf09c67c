"""Messages as bytes: there and back, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import cid_of
from chain.encoding import encode as encode_object
from chain.errors import ChainError, InvalidEncoding
from chain.node.peering import messages as m
from chain.node.peering.codec import NAMES, PATHS, decode, encode, limit_of
from chain.params import DEVELOPMENT

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
heights = st.integers(0, 2**53)
works = st.integers(0, 2**256 - 1).map(str)
cids = st.binary(min_size=1, max_size=8).map(lambda data: m.Cid(cid_of(data)))
urls = st.sampled_from(["", "http://127.0.0.1:7001", "https://node-1.example.org:443", "http://[::1]:7001"])
statuses = st.builds(m.Status, heights, hashes, works, works, heights, hashes, heights, hashes)
MESSAGES = st.one_of(
    st.builds(m.AskHeaders, st.lists(hashes, min_size=1, max_size=64).map(tuple)),
    st.builds(
        m.Headers, statuses, st.lists(st.text("0123456789abcdef", min_size=176, max_size=176), max_size=5).map(tuple)
    ),
    st.builds(m.AskBlocks, st.lists(hashes, min_size=1, max_size=16, unique=True).map(tuple)),
    st.builds(m.AskTransactions, st.lists(cids, min_size=1, max_size=16, unique=True).map(tuple)),
    st.builds(m.AskInventory, statuses, st.integers(0, 2**31)),
    st.builds(m.Inventory, statuses, st.lists(cids, max_size=8).map(tuple), st.integers(0, 2**31)),
    st.just(m.AskPeers()),
    st.builds(m.Peers, st.lists(urls, max_size=32).map(tuple)),
    st.builds(m.Offer, st.lists(cids, min_size=1, max_size=16, unique=True).map(tuple)),
    st.just(m.Blocks(())),
    st.just(m.Transactions(())),
)


@given(MESSAGES)
def test_a_message_is_read_back_as_it_was(message):
    data = encode(message)
    assert len(data) <= limit_of(type(message), DEVELOPMENT)
    assert decode(type(message), data, DEVELOPMENT) == message


@given(st.sampled_from(sorted(NAMES)), st.binary(max_size=400))
def test_anything_else_is_refused_with_an_error_of_the_chain(name, data):
    try:
        message = decode(NAMES[name], data, DEVELOPMENT)
    except ChainError:
        return
    assert encode(message) == data


def test_the_fullest_messages_fit_their_limits():
    head = "f" * 64
    status = m.Status(2**53, head, "9" * 78, "9" * 78, 2**53, head, 2**53, head)
    cid = m.Cid("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua")
    fullest = [
        m.AskHeaders((m.Hash(head),) * m.MAX_LOCATOR),
        m.Headers(status, ("0" * 176,) * m.MAX_HEADERS),
        m.AskBlocks(tuple(m.Hash(f"{n:064x}") for n in range(m.MAX_BODIES))),
        m.Inventory(status, (cid,) * m.MAX_IDS, 2**31),
        m.Peers(("https://" + "a" * 240 + ":65535",) * m.MAX_ADDRESSES),
    ]
    for message in fullest:
        assert len(encode(message)) <= limit_of(type(message), DEVELOPMENT)


def test_a_message_above_its_limit_is_not_looked_at():
    data = encode_object({"locator": ["0" * 64] * 200})
    with pytest.raises(InvalidEncoding, match="at most"):
        decode(m.AskHeaders, data, DEVELOPMENT)


@pytest.mark.parametrize(
    "url",
    ["http://host", "ftp://host:1", "http://host:7001/path", "http://HOST:7001", "http://user@host:1", "http://a b:1"],
)
def test_an_address_is_scheme_host_and_port(url):
    with pytest.raises(InvalidEncoding, match="HOST:PORT"):
        encode(m.Peers((url,)))


def test_every_message_has_a_path():
    assert {NAMES[name] for name in PATHS.values()} == set(NAMES.values())
    assert {kind for pair in m.ANSWERS.items() for kind in pair} | set(m.TOLD) == set(NAMES.values())
