"""What a campaign has taken is kept, so that it goes on from there, until the code or the seed is another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import decoders
from tests.fuzz.progress import NOTED, ROOT, Progress, Taken, forget, of_decoder

LIST = f"{sys.executable} -m tests.fuzz list | true; exit ${{PIPESTATUS[0]}}"
PART = "node GET /blocks/<name>"


def test_a_part_goes_on_after_the_last_note(tmp_path: Path) -> None:
    begun = Progress(tmp_path, 1, "code").numbers(PART, 10 * NOTED)
    assert [next(begun) for _ in range(2 * NOTED + 7)] == list(range(2 * NOTED + 7))
    begun.close()  # stopped
    again = Progress(tmp_path, 1, "code")
    assert again.taken(PART) == Taken(2 * NOTED)
    assert list(again.numbers(PART, 10 * NOTED)) == list(range(2 * NOTED, 10 * NOTED))
    assert list(again.numbers(PART, 10 * NOTED)) == []
    assert again.said(PART, 10 * NOTED) == "1,000 of 1,000, the full number"
    assert again.said(PART, 11 * NOTED) == "1,000 of 1,100"


@pytest.mark.parametrize("other", [(2, "code"), (1, "other code")])
def test_another_seed_and_other_code_begin_anew(tmp_path: Path, other: tuple[int, str]) -> None:
    Progress(tmp_path, 1, "code").note(PART, Taken(500))
    assert Progress(tmp_path, *other).taken(PART) == Taken(0)


def test_what_has_no_more_inputs_is_through(tmp_path: Path) -> None:
    progress = Progress(tmp_path, 1, "code")
    progress.note(PART, Taken(12, ended=True))
    assert progress.taken(PART).left(10_000) == 0
    assert progress.said(PART, 10_000) == "12, which is all there are"


def test_chosen_parts_are_forgotten_and_no_others(tmp_path: Path) -> None:
    progress = Progress(tmp_path, 1, "code")
    for part in (PART, "chain/blocks.Block"):
        progress.note(part, Taken(500))
    forget(tmp_path, lambda part: part == PART)
    assert progress.taken(PART) == Taken(0)
    assert progress.taken("chain/blocks.Block") == Taken(500)


def test_the_forms_of_a_decoder_share_its_inputs() -> None:
    forms = [one for one in decoders.everything() if one.name.startswith("models/load.")]
    assert len({one.covers for one in forms}) == 1
    shares = [decoders.share(one, 1_000_000) for one in forms]
    assert 1_000_000 <= sum(shares) < 1_000_000 + len(forms)
    assert decoders.share(decoders.find("chain/keys.recover"), 1_000_000) == 1_000_000


def test_without_a_folder_nothing_is_kept() -> None:
    progress = Progress(None, 1, "")
    assert list(progress.numbers(PART, 150)) == list(range(150))
    assert list(progress.numbers(PART, 150)) == list(range(150))


def test_a_decoder_begins_anew_when_its_module_changes_or_one_that_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    def code() -> str:
        return of_decoder(None, 1, decoders.GROUPS["chain"], decoders.find("chain/blocks.Block").covers).code

    before, read = code(), Path.read_bytes
    assert code() == before
    for name, same in (("chain/blocks.py", False), ("chain/encoding.py", False), ("tests/fuzz/mutate.py", False),
                       ("coordinator/views.py", True)):  # fmt: skip
        changed = ROOT / name
        monkeypatch.setattr(Path, "read_bytes", lambda path, it=changed: read(path) + b"#" * (path == it))
        assert (code() == before) is same, name


def test_a_reader_of_the_list_that_went_away_is_no_error() -> None:
    done = subprocess.run(["bash", "-c", LIST], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
