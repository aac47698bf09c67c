"""What can be wrong with the data, specs, artifacts and environments handed to the learning code.

Every message says what was expected, what came and what to do about it; ``code`` is what a program reads (a
worker's failure report carries it to the chain).
"""

from __future__ import annotations

from typing import ClassVar


class LearningError(Exception):
    """Base of all errors of this room; ``str(error)`` is the message for a person."""

    code: ClassVar[str] = "learning_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidData(LearningError):  # noqa: N818 - the name as the reports carry it
    """A dataset, manifest, statistics file or row to predict is not what it must be."""

    code = "invalid_data"


class InvalidSpec(LearningError):  # noqa: N818 - the name as the reports carry it
    """An estimator spec, a partitioning, a metric or a fraction is unknown or out of range."""

    code = "invalid_spec"


class InvalidArtifact(LearningError):  # noqa: N818 - the name as the reports carry it
    """A model's bytes are not a canonical artifact, or not one that fits this job."""

    code = "invalid_artifact"


class WrongEnvironment(LearningError):  # noqa: N818 - the name as the reports carry it
    """This process computes in another numeric environment than the one that is required."""

    code = "wrong_environment"
