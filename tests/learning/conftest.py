"""Shared by the tests of the learning room: pinned numerics, small tables, a store in a dictionary."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from runtime import numeric

numeric.pin()  # before anything imports numpy

from learning.tables import Table, read_table  # noqa: E402

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def table_of() -> Callable[[str], Table]:
    """A table from CSV text."""
    return lambda text: read_table(io.BytesIO(text.encode()))


class Served:
    """Content by CID, as workers are handed it; counts what was read."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.opened: list[str] = []

    def open(self, cid: str) -> BinaryIO:
        self.opened.append(cid)
        return io.BytesIO(self.content[cid])


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def datasets() -> Path:
    """The folder of the datasets that come with Assay."""
    return _ROOT / "datasets"


@pytest.fixture
def real_data() -> Path:
    """The folder of larger real datasets that Assay does not carry."""
    folder = os.environ.get("ASSAY_DATASETS")
    if not folder:
        pytest.skip("ASSAY_DATASETS names no folder with boston_housing and california_housing")
    return Path(folder)
