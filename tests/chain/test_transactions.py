"""A transaction that is not exactly right is refused with an error that says what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import Link, cid_of, decode, encode
from chain.errors import (
    ChainError,
    Expired,
    ExpiresTooLate,
    InvalidEncoding,
    InvalidField,
    InvalidSignature,
    TransactionTooLarge,
    WrongNetwork,
)
from chain.keys import ORDER, Key
from chain.params import DEVELOPMENT
from chain.schema import Cid, Hash
from chain.transactions import PAYLOADS, Body, Payload, Signed, Transfer, VoteModel, check_envelope, sign

NOW = 1_700_000_000_000
GENESIS = Hash("ab" * 32)
KINDS = sorted(PAYLOADS)
SignedOf = Callable[..., Signed]


def _object(signed: Signed) -> Any:
    return decode(signed.data, 1 << 20)


def _refused(obj: Any, error: type[ChainError], message: str) -> None:
    with pytest.raises(error, match=message) as refusal:
        Signed.decode(encode(obj))
    assert refusal.value.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_comes_back_and_passes(kind: str, examples: dict[str, Payload], signed_of: SignedOf) -> None:
    signed = signed_of(examples[kind])
    back = Signed.decode(signed.data)
    assert (back, back.id, back.cid, back.data) == (signed, signed.id, signed.cid, signed.data)
    assert back.id == cid_of(encode(_object(signed)["body"])) == signed.body.id
    check_envelope(back, DEVELOPMENT, GENESIS, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_wanted_and_no_other(kind: str, examples: dict[str, Payload], signed_of: SignedOf) -> None:
    obj = _object(signed_of(examples[kind]))
    for field in obj["body"]:
        body = {name: value for name, value in obj["body"].items() if name != field}
        _refused(obj | {"body": body}, InvalidEncoding, f"^body.{field}: ")
    _refused(obj | {"body": obj["body"] | {"more": 1}}, InvalidEncoding, "unknown field 'more'")
    payload = obj["body"]["payload"]
    for field in payload:
        less = {name: value for name, value in payload.items() if name != field}
        _refused(obj | {"body": obj["body"] | {"payload": less}}, InvalidEncoding, f"^body.payload.{field}: ")
    more = obj["body"] | {"payload": payload | {"more": 1}}
    _refused(obj | {"body": more}, InvalidEncoding, "^body.payload: expected only the fields")


@pytest.mark.parametrize("wrong", [True, "x" * 20_000, [], {}, -(2**63), [[]], Link(cid_of(b"?")), None])
@pytest.mark.parametrize("kind", KINDS)
def test_every_payload_field_has_one_type(
    kind: str, wrong: Any, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    obj = _object(signed_of(examples[kind]))
    for field, right in obj["body"]["payload"].items():
        if wrong == right:
            continue
        payload = obj["body"]["payload"] | {field: wrong}
        try:
            signed = Signed.decode(encode(obj | {"body": obj["body"] | {"payload": payload}}))
        except InvalidEncoding as error:
            assert error.where.startswith(f"body.payload.{field}")  # noqa: PT017 - or it is decoded
            continue
        # of the right type after all: then it is another transaction, which the signature is not of
        assert type(wrong) is type(right) or right is None or wrong is None or wrong in ([], -(2**63))
        with pytest.raises(ChainError):
            check_envelope(signed, DEVELOPMENT, GENESIS, NOW)


@pytest.mark.parametrize(
    ("field", "wrong", "where"),
    [
        ("kind", "mint", "body.kind"),
        ("kind", 1, "body.kind"),
        ("sender", "0x" + "AB" * 20, "body.sender"),
        ("sender", "ab" * 20, "body.sender"),
        ("genesis", "ab" * 31, "body.genesis"),
        ("salt", "0" * 31, "body.salt"),
        ("salt", "G" * 32, "body.salt"),
        ("expires", -1, "body.expires"),
        ("expires", True, "body.expires"),
        ("expires", "1", "body.expires"),
        ("payload", None, "body.payload"),
        ("payload", {"amount": -1, "recipient": "0x" + "00" * 20}, "body.payload.amount"),
        ("payload", {"amount": -5, "recipient": "0x" + "00" * 20}, "body.payload.amount"),
    ],
)
def test_body_fields_are_exact(
    field: str, wrong: Any, where: str, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    obj = _object(signed_of(examples["transfer"]))
    with pytest.raises(InvalidEncoding) as refusal:
        Signed.decode(encode(obj | {"body": obj["body"] | {field: wrong}}))
    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("kind", "field", "wrong"),
    [
        ("register_dataset", "name", "../iris"),
        ("register_dataset", "name", "Iris"),
        ("register_dataset", "name", "x" * 65),
        ("register_dataset", "rows", 0),
        ("register_dataset", "task", "clustering"),
        ("register_model", "datasets", []),
        ("register_model", "datasets", ["iris", "iris"]),
        ("register_model", "direction", 0),
        ("register_model", "holdout_fraction", 1_000_000),
        ("register_model", "environments", []),
        ("open_job", "partitions", 0),
        ("open_job", "partitions", 257),
        ("open_job", "rounds", 101),
        ("open_job", "attempts", 9),
        ("open_job", "aggregation", "auto"),
        ("open_job", "estimator", '{"class": "x"}'),
        ("open_job", "estimator", '{"b":1,"a":1}'),
        ("open_job", "estimator", '{"a":1,"a":1}'),
        ("open_job", "estimator", '{"a":1.0}'),
        ("open_job", "estimator", '{"a":NaN}'),
        ("open_job", "estimator", '{"a":1e999}'),
        ("open_job", "estimator", "[1]"),
        ("open_job", "estimator", '{"a":' + "[" * 8000),
        ("open_job", "estimator", '{"a":' + "[" * 100 + "]" * 100 + "}"),
        ("claim_partition", "partition", 256),
        ("claim_partition", "round", 100),
        ("claim_partition", "attempt", -1),
        ("report_failure", "code", "Out of memory"),
        ("report_failure", "message", "x" * 1001),
        ("submit_update", "rows", 0),
        ("submit_update", "milliseconds", -1),
        ("submit_aggregate", "updates", []),
        ("vote_model", "decision", "abstain"),
        ("vote_model", "mode", "tolerance"),
        ("vote_model", "compared", -1),
        ("vote_checkpoint", "source_height", -1),
    ],
)
def test_payload_values_have_bounds(
    kind: str, field: str, wrong: Any, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    obj = _object(signed_of(examples[kind]))
    payload = obj["body"]["payload"] | {field: wrong}
    _refused(obj | {"body": obj["body"] | {"payload": payload}}, InvalidEncoding, rf"^body\.payload\.{field}")


@pytest.mark.parametrize(
    ("kind", "changes", "where"),
    [
        ("register_model", {"holdout_dataset": "wine"}, "holdout_fraction"),
        ("register_model", {"holdout_fraction": None}, "holdout_fraction"),
        ("register_model", {"holdout_fraction": None, "holdout_dataset": "iris"}, "holdout_dataset"),
        ("register_model", {"audit_fraction": 500_000}, "audit_fraction"),
        ("open_job", {"minimum_updates": 5}, "minimum_updates"),
        ("open_job", {"round_ms": 1}, "round_ms"),
        ("open_job", {"vote_ms": 10**12}, "vote_ms"),
        ("submit_update", {"base": None}, "base"),
        ("submit_update", {"round": 0}, "base"),
        ("vote_model", {"mode": "none"}, "mode"),
        ("vote_model", {"replayed": ()}, "mode"),
        ("vote_model", {"disproved": (cid_of(b"u"),)}, "disproved"),
        ("vote_model", {"missing": (cid_of(b"u"),)}, "missing"),
        ("vote_model", {"score": None}, "score"),
        ("vote_model", {"baseline": None}, "baseline"),
        ("vote_model", {"compared": 0}, "baseline"),
        ("vote_model", {"decision": "unavailable"}, "missing"),
        ("vote_checkpoint", {"target_height": 0}, "target_height"),
    ],
)
def test_rules_between_fields(
    kind: str, changes: dict[str, Any], where: str, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    signed = signed_of(dataclasses.replace(examples[kind], **changes))
    with pytest.raises(InvalidField) as refusal:
        check_envelope(signed, DEVELOPMENT, GENESIS, NOW)
    assert refusal.value.where == f"body.payload.{where}"
    assert refusal.value.code == "invalid_field"


def test_floats_are_refused_anywhere(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    import dag_cbor

    obj = _object(signed_of(examples["transfer"]))
    obj["body"]["payload"]["amount"] = 5.0
    with pytest.raises(InvalidEncoding, match=r"^body.payload.amount: expected an integer of 64 bits, found 5.0"):
        Signed.decode(dag_cbor.encode(obj))


def test_other_encodings_of_the_same_transaction_are_refused(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    data = signed_of(examples["transfer"]).data
    amount = data.index(b"famount") + len(b"famount")
    assert data[amount] == 5
    longer = data[:amount] + b"\x18\x05" + data[amount + 1 :]
    for other in (
        longer,
        data + b"\x00",
        data[:-1],
        b"\xa2" + data,
        data.replace(b"\xa2dbody", b"\xbfdbody") + b"\xff",
    ):
        with pytest.raises(InvalidEncoding):
            Signed.decode(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: "0x" + s, "130 lowercase"),
        (lambda s: s.upper(), "130 lowercase"),
        (lambda s: s[:-2], "130 lowercase"),
        (lambda s: None, "130 lowercase"),
        (lambda s: Link(cid_of(b"")), "130 lowercase"),
        (lambda s: s[:128] + "00", "v = 27 or 28"),
        (lambda s: f"{s[:64]}{ORDER - int(s[64:128], 16):064x}{55 - int(s[128:], 16):02x}", "high-s"),
        (lambda s: "00" * 64 + "1b", "no key can have made"),
        (lambda s: s[:128] + f"{55 - int(s[128:], 16):02x}", "signature by the sender|no key can have made"),
    ],
)
def test_signatures_have_one_form(
    change: Callable[[str], Any], message: str, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    obj = _object(signed_of(examples["transfer"]))
    with pytest.raises(InvalidSignature, match=message):
        check_envelope(Signed.decode(encode(obj | {"signature": change(obj["signature"])})), DEVELOPMENT, GENESIS, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender", Key(b"\x02" * 32).address),
        ("salt", "0" * 32),
        ("expires", NOW + 1),
        ("payload", Transfer(Key(b"\x02" * 32).address, 6)),
    ],
)  # fmt: skip
def test_a_signature_covers_every_field_of_the_body(
    field: str, value: Any, examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    signed = signed_of(examples["transfer"])
    forged = Signed(dataclasses.replace(signed.body, **{field: value}), signed.signature)
    assert forged.id != signed.id
    with pytest.raises(InvalidSignature):
        check_envelope(forged, DEVELOPMENT, GENESIS, NOW)


def test_another_network_is_refused(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    with pytest.raises(WrongNetwork):
        check_envelope(signed_of(examples["transfer"]), DEVELOPMENT, Hash("00" * 32), NOW)


def test_the_expiry_lies_ahead_and_not_too_far(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    transfer, latest = examples["transfer"], NOW + DEVELOPMENT.max_expiry_ms
    for expires in (NOW + 1, latest):
        check_envelope(signed_of(transfer, expires=expires), DEVELOPMENT, GENESIS, NOW)
    for expires in (0, NOW - 1, NOW):
        with pytest.raises(Expired):
            check_envelope(signed_of(transfer, expires=expires), DEVELOPMENT, GENESIS, NOW)
    with pytest.raises(ExpiresTooLate):
        check_envelope(signed_of(transfer, expires=latest + 1), DEVELOPMENT, GENESIS, NOW)


def test_what_has_passed_once_is_asked_anew_for_another_network_other_rules_or_another_time(
    examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    made = signed_of(examples["transfer"], expires=NOW + 10)
    for signed in (made, Signed.decode(made.data), Signed.from_object(_object(made))):
        check_envelope(signed, DEVELOPMENT, GENESIS, NOW)
        with pytest.raises(TransactionTooLarge):
            check_envelope(signed, dataclasses.replace(DEVELOPMENT, max_transaction_bytes=100), GENESIS, NOW)
        with pytest.raises(WrongNetwork):
            check_envelope(signed, DEVELOPMENT, Hash("00" * 32), NOW)
        with pytest.raises(Expired):
            check_envelope(signed, DEVELOPMENT, GENESIS, NOW + 10)
        check_envelope(signed, DEVELOPMENT, GENESIS, NOW + 9)


def test_checkpoint_votes_do_not_expire(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    check_envelope(signed_of(examples["vote_checkpoint"]), DEVELOPMENT, GENESIS, NOW + 10**12)


def test_sizes_are_bounded_by_kind(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    vote = examples["vote_model"]
    assert isinstance(vote, VoteModel)
    replayed = tuple(Cid(cid_of(str(number).encode())) for number in range(256 * 100))
    largest = signed_of(dataclasses.replace(vote, replayed=replayed))
    assert len(largest.data) > DEVELOPMENT.max_transaction_bytes
    check_envelope(Signed.decode(largest.data), DEVELOPMENT, GENESIS, NOW)
    small = dataclasses.replace(DEVELOPMENT, max_transaction_bytes=100)
    with pytest.raises(TransactionTooLarge, match="at most 100 bytes for transfer"):
        check_envelope(signed_of(examples["transfer"]), small, GENESIS, NOW)
    with pytest.raises(InvalidEncoding, match="at most 1000 bytes"):
        Signed.decode(largest.data, 1000)


def test_only_the_senders_key_signs_and_only_a_valid_body(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    body = signed_of(examples["transfer"]).body
    with pytest.raises(InvalidSignature):
        sign(body, Key(b"\x02" * 32))
    key = Key(b"\x01" * 32)
    for wrong in (
        {"salt": ""},
        {"expires": -1},
        {"kind": "cancel_job"},
        {"kind": "mint"},
        {"payload": Transfer(key.address, -1)},
    ):
        with pytest.raises(InvalidEncoding):
            sign(dataclasses.replace(body, **wrong), key)


def test_a_body_is_read_from_json_objects_too(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    for payload in examples.values():
        signed = signed_of(payload)
        assert Signed.from_object(signed.to_object()) == signed
        assert Body.from_object(signed.to_object()["body"]) == signed.body


def test_what_is_wrong_in_an_object_is_named_from_the_transaction_s_root(
    examples: dict[str, Payload], signed_of: SignedOf
) -> None:
    obj = signed_of(examples["transfer"]).to_object()
    payload = obj["body"]["payload"] | {"amount": "5"}
    for change, where in (({"salt": 1}, "body.salt"), ({"payload": payload}, "body.payload.amount")):
        with pytest.raises(InvalidEncoding) as refusal:
            Signed.from_object(obj | {"body": obj["body"] | change})
        assert refusal.value.where == where


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_a_chain_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ChainError):
        Signed.decode(data)


def test_changed_bytes_raise_a_chain_error_and_nothing_else(examples: dict[str, Payload], signed_of: SignedOf) -> None:
    originals = [signed_of(payload).data for payload in examples.values()]

    @given(st.sampled_from(originals), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
    def spoil(data: bytes, place: int, change: int, cut: int) -> None:
        place %= len(data)
        changed = data[:place] + bytes((data[place] ^ change,)) + data[place + 1 + cut :]
        with pytest.raises(ChainError):
            check_envelope(Signed.decode(changed), DEVELOPMENT, GENESIS, NOW)

    spoil()
