"""Wallets: a folder of Ethereum V3 keystores, and the password that opens them.

Format: https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/, which any
Ethereum wallet opens. The wallets of one folder share one random password, kept beside them in `.password`,
readable by its owner alone: whoever reads the folder has the keys. So the password's stretching is light
(PBKDF2, 10,000 rounds): it protects a keystore that is copied without the password, no more. Keys that are
worth more belong in keystores with a password of their own: `open_keystore`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from chain.errors import PasswordMissing, PasswordWrong, WalletError
from chain.keys import ORDER, Key
from chain.schema import Address
from runtime import strict_json

#: With the password of a folder's keystores.
PASSWORD_FILE = ".password"  # noqa: S105 - a name
ITERATIONS = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"(?:0x)?([0-9a-f]{40})")
_MAX_BYTES = 64 * 1024
#: What a keystore may ask for before its password is known to be right: rounds of PBKDF2; of scrypt bytes of memory
#: (128 n r), work (n r p) and width (r p). Geth's costliest take 262,144 rounds; 2^28 bytes, 2^21 and 8.
MAX_ROUNDS = 2_000_000
MAX_SCRYPT_BYTES = 2**28
MAX_SCRYPT_WORK = 2**22
MAX_SCRYPT_WIDTH = 128


def generate() -> Key:
    """A new key from the system's randomness."""
    while True:
        secret = secrets.token_bytes(32)
        if 0 < int.from_bytes(secret, "big") < ORDER:
            return Key(secret)


def open_keystore(path: Path, password: str, source: str = "the keystore's password") -> Key:
    """The key of any V3 keystore (PBKDF2 or scrypt); `source` says in errors where its password is from.

    Raises WalletError.
    """
    content = _read_keystore(path)
    _check_stretching(content, path)
    try:
        key = Key(_keyfile().decode_keyfile_json(content, password.encode()))
    except ValueError as error:  # among it that the password is another
        raise PasswordWrong(source, f"one that does not open it ({error})", str(path)) from error
    # The library asserts and takes apart what it has not looked at.
    except (TypeError, KeyError, NotImplementedError, AssertionError, AttributeError) as error:
        raise WalletError("an Ethereum V3 keystore", f"one that cannot be opened ({error})", str(path)) from error
    if key.address != _address_of(content, path):
        raise WalletError(f"the key of {_address_of(content, path)}", f"that of {key.address}", str(path))
    return key


def _keyfile() -> ModuleType:
    """The library for keystores, imported when a wallet is opened: it takes 0.4 s.

    What it imports raises the interpreter's recursion limit to a depth at which hostile JSON overflows the real stack
    and ends the process; the limit is put back.
    """
    limit = sys.getrecursionlimit()
    import eth_keyfile

    sys.setrecursionlimit(limit)
    keyfile: ModuleType = eth_keyfile
    return keyfile


class Wallets:
    """The wallets of one folder, by name (`NAME.json`). Several processes may use it at a time."""

    def __init__(self, folder: Path | str) -> None:
        """The folder is made (for its owner alone) with the first wallet."""
        self.folder = Path(folder)

    def create(self, name: str) -> Key:
        """A new key under this name. Raises WalletError where the name is taken or no name."""
        return self.add(name, generate())

    def add(self, name: str, key: Key) -> Key:
        """Keep a key under this name. Raises WalletError where the name is taken or no name."""
        path = self._path(name)
        self._make_password()
        password = self._password()
        content = _keyfile().create_keyfile_json(key.secret, password.encode(), kdf="pbkdf2", iterations=ITERATIONS)
        if not _create(path, (json.dumps(content, indent=2) + "\n").encode()):
            raise WalletError("a name that is free", f"the wallet {name}", str(path))
        return key

    def load(self, name: str) -> Key:
        """The key under this name. Writes nothing. Raises WalletError."""
        path = self._path(name)
        _read_keystore(path)  # a missing wallet is said before a missing password
        return open_keystore(path, self._password(), f"the keystore's password in {self.folder / PASSWORD_FILE}")

    def ensure(self, name: str) -> Key:
        """The key under this name, a new one where there is none yet. Raises WalletError."""
        if not self._path(name).exists():
            try:
                return self.create(name)
            except WalletError:
                if not self._path(name).exists():  # else another process was faster: its key counts
                    raise
        return self.load(name)

    def list(self) -> tuple[str, ...]:
        """The names, sorted."""
        names = (path.stem for path in self.folder.glob("*.json"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def addresses(self) -> Mapping[str, Address]:
        """Name to address, read without the password. Raises WalletError for a file that is no keystore."""
        return {name: self.address(name) for name in self.list()}

    def address(self, name: str) -> Address:
        """The address of one wallet, read without the password. Raises WalletError."""
        path = self._path(name)
        return _address_of(_read_keystore(path), path)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise WalletError("a wallet's name of a-z, 0-9, then also . _ -", repr(name[:80]))
        return self.folder / f"{name}.json"

    def _make_password(self) -> None:
        """A password, where there is none, for a folder without keystores. A new one beside keystores would open none
        of them, and would lock out what is made with it once the right one is back."""
        try:
            if not any(self.folder.glob("*.json")):  # whoever makes the first keystore has made the password
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _create(self.folder / PASSWORD_FILE, (secrets.token_hex(32) + "\n").encode())
        except OSError as error:
            raise WalletError("a folder for wallets that can be written", str(error)) from error

    def _password(self) -> str:
        """The folder's password."""
        path = self.folder / PASSWORD_FILE
        try:
            if not path.exists():
                raise PasswordMissing(f"{path}, the password of the keystores beside it", "no such file")
            return path.read_text().strip()
        except OSError as error:
            raise WalletError("a folder for wallets that can be read", str(error)) from error
        except UnicodeDecodeError as error:
            raise PasswordWrong("the password of the keystores beside it", f"no text ({error})", str(path)) from error


def _create(path: Path, content: bytes) -> bool:
    """Write a new private file, whole or not at all; False where there is one already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename it never replaces
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        return False
    except OSError as error:
        raise WalletError("a folder for wallets that can be written", str(error), str(path)) from error
    return True


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise WalletError("an existing wallet", f"no file {path}") from error
    except OSError as error:
        raise WalletError("a wallet that can be read", str(error), str(path)) from error
    try:
        content = strict_json.loads(data)
    except ValueError as error:
        raise WalletError("an Ethereum V3 keystore", "a file that is no JSON", str(path)) from error
    if not isinstance(content, dict) or content.get("version") != 3:
        raise WalletError("an Ethereum V3 keystore", "a JSON file of another kind", str(path))
    return content


def _check_stretching(content: dict[str, Any], path: Path) -> None:
    """Whether deriving the key takes seconds and not days; whoever wrote the file chose the numbers."""
    crypto = next((value for name, value in content.items() if name.lower() == "crypto"), None)
    fields = {name.lower(): value for name, value in crypto.items()} if isinstance(crypto, dict) else {}
    params = fields.get("kdfparams")
    numbers = {name.lower(): value for name, value in params.items()} if isinstance(params, dict) else {}
    wanted = {"pbkdf2": ("c", "dklen"), "scrypt": ("n", "r", "p", "dklen")}.get(str(fields.get("kdf")), ())
    found = [numbers.get(name) for name in wanted]
    if not wanted or not all(type(value) is int and value > 0 for value in found):
        raise WalletError("a keystore with PBKDF2 or scrypt and their numbers", "another kind of file", str(path))
    *cost, length = (int(value or 0) for value in found)
    if len(cost) == 1:
        affordable = cost[0] <= MAX_ROUNDS
    else:
        n, r, p = cost
        affordable = 128 * n * r <= MAX_SCRYPT_BYTES and n * r * p <= MAX_SCRYPT_WORK and r * p <= MAX_SCRYPT_WIDTH
    if not affordable or not 32 <= length <= 64:
        raise WalletError(
            f"a keystore that opens with at most {MAX_ROUNDS} rounds of PBKDF2, or with scrypt in {MAX_SCRYPT_BYTES} "
            f"bytes, a work of {MAX_SCRYPT_WORK} and a width of {MAX_SCRYPT_WIDTH}; its derived key has 32 to 64 bytes",
            ", ".join(f"{name} = {str(value)[:20]}" for name, value in zip(wanted, found, strict=True)),
            str(path),
        )


def _address_of(content: dict[str, Any], path: Path) -> Address:
    match = _ADDRESS.fullmatch(str(content.get("address", "")).lower())
    if match is None:
        raise WalletError("a keystore that names its address", repr(content.get("address"))[:80], str(path))
    return Address("0x" + match[1])
