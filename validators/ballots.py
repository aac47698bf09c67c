"""The validator's own record of how it voted on candidates: written, synced, before a vote is sent.

A validator that was killed between writing and sending sends the identical bytes again; it never signs an approval
beside a rejection of the same candidate.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from chain.errors import ChainError
from chain.state import Job, record_digest
from chain.transactions import Signed, VoteModel
from runtime.files import atomic_write
from runtime.logs import get_logger

log = get_logger("validators.ballots")


class Ballots:
    """One folder, one file per job, attempt, candidate, record and version compared with: what a vote binds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def cast(self, job: Job, compared: int) -> Signed | None:
        """The newest vote signed for the job's candidate as it is up now, compared with this version; None if there
        is none. A file that is no vote (it can only be a disk's fault) counts as none after a word in the log."""
        if job.candidate is None:
            return None
        path = self._path(job.id, job.attempt, job.candidate.artifact, record_digest(job), compared)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Signed.decode(data)
        except ChainError as error:
            log.error("ballot unreadable", path=str(path), error=str(error))
            return None

    def record(self, signed: Signed) -> None:
        """Write a vote to disk, synced; only then may it be sent."""
        vote = signed.body.payload
        if not isinstance(vote, VoteModel):
            raise TypeError(f"a ballot is a vote_model, not a {signed.body.kind}")
        path = self._path(vote.job, vote.attempt, vote.candidate, vote.record, vote.compared)
        atomic_write(path, signed.data)

    def _path(self, job: str, attempt: int, candidate: str, record: str, compared: int) -> Path:
        name = hashlib.sha256(f"{job}\n{attempt}\n{candidate}\n{record}\n{compared}".encode()).hexdigest()
        return self._folder / f"{name}.cbor"
