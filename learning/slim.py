"""scikit-learn without pandas: a fifth of what it loads, in every process that trains or judges.

`sklearn.utils.fixes` imports pandas where it is installed, and does without where it is not. Nothing of the learning
room hands scikit-learn a data frame, so while that one module is being loaded, pandas is not to be found; anybody else
imports it as ever. Measured with scikit-learn 1.9 and pandas 3.1: 29 MiB and 0.25 s of CPU less a process, of which a
fleet has eight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ASKS = "sklearn.utils.fixes"


class WithoutPandas(MetaPathFinder):
    """Finds nothing, and for pandas says so while scikit-learn asks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, for the next finder to look; `ModuleNotFoundError` as if pandas were not installed."""
        if fullname == "pandas" and getattr(getattr(sys.modules.get(_ASKS), "__spec__", None), "_initializing", False):
            raise ModuleNotFoundError("pandas is left out while scikit-learn is loaded (learning.slim)", name=fullname)
        return None


def install() -> None:
    """Leave pandas out of scikit-learn in this process, if that is not loaded yet."""
    if not any(isinstance(finder, WithoutPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, WithoutPandas())
