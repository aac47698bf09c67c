"""A task whose broker is gone when it is done: the consumer is told, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workers import requests
from workers.requests import Request


class Hub:
    """The consumer's loop."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, callback: Any, *given: Any) -> None:
        self.soon.append((callback, given))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(requests, "get_event_loop", lambda: hub)
    return hub


def request_of(acknowledge: Any) -> Request:
    found = Request.__new__(Request)
    found._message = SimpleNamespace(ack=acknowledge)
    found._connection_errors = (ConnectionError,)
    return found


def test_it_is_acknowledged_once(hub: Hub) -> None:
    told: list[None] = []
    request = request_of(lambda: told.append(None))
    request.acknowledge()
    request.acknowledge()
    assert len(told) == 1
    assert hub.soon == []


def test_a_lost_connection_is_the_consumer_s_to_mend(hub: Hub) -> None:
    lost = ConnectionError("nobody listens")

    def acknowledge() -> None:
        raise lost

    request = request_of(acknowledge)
    request.acknowledge()
    request.acknowledge()
    ((callback, given),) = hub.soon
    with pytest.raises(ConnectionError, match="nobody listens"):
        callback(*given)


def test_any_other_mistake_is_not_hidden(hub: Hub) -> None:
    def acknowledge() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        request_of(acknowledge).acknowledge()
    assert hub.soon == []
