"""The lab (tests/lab.py) for the tests of this room."""

from __future__ import annotations

from tests.lab import iris, lab, lab_module

__all__ = ["iris", "lab", "lab_module"]
