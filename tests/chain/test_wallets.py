"""Wallets are keystores that any Ethereum wallet opens, in a private folder."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from eth_account import Account

from chain.errors import PasswordMissing, PasswordWrong, WalletError
from chain.keys import Key
from chain.wallets import Wallets, generate, open_keystore


@pytest.fixture
def wallets(tmp_path: Path) -> Wallets:
    return Wallets(tmp_path / "wallets")


def test_a_wallet_is_loaded_as_it_was_created(wallets: Wallets) -> None:
    assert wallets.list() == ()
    created = {name: wallets.create(name).address for name in ("worker-1", "alice")}
    assert wallets.list() == ("alice", "worker-1")
    assert wallets.addresses() == created
    assert {name: Wallets(wallets.folder).load(name).address for name in created} == created
    assert wallets.ensure("alice").address == created["alice"]
    assert wallets.ensure("bob").address == wallets.load("bob").address


def test_the_files_are_private(wallets: Wallets) -> None:
    wallets.create("alice")
    assert stat.S_IMODE(wallets.folder.stat().st_mode) == 0o700
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in wallets.folder.iterdir()}
    assert names == {".password": 0o600, "alice.json": 0o600}


def test_eth_account_opens_it(wallets: Wallets) -> None:
    key = wallets.create("alice")
    content = json.loads((wallets.folder / "alice.json").read_text())
    password = (wallets.folder / ".password").read_text().strip()
    assert bytes(Account.decrypt(content, password)) == key.secret


def test_a_keystore_of_somebody_else_opens_with_its_password(tmp_path: Path) -> None:
    secret = bytes(range(1, 33))
    content = Account.encrypt(secret, "correct horse", kdf="scrypt", iterations=2)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(content))
    assert open_keystore(path, "correct horse").address == Key(secret).address
    with pytest.raises(PasswordWrong, match="Give the password that the keystore was made with"):
        open_keystore(path, "wrong")
    path.write_text(json.dumps(content | {"address": "00" * 20}))
    with pytest.raises(WalletError, match="expected the key of 0x0000"):
        open_keystore(path, "correct horse")


def test_a_name_is_given_once(wallets: Wallets) -> None:
    first = wallets.create("alice")
    with pytest.raises(WalletError, match="a name that is free"):
        wallets.create("alice")
    assert wallets.load("alice").address == first.address


@pytest.mark.parametrize("name", ["", "../alice", "a/b", ".password", "Alice", "x" * 65, "a\n", "a\x00"])
def test_other_names_touch_no_file(name: str, wallets: Wallets) -> None:
    for use in (wallets.create, wallets.load, wallets.ensure, wallets.address):
        with pytest.raises(WalletError, match="wallet's name"):
            use(name)
    assert not wallets.folder.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 60_000, '{"version": 1}', '{"version": 3}', "\udcff"])
def test_other_files_are_refused(content: str, wallets: Wallets) -> None:
    with pytest.raises(WalletError, match="no file"):
        wallets.load("alice")
    assert not wallets.folder.exists()
    wallets.create("bob")
    (wallets.folder / "alice.json").write_bytes(content.encode(errors="surrogateescape"))
    for use in (wallets.load, wallets.address):
        with pytest.raises(WalletError):
            use("alice")


def test_keystores_without_their_password_get_no_new_one(wallets: Wallets) -> None:
    """`cp wallets/* backup/` leaves `.password` out. A new one in its place would open nothing, and what is made with
    it would be locked out once the right one is back."""
    address = wallets.create("alice").address
    password = wallets.folder / ".password"
    content = password.read_bytes()
    password.unlink()
    for use in (lambda: wallets.load("alice"), lambda: wallets.ensure("alice"), lambda: wallets.ensure("bob")):
        with pytest.raises(PasswordMissing, match=f"expected {password}, .*no such file. Restore it from the backup"):
            use()
    assert [path.name for path in wallets.folder.iterdir()] == ["alice.json"]
    password.write_bytes(content)
    assert wallets.load("alice").address == address


def test_a_password_that_does_not_fit_is_named_by_its_file(wallets: Wallets) -> None:
    wallets.create("alice")
    password = wallets.folder / ".password"
    for other in (b"another\n", b"\xff"):
        password.write_bytes(other)
        with pytest.raises(PasswordWrong, match=r"wallets/\.password.*restore that from the same backup"):
            wallets.load("alice")


def test_many_at_once_get_one_wallet(wallets: Wallets) -> None:
    barrier, addresses = threading.Barrier(4), []

    def ensure() -> None:
        barrier.wait(10)
        addresses.append(wallets.ensure("shared").address)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(addresses) == 4
    assert len(set(addresses)) == 1
    assert sorted(path.name for path in wallets.folder.iterdir()) == [".password", "shared.json"]


def test_generated_keys_differ() -> None:
    assert len({generate().address for _ in range(20)}) == 20


def test_opening_a_wallet_leaves_the_recursion_limit_as_it_was(tmp_path: Path) -> None:
    """In a process of its own: the library is imported once, and another test may have done so."""
    program = (
        "import sys; before = sys.getrecursionlimit()\n"
        "from chain.wallets import Wallets; Wallets(sys.argv[1]).ensure('a')\n"
        "assert sys.getrecursionlimit() == before, sys.getrecursionlimit()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("kdf", "changes"),
    [
        ("pbkdf2", {"c": 10**12}), ("pbkdf2", {"c": True}), ("pbkdf2", {"c": -1}), ("pbkdf2", {"c": 1.5}),
        ("pbkdf2", {"dklen": 2**31}), ("pbkdf2", {"dklen": 0}), ("pbkdf2", {"prf": "hmac-md5"}), ("pbkdf2", {"prf": 1}),
        ("scrypt", {"n": 2**30}), ("scrypt", {"r": 2**20}), ("scrypt", {"p": 2**24}), ("scrypt", {"n": None}),
    ],
)  # fmt: skip
def test_a_keystore_cannot_ask_for_days_of_hashing(tmp_path: Path, kdf: str, changes: dict[str, object]) -> None:
    content = Account.encrypt(bytes(range(1, 33)), "password", kdf=kdf, iterations=2)
    content["crypto"]["kdfparams"].update(changes)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(content))
    with pytest.raises(WalletError):
        open_keystore(path, "password")
