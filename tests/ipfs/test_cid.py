"""CIDs: text and bytes, and nothing that is not one."""

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs.cid import CODECS, DAG_PB, RAW, Cid, cid_of, decode_cid, parse_cid
from ipfs.errors import InvalidCid

digests = st.binary(min_size=32, max_size=32)
cids = st.builds(Cid, st.just(1), st.sampled_from(sorted(CODECS.values())), digests) | st.builds(
    Cid, st.just(0), st.just(DAG_PB), digests
)


@given(cids)
def test_text_and_bytes_go_back_and_forth(cid):
    assert parse_cid(str(cid)) == cid
    assert decode_cid(bytes(cid)) == cid
    assert str(cid).startswith("Qm" if cid.version == 0 else "ba")


@given(st.text() | st.from_regex(r"(Qm|baf|z)[a-zA-Z0-9]{0,70}", fullmatch=True))
def test_any_text_is_a_cid_or_invalid(text):
    try:
        cid = parse_cid(text)
    except InvalidCid as error:
        assert "Qm..." in str(error)  # noqa: PT017 - both ends are right
    else:
        assert text[0] == "z" or str(cid) == text


@given(st.binary(max_size=40))
def test_any_bytes_are_a_cid_or_invalid(data):
    try:
        assert bytes(decode_cid(data)) == data
    except ValueError as error:
        assert "expected a CID" in str(error)  # noqa: PT017 - both ends are right


def test_base58_of_version_1_is_read():
    cid = cid_of(RAW, b"x")
    assert parse_cid("z" + base58.b58encode(bytes(cid)).decode()) == cid


def test_other_spellings_of_a_cid_are_refused():
    text = str(cid_of(RAW, b"x"))
    last = "abcdefghijklmnopqrstuvwxyz234567"["abcdefghijklmnopqrstuvwxyz234567".index(text[-1]) ^ 1]
    version_0 = "z" + str(cid_of(DAG_PB, b"x", 0))
    for spelling in (
        text.upper(),
        text + "a",
        text[:-1],
        text[:-1] + last,
        version_0,
        " " + text,
        text + "\n",
    ):
        with pytest.raises(InvalidCid):
            parse_cid(spelling)


def test_a_cid_matches_its_block_only():
    assert cid_of(RAW, b"x").matches(b"x")
    assert not cid_of(RAW, b"x").matches(b"y")
