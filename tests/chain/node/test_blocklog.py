"""blockchain.log: every event once, in order, whatever happened to the file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.happened import StoredEvent
from chain.node.blocklog import BlockLog, line_of


def event(seq: int, kind: str = "vote", undone: bool = False, **fields) -> StoredEvent:
    return StoredEvent(seq, 12, "ab" * 32, kind, undone, 1_795_262_400_123, fields)


class Source:
    def __init__(self, count: int) -> None:
        self.events = [event(n, reason=f"line {n}") for n in range(1, count + 1)]

    def __call__(self, after: int, limit: int) -> list[StoredEvent]:
        return self.events[after : after + limit]

    def text(self) -> str:
        return "".join(line_of(each) + "\n" for each in self.events)


def test_a_line_is_made_for_grep():
    line = line_of(event(7, decision="approve", score=950000, reason='all "4" match', job="bafy", base=None))
    assert line == (
        f"2026-11-21T12:00:00.123Z seq=7 height=12 block={'ab' * 32} event=vote decision=approve score=950000 "
        'reason="all \\"4\\" match" job=bafy'
    )


def test_what_was_undone_says_so():
    assert " event=transfer undone=true amount=5" in line_of(event(1, "transfer", True, amount=5))


@given(st.text())
def test_no_text_makes_a_second_line_or_forges_a_field(text):
    line = line_of(event(1, reason=text))
    assert len(line.splitlines()) == 1
    value = line.split(" reason=", 1)[1]
    if value.startswith('"'):
        assert json.loads(value) == text
    else:
        assert value == text
        assert not {" ", "=", '"'} & set(value)


def test_begins_with_what_is_there_and_goes_on(tmp_path):
    source = Source(1200)
    log = BlockLog(tmp_path / "folder" / "blockchain.log", source)
    assert log.path.read_text() == source.text()
    source.events += [event(1201), event(1202)]
    log.update()
    assert log.path.read_text() == source.text()
    log.close()


@pytest.mark.parametrize("lines", [0, 1, 2, 7, 10])
@pytest.mark.parametrize("rest", [0, 1, 20, -1])
def test_takes_up_after_a_crash_in_the_middle_of_a_line(tmp_path, lines, rest):
    source = Source(10)
    whole = source.text().splitlines(keepends=True)
    cut = "".join(whole[:lines]) + (whole[lines][:rest] if lines < 10 else "")
    path = tmp_path / "blockchain.log"
    path.write_text(cut)
    log = BlockLog(path, source)
    log.close()
    assert path.read_text() == source.text()


def test_an_unfinished_line_longer_than_a_page_is_removed(tmp_path):
    source = Source(3)
    path = tmp_path / "blockchain.log"
    path.write_text(source.text() + "x" * 200_000)
    BlockLog(path, source).close()
    assert path.read_text() == source.text()


def test_a_disk_that_is_full_for_a_while_costs_no_line_and_doubles_none(tmp_path):
    source = Source(3)
    log = BlockLog(tmp_path / "blockchain.log", source)
    source.events += [event(4), event(5)]

    class Full:
        """Takes one line and a half, then refuses."""

        def __init__(self, file):
            self.file, self.room = file, 200

        @property
        def closed(self):
            return self.file.closed

        def write(self, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            taken, self.room = self.file.write(data[: self.room]), 0
            return taken

        def close(self):
            self.file.close()

    log._file = Full(log._file)
    with pytest.raises(OSError, match="No space"):
        log.update()
    source.events.append(event(6))
    log.update()
    log.close()
    assert log.path.read_text() == source.text()
    assert log.seq == 6


def test_a_file_moved_away_is_written_again(tmp_path):
    source = Source(3)
    path = tmp_path / "blockchain.log"
    BlockLog(path, source).close()
    path.rename(tmp_path / "old.log")
    BlockLog(path, source).close()
    assert path.read_text() == source.text()
