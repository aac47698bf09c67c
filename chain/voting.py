"""A validator's memory of its checkpoint votes: written to disk, synced, before a vote is sent.

Two votes that break the rules of :mod:`chain.finality` cost a validator its stake, and forgetting one is how
an honest validator comes to cast them.  So the file belongs to one process at a time, nothing is sent before
it is on the disk, and a key whose file is lost must not vote again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from chain.errors import InvalidEncoding
from chain.finality import may_follow
from chain.rules import ALL_RULES, Rules
from chain.schema import Address, Hash, from_object, to_object
from chain.transactions import VoteCheckpoint
from runtime import strict_json
from runtime.files import FILES, Files, atomic_write

_FORMAT = 2


class VoteFileError(RuntimeError):
    """The vote file is missing, damaged, another key's, or in use by another process."""


class VoteRefusedError(RuntimeError):
    """A vote that would break the rules together with one already cast."""


class VoteFile:
    """The newest checkpoint vote of one validator, locked to this process until :meth:`close`.

    The file is JSON: ``{"format", "validator", "genesis", "vote"}``, the vote's hashes and heights or null, and the
    id of the genesis block of the network that it was cast on, once that is known.  A context manager.
    """

    def __init__(
        self,
        path: Path | str,
        validator: str,
        *,
        create: bool = False,
        rules: Rules = ALL_RULES,
        files: Files = FILES,
    ) -> None:
        """Lock and read the file of ``validator``; with ``create`` make it, for a key that has never voted.

        Raises :class:`VoteFileError`: without ``create`` when it is missing, with it when it is there
        already.
        """
        self._path = Path(path)
        self.validator = Address(validator)
        self.rules = rules
        self._files = files
        self._last: VoteCheckpoint | None = None
        self._genesis: Hash | None = None
        self._lock: int | None = self._take_lock()
        try:
            if create:
                self._create()
            else:
                self._genesis, self._last = self._read()
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> VoteCheckpoint | None:
        """The newest vote cast, None before the first."""
        return self._last

    def bind(self, genesis: str) -> None:
        """Say which network is voted on, by its genesis block's id; the next vote is written with it.

        Raises :class:`VoteFileError` where the votes are another network's: they would keep the key silent on this
        one, without a word, until it is as high.
        """
        if self._genesis is not None and self._genesis != genesis:
            raise VoteFileError(
                f"{self._path} has the votes of {self.validator} on the network of genesis {self._genesis}, the node's "
                f"is {genesis}: name the node of that network, or start this validator in a folder of its own with a "
                "key that is new here"
            )
        self._genesis = Hash(genesis)

    def record(self, vote: VoteCheckpoint) -> None:
        """Remember that ``vote`` is cast; it is on the disk when this returns, and may be sent.

        The newest vote itself may be recorded (and so sent) again.  Raises :class:`VoteRefusedError` for one
        that may not follow it; nothing is written then.
        """
        if self._lock is None:
            raise VoteFileError(f"{self._path} is closed: open it again before voting")
        if vote == self._last:
            return
        if not may_follow(vote, self._last, self.rules):
            last = self._last and (self._last.source_height, self._last.target_height)
            raise VoteRefusedError(
                f"{self.validator} may not vote from height {vote.source_height} to {vote.target_height} after "
                f"{last}: expected a higher target, and a source below it and no lower than before; wait for a "
                "higher head"
            )
        self._write(vote)
        self._last = vote

    def close(self) -> None:
        """Let other processes use the file."""
        if self._lock is not None:
            self._files.unlock(self._lock)
            self._lock = None

    def __enter__(self) -> VoteFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_lock(self) -> int:
        try:
            return self._files.lock(self._path.with_name(f"{self._path.name}.lock"))
        except BlockingIOError as error:
            raise VoteFileError(
                f"{self._path} is {error}: a validator's key votes in one process at a time; "
                "stop the other one, or give this one a key of its own"
            ) from None

    def _create(self) -> None:
        try:
            self._files.read(self._path)
        except FileNotFoundError:
            self._write(None)
            return
        raise VoteFileError(f"{self._path} exists: it holds votes of a key; open it without create")

    def _read(self) -> tuple[Hash | None, VoteCheckpoint | None]:
        try:
            data = self._files.read(self._path)
        except FileNotFoundError:
            raise VoteFileError(
                f"{self._path} is missing: without it {self.validator} may contradict a vote it has "
                "forgotten. Restore the file, or make a new key and have it admitted; only a key that never "
                "voted may start an empty one"
            ) from None
        with self._explained():
            found = strict_json.loads(data)
            if not isinstance(found, dict) or found.keys() != {"format", "validator", "genesis", "vote"}:
                raise ValueError("expected the fields format, validator, genesis and vote")
            if found["format"] != _FORMAT:
                raise ValueError(f"expected format {_FORMAT}, found {found['format']!r}")
            genesis = found["genesis"]
            if genesis is not None and not (isinstance(genesis, str) and re.fullmatch(r"[0-9a-f]{64}", genesis)):
                raise ValueError(f"expected the id of a genesis block or null, found {genesis!r}")
            if found["validator"] != self.validator:
                raise ValueError(f"expected the votes of {self.validator}, found those of {found['validator']!r}")
            vote = None if found["vote"] is None else from_object(VoteCheckpoint, found["vote"])
        # A process that was killed between naming the file and syncing its folder has left a vote that a power cut
        # would take away again. It may be sent from now on, so it has to stay.
        self._files.sync(self._path)
        self._files.sync(self._path.parent)
        return None if genesis is None else Hash(genesis), vote

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, InvalidEncoding) as error:
            raise VoteFileError(
                f"{self._path} is not this validator's vote file: {error}. Restore the newest one, or make a new key"
            ) from error

    def _write(self, vote: VoteCheckpoint | None) -> None:
        content = {
            "format": _FORMAT,
            "validator": self.validator,
            "genesis": self._genesis,
            "vote": None if vote is None else to_object(vote),
        }
        atomic_write(self._path, (json.dumps(content, sort_keys=True) + "\n").encode(), mode=0o600, files=self._files)
