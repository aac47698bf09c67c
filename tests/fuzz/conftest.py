"""The fixtures of a coordinator on a real network, and no warnings kept: a test of routes makes tens of thousands, and
measures its own memory."""

from __future__ import annotations

import logging

import pytest

from tests.coordinator.conftest import iris, network

__all__ = ["iris", "network"]


@pytest.fixture(autouse=True)
def errors_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Refusals are what is asked for: they are logged, and pytest would hold every line until the test's end."""
    caplog.set_level(logging.ERROR)
