"""What a node answers, as its client hands it on: views, events, and the errors of asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import requests

from chain.errors import InvalidEncoding
from chain.schema import Range, from_object
from runtime import strict_json

T = TypeVar("T")
Status = Literal["pending", "included", "final", "dropped"]


class NodeError(Exception):
    """Base of what a node, or its absence, answers."""


class NodeUnavailable(NodeError):  # noqa: N818 - named in the interface between the rooms
    """Nobody answers at the node's address, or it is too busy or stopping: try again later."""


class NodeRefused(NodeError):  # noqa: N818
    """The node answered with a problem document (RFC 9457).

    ``code`` is the chain's own error code (``insufficient_balance``, ``not_yet``, ``unknown`` ...),
    ``detail`` says what was expected and what came, ``problem`` is the whole document.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{self.code}: {self.detail} (status {status})")


class TransactionRefused(NodeError):  # noqa: N818
    """A transaction that was pending will not enter the chain: ``code`` and ``reason`` say why."""

    def __init__(self, transaction: str, code: str, reason: str) -> None:
        self.transaction = transaction
        self.code = code
        self.reason = reason
        super().__init__(f"transaction {transaction} was dropped: {reason} ({code})")


class WaitTimeout(NodeError):  # noqa: N818
    """What was waited for did not happen in time; ``last`` is the last answer."""

    def __init__(self, message: str, last: Mapping[str, Any] | None) -> None:
        self.last = last
        super().__init__(message)


@dataclass(frozen=True)
class View(Generic[T]):
    """An object of the state and where the node stood when it showed it."""

    value: T
    height: int
    """Height of the head."""
    head: str
    """Hash of the head."""
    final_height: int
    """Height of the last final block."""
    final: bool
    """The block that last changed ``value`` is final."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list."""

    views: tuple[View[T], ...]
    next: str | None
    """The cursor for what follows; None at the end."""


@dataclass(frozen=True)
class NodeEvent:
    """One line of what happened on the head's branch."""

    seq: int
    """Strictly increasing within a run."""
    height: int
    block: str
    kind: str
    undone: bool
    """The block left the head's branch: what the event said is no longer so."""
    time: int
    """Block time, milliseconds since 1970."""
    fields: Mapping[str, str | int | None]


@dataclass(frozen=True)
class EventPage:
    """What one long poll brought; ask on with ``after=next``."""

    events: tuple[NodeEvent, ...]
    next: int
    run: str
    """Another run than before: the numbers start over, look at the state anew."""
    head: str
    height: int
    final_height: int


def problem_of(response: requests.Response) -> dict[str, Any]:
    """The problem document of a refusal, whatever the body is; a node's has a ``code``."""
    try:
        problem = strict_json.loads(response.content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"detail": response.content[:500].decode(errors="replace") or response.reason}


def to_view(cls: type[T], answer: Mapping[str, Any]) -> View[T]:
    """A view from the answer that carries it. Raises ``InvalidEncoding``."""
    place = from_object(_Place, {name: answer[name] for name in _PLACE if name in answer})
    value = from_object(cls, answer.get("value"))
    return View(value, place.height, place.head, place.final_height, place.final)


def to_event(event: Mapping[str, Any]) -> NodeEvent:
    """An event from its JSON form. Raises ``InvalidEncoding``."""
    head = from_object(_Event, {name: event[name] for name in _EVENT if name in event})
    fields = {name: value for name, value in event.items() if name not in _EVENT}
    if not all(value is None or type(value) in (str, int) for value in fields.values()):
        raise InvalidEncoding("an event whose fields are texts, integers and nulls", "others")
    return NodeEvent(head.seq, head.height, head.block, head.kind, head.undone, head.time, fields)


def to_page(answer: Mapping[str, Any]) -> EventPage:
    """A page of events from its JSON form. Raises ``InvalidEncoding``."""
    found = from_object(_Page, {name: answer[name] for name in _PAGE if name in answer})
    events = answer.get("events")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise InvalidEncoding("a list of events", "something else", "events")
    return EventPage(tuple(map(to_event, events)), found.next, found.run, found.head, found.height, found.final_height)


_Height = Annotated[int, Range(0)]


@dataclass(frozen=True)
class _Place:
    height: _Height
    head: str
    final_height: _Height
    final: bool


@dataclass(frozen=True)
class _Event:
    seq: int
    height: _Height
    block: str
    kind: str
    undone: bool
    time: int


@dataclass(frozen=True)
class _Page:
    next: int
    run: str
    head: str
    height: _Height
    final_height: _Height


_PLACE, _EVENT, _PAGE = (tuple(cls.__dataclass_fields__) for cls in (_Place, _Event, _Page))
