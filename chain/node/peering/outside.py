"""What the protocol calls outside of itself."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Where lines for operators go."""

    def __call__(self, event: str, /, **fields: object) -> None: ...


class Dropped(Protocol):
    """Told when a connection ends by our decision."""

    def __call__(self, peer: str, reason: str, /) -> None: ...


def quiet(_event: str, /, **_fields: object) -> None:
    """No log."""


def nobody(_peer: str, _reason: str, /) -> None:
    """Nobody to tell."""
