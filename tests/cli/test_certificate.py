"""`assay certificate verify`: offline, in a process of its own that may open no connection."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chain.attestations import Statement, attest
from chain.blockchain import Blockchain
from chain.certificates import Certificate, certify
from chain.encoding import cid_of
from chain.keys import Key
from chain.params import DEVELOPMENT, Genesis
from chain.schema import Cid, Hash, to_object
from chain.state import ValidatorSet
from chain.state.electorate import PendingSet
from chain.state.membership import Admitted, Membership

ROOT = Path(__file__).parents[2]
KEYS = [Key(bytes([number]) * 32) for number in range(1, 5)]
MEMBERS = tuple(sorted(key.address for key in KEYS))
GENESIS = Genesis("development", 1_700_000_000_000, MEMBERS, (), "certificates")
NETWORK = Blockchain(GENESIS, DEVELOPMENT).genesis_id

#: Any attempt to reach another machine, or a service on this one, ends the process.
OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        sys.stderr.write(f"{event}{arguments}\\n")
        import os; os._exit(99)
sys.addaudithook(refuse)
from cli.main import main
main(sys.argv[1:])
"""


def made(count: int = 3, serial: int = 0, score: int = 930_000) -> Certificate:
    said = Statement(
        Hash(NETWORK), serial, "iris", 1, Cid(cid_of(b"candidate")), Cid(cid_of(b"dataset")), "accuracy", score
    )
    validators = ValidatorSet(serial, MEMBERS, (1, 1, 1, 1))
    return certify(said, validators, [(key.address, attest(said, key)) for key in KEYS[:count]])


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Verify a certificate (or the bytes of a file) with these options: exit status, standard output and error."""

    def verify(certificate: Certificate | bytes, *options: str) -> tuple[int, str, str]:
        data = certificate.to_json() if isinstance(certificate, Certificate) else certificate
        (tmp_path / "certificate").write_bytes(data)
        command = [sys.executable, "-c", OFFLINE, "certificate", "verify", str(tmp_path / "certificate"), *options]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return verify


@pytest.fixture
def known(tmp_path: Path) -> Any:
    """A file with this content."""

    def write(content: Any) -> str:
        path = tmp_path / "known.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def shown(serial: int = 0, weights: tuple[int, ...] = (1, 1, 1, 1)) -> dict[str, Any]:
    """A set as the coordinator shows it."""
    validators = [{"address": a, "weight": w} for a, w in zip(MEMBERS, weights, strict=True)]
    return {"serial": serial, "validators": validators, "quorum": {"weight": 3, "of": 4}}


ADDRESSES = ",".join(MEMBERS)


def test_a_good_one_holds_and_is_described(run: Any) -> None:
    status, out, err = run(made(), "--validators", ADDRESSES)
    assert (status, err) == (0, "")
    for text in ("iris version 1", "0.930000 (accuracy)", "weight 3 of 4", NETWORK, MEMBERS[0], "VALID"):
        assert text in out


def test_it_is_read_in_both_forms(run: Any) -> None:
    assert run(made().to_bytes(), "--validators", ADDRESSES)[0] == 0
    assert run(json.dumps(made().to_document(), indent=8).encode(), "--validators", ADDRESSES)[0] == 0


def test_validators_come_from_a_genesis_file_and_bind_its_network(run: Any, known: Any) -> None:
    assert run(made(), "--validators", known(GENESIS.to_json()))[0] == 0
    other = Genesis("development", 1_700_000_000_001, MEMBERS, (), "another network, the same people")
    status, _, err = run(made(), "--validators", known(other.to_json()))
    assert status == 1
    assert NETWORK in err


@pytest.mark.parametrize(
    "content",
    [
        shown(), [shown(), shown()], {"value": {"serial": 0, "members": list(MEMBERS), "weights": [1, 1, 1, 1]}},
        {"serial": 0, "members": list(MEMBERS), "weights": [1, 1, 1, 1]},
    ],
)  # fmt: skip
def test_validators_come_from_what_the_services_show(run: Any, known: Any, content: Any) -> None:
    assert run(made(), "--validators", known(content))[0] == 0


@pytest.mark.parametrize("wrapped", [False, True])
def test_validators_come_from_what_validators_list_prints_and_are_those_in_force(
    run: Any, known: Any, wrapped: bool
) -> None:
    """`assay validators list --json` prints it; a node's GET /membership has the same with where it stands."""
    later = PendingSet(ValidatorSet(1, MEMBERS[:3], (1, 1, 1)), "joint", 9)
    admitted = tuple(Admitted(who, 1, 0, 0) for who in MEMBERS)
    printed = to_object(Membership("member", ValidatorSet(0, MEMBERS, (1, 1, 1, 1)), later, admitted, 0))
    file = known({"height": 9, "value": printed} if wrapped else printed)
    assert run(made(), "--validators", file)[0] == 0
    status, _, err = run(made(serial=1), "--validators", file)
    assert (status, "set 0, which is known here" in err) == (1, True)


def test_sets_older_than_the_newest_known_are_refused(run: Any, known: Any) -> None:
    assert run(made(serial=1), "--validators", ADDRESSES, "--newest-serial", "1")[0] == 0
    status, _, err = run(made(), "--validators", ADDRESSES, "--newest-serial", "1")
    assert status == 1
    assert "set 1 or a later one" in err
    assert run(made(), "--validators", known([shown(0), shown(1)]))[0] == 1
    assert run(made(serial=1), "--validators", known([shown(0), shown(1)]))[0] == 0


def test_json_says_why_not(run: Any) -> None:
    status, out, _ = run(made(count=2), "--validators", ADDRESSES, "--json")
    assert status == 1
    assert json.loads(out)["valid"] is False
    assert json.loads(out)["code"] == "below_quorum"
    status, out, _ = run(made(), "--validators", ADDRESSES, "--json")
    assert status == 0
    assert json.loads(out)["valid"] is True
    assert json.loads(out)["statement"]["score"] == "930000"


def test_other_people_s_certificate_is_refused(run: Any) -> None:
    status, out, _ = run(made(), "--validators", ",".join(MEMBERS[:3]), "--json")
    assert (status, json.loads(out)["code"]) == (1, "wrong_members")


def test_a_changed_one_is_refused(run: Any) -> None:
    document = made().to_document()
    document["statement"]["score"] = "990000"
    status, out, _ = run(json.dumps(document).encode(), "--validators", ADDRESSES, "--json")
    assert (status, json.loads(out)["code"]) == (1, "false_attestation")


@pytest.mark.parametrize("data", [b"", b"{", b"hello", b"{}", b"\x00" * 100, b" " * 300_000, b"[" * 100_000])
def test_what_is_no_certificate_is_said_to_be_none(run: Any, data: bytes) -> None:
    status, _, err = run(data, "--validators", ADDRESSES)
    assert status == 1
    assert "certificate: expected an adoption certificate, in JSON or DAG-CBOR, found another" in err
    assert "get a whole copy of it from whoever made it" in err
    assert "Encode it again" not in err


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\xff", b"{}", b"[1", json.dumps({"balances": {}}).encode(), made().to_json()]
)
def test_what_is_no_genesis_is_said_to_be_none(run: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "genesis.json"
    path.write_bytes(content)
    status, _, err = run(made(), "--validators", ADDRESSES, "--genesis", str(path))
    assert status == 1
    assert f"{path}: expected a genesis file, as `assay network init` writes it, found another" in err
    assert "get a whole copy of it" in err
    assert "Encode it again" not in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected JSON"), ("nonsense", "expected JSON"), ("[" * 100_000, "nested"),
        ("[]", "expected"), ("{}", "found an object with nothing in it"), ("[[]]", "found a list of 0"),
        ("7", "found 7"), (made().to_json().decode(), "found an object with attestations, format, members, statement"),
        ({"serial": 0, "members": [], "weights": []}, "at least one member"), ({"balances": 1}, "genesis file"),
        ({"serial": 0, "validators": [1]}, "validators: expected a list of objects, found a list of 1"),
        ({"serial": 0, "validators": "all"}, 'validators: expected a list of objects, found "all"'),
        ({"serial": 0, "validators": [{"address": MEMBERS[0]}]}, "validators: expected an address and a weight"),
        ({"validators": [{"address": MEMBERS[0], "weight": 1}]}, "serial: expected the number of the set"),
        ({"serial": "0", "members": [], "weights": []}, "serial: expected an integer of 64 bits, found '0'"),
    ],
)  # fmt: skip
def test_a_file_without_validators_is_said_to_have_none(run: Any, known: Any, content: Any, said: str) -> None:
    status, _, err = run(made(), "--validators", known(content))
    assert status == 1
    assert "expected" in err
    assert said in err
    assert "indices" not in err
    assert "Encode it again" not in err


def test_an_address_with_a_wrong_digit_is_not_taken_for_somebody_else(run: Any) -> None:
    status, _, err = run(made(), "--validators", "0x7E5f4552091A69125d5DfCb7b8C2659029395Bdf")
    assert (status, "a character is wrong" in err) == (1, True)


def test_the_network_can_be_named(run: Any, known: Any) -> None:
    assert run(made(), "--validators", ADDRESSES, "--genesis", NETWORK)[0] == 0
    assert run(made(), "--validators", ADDRESSES, "--genesis", known(GENESIS.to_json()))[0] == 0
    assert run(made(), "--validators", ADDRESSES, "--genesis", "cd" * 32)[0] == 1
    assert run(made(), "--validators", ADDRESSES, "--genesis", "nothing")[0] == 1
    assert run(made(), "--validators", "nothing")[0] == 1
    assert run(made(), "--validators", f"{MEMBERS[0]},{MEMBERS[0]}")[0] == 1
