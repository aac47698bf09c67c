"""Lists of nothing say so, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cli import targets


class Empty:
    """A coordinator that has nothing yet."""

    def jobs(self, _state: str | None) -> list[Any]:
        return []

    models = datasets = list


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["job", "list"], "no jobs yet; open one: assay train --help"),
        (["job", "list", "--state", "failed"], "no jobs in state failed"),
        (["model", "list"], "no models yet"),
        (["dataset", "list"], "no datasets yet; register one"),
    ],
)
def test_a_list_of_nothing_says_so(
    assay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: list[str], said: str
) -> None:
    @contextmanager
    def coordinator(*_: object) -> Iterator[Empty]:
        yield Empty()

    monkeypatch.setattr(targets, "coordinator", coordinator)
    ran = assay(*command)
    assert (ran.status, ran.out.strip().startswith(said)) == (0, True), ran.out
    assert assay(*command, "--json").json == []
