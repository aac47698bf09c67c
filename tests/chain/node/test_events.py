"""The numbering of events, and the bell that wakes their readers."""

from __future__ import annotations

import json
import threading
import time

from chain.blockchain import Blockchain
from chain.happened import StoredEvent
from chain.node.events import Bell, block_events, to_json
from chain.transactions import Transfer
from tests.chain.growing import EASY, GENESIS, extend, transfer, votes


def test_events_are_numbered_without_gaps_and_begin_with_their_block(sim, net):
    sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run()
    events = sim.store.events(0, 1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events if event.height == 1] == ["block", "transfer"]
    kinds = [event.kind for event in events]
    assert "justified" in kinds
    assert "final" in kinds


def test_nor_has_a_change_of_several_blocks_gaps():
    chain = Blockchain(GENESIS, EASY)
    left = extend(chain, chain.head, [transfer(chain), transfer(chain)], GENESIS.time + 9)
    first = extend(chain, chain.entry(chain.genesis_id), [transfer(chain)])
    second = extend(chain, first, votes(chain, first))
    rows = block_events([first, second], [left], 10)
    assert len(rows) == 4  # the reorganisation, and each block
    before = 10
    for row in rows:
        assert row.last - len(json.loads(row.said)) == before
        before = row.last
    said = sum(len(json.loads(row.said)) for row in rows)
    assert (said, rows[-1].last) == (1 + 3 + 2 + 2, 18)


def test_fields_do_not_hide_where_the_event_stands():
    event = StoredEvent(3, 7, "b", "final", False, 5, {"of_height": 6, "of_block": "a"})
    assert to_json(event) == {
        "seq": 3, "height": 7, "block": "b", "kind": "final", "undone": False, "time": 5,
        "of_height": 6, "of_block": "a",
    }  # fmt: skip


def test_the_final_event_names_the_block_that_is_final(sim, net):
    sim.send(Transfer(net.validators[0].address, 5), net.owner)
    sim.run()
    final = [to_json(event) for event in sim.store.events(0, 1000) if event.kind == "final"]
    assert final[0]["of_height"] == 1
    assert final[0]["of_block"] == sim.node.chain.at_height(1).id
    assert final[0]["height"] == 3


class TestBell:
    def test_who_looked_before_it_rang_does_not_wait(self):
        bell = Bell()
        seen = bell.count
        bell.ring()
        assert bell.wait(seen, time.monotonic())

    def test_nobody_waits_longer_than_asked(self):
        bell = Bell()
        assert not bell.wait(bell.count, time.monotonic() + 0.02)

    def test_wakes_all_who_wait(self):
        bell, woken = Bell(), []
        seen = bell.count
        threads = [
            threading.Thread(target=lambda: woken.append(bell.wait(seen, time.monotonic() + 10))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        bell.ring()
        for thread in threads:
            thread.join(10)
        assert woken == [True] * 5

    def test_a_closed_bell_keeps_nobody(self):
        bell = Bell()
        bell.close()
        assert not bell.wait(bell.count, time.monotonic() + 10)
        assert bell.closed
