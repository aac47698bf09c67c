"""Events in rows: as if each had a row of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain.happened import ROW_EVENTS, Row, StoredEvent, events_in, rows_of
from chain.store import Store

FIELDS = st.dictionaries(st.sampled_from(["job", "worker", "amount", "größe"]), st.integers() | st.text() | st.none())
BLOCKS = st.lists(st.lists(st.tuples(st.sampled_from(["vote", "transfer"]), FIELDS), max_size=5), max_size=6)


def written(blocks) -> tuple[list[Row], list[StoredEvent]]:
    """The rows of some blocks' events, and what they should say."""
    rows: list[Row] = []
    single: list[StoredEvent] = []
    for height, said in enumerate(blocks, 1):
        rows += rows_of(said, len(single), height=height, block=f"b{height}", undone=height % 2 == 0, time=height)
        for kind, fields in said:
            single.append(StoredEvent(len(single) + 1, height, f"b{height}", kind, height % 2 == 0, height, fields))
    return rows, single


@given(BLOCKS, st.integers(0, 30))
def test_what_goes_into_rows_comes_out_of_them(blocks, after):
    rows, single = written(blocks)
    assert list(events_in(rows, after)) == single[after:]


@given(st.integers(0, 3 * ROW_EVENTS), st.integers(0, 3 * ROW_EVENTS), st.integers(1, 2 * ROW_EVENTS))
def test_a_page_begins_and_ends_anywhere(count, after, limit):
    rows, single = written([[("vote", {"number": number}) for number in range(count)], [("end", {})]])
    store = Store(None)
    with store.write():
        store.put_events(rows)
    try:
        assert store.events(after, limit) == single[after : after + limit]
        assert store.last_seq() == count + 1
    finally:
        store.close()


def test_a_block_of_many_events_has_several_rows():
    rows = list(
        rows_of([("vote", {})] * (2 * ROW_EVENTS + 1), 10, height=1, block="b", undone=False, time=5)
    )
    assert [row.last for row in rows] == [10 + ROW_EVENTS, 10 + 2 * ROW_EVENTS, 11 + 2 * ROW_EVENTS]


def test_fields_do_not_hide_where_the_event_stands():
    (row,) = rows_of([("final", {"height": 6, "block": "a", "of": 1})], 2, height=7, block="b", undone=False, time=5)
    (event,) = events_in([row], 0)
    assert event == StoredEvent(3, 7, "b", "final", False, 5, {"of_height": 6, "of_block": "a", "of": 1})
