"""The coordinator's network, for its routes under attack."""

from __future__ import annotations

from tests.coordinator.conftest import iris, network

__all__ = ["iris", "network"]
