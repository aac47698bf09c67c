"""What validators say: their votes on candidates and on checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from chain.errors import InvalidField
from chain.params import Params
from chain.payload_types import Asked, Attempt, Count, Named, Payload, Reason
from chain.schema import Cid, Hash


@dataclass(frozen=True)
class VoteModel(Payload):
    """A validator's verdict on a candidate, bound to everything it judged but to no block."""

    kind: ClassVar[str] = "vote_model"

    job: Cid
    attempt: Attempt
    candidate: Cid
    compared: Count
    """Number of the version in service it was compared with; 0: there was none."""
    record: Hash
    """Digest of the attempt's record: seed, ids of all updates and aggregates, bases."""
    decision: Literal["approve", "reject", "unavailable"]
    score: int | None
    baseline: int | None
    """Score of the version compared with, on the same holdout."""
    replayed: Named
    """Ids of the updates whose replay gave the same bytes."""
    disproved: Named
    """Ids of updates and aggregates that did not hold."""
    missing: Named
    """Content that could not be had."""
    asked: Asked
    mode: Literal["bytes", "none"]
    """How replays were compared: byte for byte, or not at all."""
    environment: Hash
    reason: Reason

    def check(self, params: Params) -> None:
        if self.decision == "approve":
            self._check_approval()
        elif self.decision == "unavailable" and not self.missing:
            raise InvalidField("the CIDs that were unavailable", "none", "missing")

    def _check_approval(self) -> None:
        if self.mode != "bytes" or not self.replayed:
            raise InvalidField("an approval after replaying every update", f"mode {self.mode}", "mode")
        if self.disproved or self.missing:
            where = "disproved" if self.disproved else "missing"
            raise InvalidField(
                "nothing disproved or missing in an approval", f"{len(self.disproved or self.missing)}", where
            )
        if self.score is None:
            raise InvalidField("the candidate's score in an approval", "none", "score")
        if (self.baseline is None) != (self.compared == 0):
            raise InvalidField(
                "a baseline exactly where a version was compared with",
                f"baseline {self.baseline} for version {self.compared}",
                "baseline",
            )


@dataclass(frozen=True)
class VoteCheckpoint(Payload):
    """A validator's vote that `target` follows from the justified `source` (Casper FFG). Never expires."""

    kind: ClassVar[str] = "vote_checkpoint"

    source: Hash
    source_height: Count
    target: Hash
    target_height: Count

    def check(self, params: Params) -> None:
        if self.source_height >= self.target_height:
            raise InvalidField(
                f"a target above its source at height {self.source_height}",
                str(self.target_height),
                "target_height",
            )
