"""What a validator's log says of its node and its place: once for each state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.client import NodeRefused, NodeUnavailable
from chain.keys import Key
from chain.state import ValidatorSet
from validators import service
from validators.contact import LONGEST_RETRY, REMIND, RETRY, Contact, Seat

KEYS = [Key(bytes([number]) * 32) for number in range(1, 5)]
MEMBERS = tuple(sorted(key.address for key in KEYS[:3]))
AWAY = NodeUnavailable("no node answers at http://x (connection refused); start it, or name another one")


BUSY = NodeRefused(429, {"code": "busy", "detail": "too many"})


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    caplog.set_level("INFO")

    def take() -> list[tuple[str, str]]:
        found = [(each.levelname, each.getMessage()) for each in caplog.records]
        caplog.clear()
        return found

    return take


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_node_that_is_away_is_said_once_whichever_thread_notices_and_so_is_its_return(
    said: Callable[[], list[tuple[str, str]]],
) -> None:
    clock = Time()
    contact = Contact(clock)
    for _ in range(10):
        contact.lost("votes on models", AWAY)
        contact.lost("attestations", AWAY)
    ((level, text),) = said()
    assert level == "WARNING"
    assert "no node: votes wait until it answers" in text
    assert str(AWAY) in text
    clock.now += 7
    contact.works("votes on models")
    assert said() == []
    contact.works("attestations")
    ((level, text),) = said()
    assert (level, "the node answers again" in text, "away=7.0" in text) == ("INFO", True, True)
    contact.works("attestations")
    assert said() == []
    contact.lost("attestations", AWAY)
    assert len(said()) == 1


def test_it_is_said_again_further_and_further_apart(said: Callable[[], list[tuple[str, str]]]) -> None:
    clock = Time()
    contact, at = Contact(clock), []
    for second in range(int(8 * REMIND)):
        clock.now = second
        contact.lost("attestations", AWAY)
        if said():
            at.append(second)
    assert at == [0, REMIND, 3 * REMIND, 7 * REMIND]


def test_it_is_asked_again_more_and_more_seldom_until_it_answers() -> None:
    contact = Contact(Time())
    waits = [contact.lost("attestations", AWAY) for _ in range(7)]
    assert waits == [RETRY, 2 * RETRY, 4 * RETRY, 8 * RETRY, LONGEST_RETRY, LONGEST_RETRY, LONGEST_RETRY]
    contact.works("attestations")
    assert contact.lost("attestations", AWAY) == RETRY


def test_a_node_that_goes_away_while_it_refuses_something_else_is_said_to_be_away_once(
    said: Callable[[], list[tuple[str, str]]],
) -> None:
    clock = Time()
    contact, told = Contact(clock), []
    for second in range(int(2 * REMIND)):
        clock.now = second
        contact.lost("votes on models", BUSY)
        if second == 5:
            contact.lost("checkpoint votes", AWAY)
        elif second == 6:
            contact.works("checkpoint votes")
        elif second >= 50:
            contact.lost("checkpoint votes", AWAY)
        told += [(second, text.removeprefix('event="')[:8]) for _, text in said()]
    assert told == [(0, "the node"), (5, "no node:"), (35, "still: t"), (50, "no node:")]


def test_a_node_that_refuses_is_not_said_to_be_away(said: Callable[[], list[tuple[str, str]]]) -> None:
    Contact().lost("attestations", BUSY)
    ((_, text),) = said()
    assert "the node refuses" in text
    assert "too many" in text


def test_a_node_that_goes_away_while_nothing_happens_is_noticed(
    said: Callable[[], list[tuple[str, str]]],
) -> None:
    answers: Iterator[Exception | None] = iter([None, AWAY, AWAY, None])

    class Reporter:
        def consider(self) -> None:
            answer = next(answers, None)
            if answer is not None:
                raise answer

    class Stop(threading.Event):
        def __init__(self) -> None:
            super().__init__()
            self.looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            return self.looks > 4

    service._report(Reporter(), Contact(), Stop())  # type: ignore[arg-type]
    assert [level for level, _ in said()] == ["WARNING", "INFO"]


class Away:
    """In the place of whatever asks the node: the node is away once, and then it answers, and that was all."""

    def __init__(self, wake: threading.Event, stop: threading.Event) -> None:
        self.wake, self.stop, self.tries = wake, stop, 0

    def consider(self) -> None:
        self.tries += 1
        self.wake.set()  # not in half a second
        if self.tries == 1:
            raise AWAY
        self.stop.set()


@pytest.mark.parametrize("activity", ["checkpoint votes", "attestations", "votes on models"])
def test_what_the_node_answers_again_fails_no_more(
    activity: str, said: Callable[[], list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wake, stop, contact = threading.Event(), threading.Event(), Contact()
    away: Any = Away(wake, stop)
    settings = service.ValidatorSettings("a", "http://127.0.0.1:1", "", tmp_path, "a", tmp_path, tmp_path)
    monkeypatch.setattr(service, "RETRY", 0.001)
    monkeypatch.setattr(service, "open_store", lambda where: None)
    monkeypatch.setattr(service, "ModelVoter", lambda *given: away)
    work = {
        "checkpoint votes": lambda: service._consider(away, contact, stop),
        "attestations": lambda: service._attest(away, contact, wake, stop),
        "votes on models": lambda: service._judge(settings, KEYS[0], contact, wake, stop),
    }
    work[activity]()
    assert away.tries == 2
    (_, lost), (_, found) = said()
    assert activity in lost
    assert "the node answers again" in found


@pytest.mark.parametrize("key", KEYS)
def test_whether_votes_count_is_said_at_the_start_and_when_it_changes(
    key: Key, said: Callable[[], list[tuple[str, str]]]
) -> None:
    seat, first = Seat(key), ValidatorSet(0, MEMBERS, (1, 1, 1))
    member = key.address in MEMBERS
    seat.notice(first)
    seat.notice(first)
    ((level, text),) = said()
    assert level == ("INFO" if member else "WARNING")
    assert ("votes count" in text) == member
    assert ("not a member of set 0" in text) == (not member)
    assert "restart" in text or member

    others = tuple(sorted({*MEMBERS} ^ {key.address}))
    seat.notice(ValidatorSet(1, others, (1,) * len(others)))
    seat.notice(ValidatorSet(2, others, (1,) * len(others)))
    ((level, text),) = said()
    assert level == ("WARNING" if member else "INFO")
    assert ("no longer a member of set 1" in text) == member
