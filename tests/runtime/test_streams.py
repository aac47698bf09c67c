"""Server-Sent Events and the places for streams."""

from __future__ import annotations

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import problems
from runtime.streams import Busy, EventStream, ServerEvent, Streams, sse, stopping, streams


def parse(raw: bytes) -> list[dict[str, str]]:
    """An independent reader of the format (HTML standard, 9.2.6)."""
    events = []
    for block in raw.decode().split("\n\n"):
        event: dict[str, str] = {}
        data = []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name:
                event[name] = value
        if data:
            events.append({**event, "data": "\n".join(data)})
    return events


def test_an_event_on_the_wire():
    event = ServerEvent('{"a": 1}', event="update", id="7")
    assert event.encode() == b'id: 7\nevent: update\ndata: {"a": 1}\n\n'


@given(st.text())
def test_any_data_survives_the_format(data):
    raw = ServerEvent(data, id="1").encode()
    assert parse(raw) == [{"id": "1", "data": data.replace("\r\n", "\n").replace("\r", "\n")}]


@pytest.mark.parametrize("bad", ["1\ndata: forged", "a\rb", "a\0b"])
def test_a_line_break_cannot_forge_a_field(bad):
    with pytest.raises(ValueError, match="one line"):
        ServerEvent("x", id=bad).encode()
    with pytest.raises(ValueError, match="one line"):
        ServerEvent("x", event=bad).encode()


def test_heartbeats_fill_silence_only():
    now = [0.0]

    def source():
        for moment, event in [
            (5, None),
            (14, None),
            (15, None),
            (16, None),
            (20, ServerEvent("x")),
            (34, None),
            (35, None),
        ]:
            now[0] = moment
            yield event

    chunks = list(EventStream(source(), heartbeat=15, clock=lambda: now[0]))
    assert chunks == [b": open\n\n", b": heartbeat\n\n", b"data: x\n\n", b": heartbeat\n\n"]


def test_a_stream_ends_when_it_is_over():
    over = [False]

    def source():
        yield ServerEvent("1")
        over[0] = True
        while True:
            yield None

    assert list(EventStream(source(), over=lambda: over[0])) == [b": open\n\n", b"data: 1\n\n"]


def test_places_are_bounded_and_come_back_once():
    places = Streams(2)
    first = places.acquire()
    with places.acquire():
        assert places.taken == 2
        with pytest.raises(Busy) as refused:
            places.acquire()
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) > 0
    first.release()
    first.release()
    assert places.taken == 0


def test_streams_without_an_end_are_counted_apart_from_long_polls():
    places = Streams(3)
    with places.acquire(), places.acquire(endless=True):
        assert (places.taken, places.endless) == (2, 1)
    assert (places.taken, places.endless) == (0, 0)


def test_a_stream_that_nobody_began_to_read_gives_its_place_back():
    places = Streams(1)
    ended = []

    def source():
        try:
            yield None
        finally:
            ended.append(True)

    stream = EventStream(source(), slot=places.acquire())
    stream.close()
    assert places.taken == 0


def test_a_flask_response_of_events():
    app = flask.Flask(__name__)
    problems.install(app)

    @app.get("/events")
    def events():
        assert not stopping().is_set()
        return sse(iter([ServerEvent("1", id="1"), ServerEvent("2", id="2")]))

    with app.test_request_context():
        before = streams().taken
    response = app.test_client().get("/events")
    assert response.content_type == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert [event["data"] for event in parse(response.get_data())] == ["1", "2"]
    response.close()
    with app.test_request_context():
        assert streams().taken == before
