"""Without pandas: a fifth of what a process that trains or judges would load.

`sklearn.utils.fixes` imports pandas where it is installed, and pyarrow does with the first array it makes; both do
without where it is not. Nothing of the learning room hands them a data frame. So while scikit-learn is being loaded
pandas is not to be found, and in a service, which is a process of ours alone, never. Measured with scikit-learn 1.9,
pyarrow 26 and pandas 3.1: 29 MiB and 0.25 s of CPU less a process, of which a fleet has eight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ASKS = "sklearn.utils.fixes"


class WithoutPandas(MetaPathFinder):
    """Finds nothing, and for pandas says so while scikit-learn asks, or whoever asks."""

    def __init__(self) -> None:
        self.always = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, for the next finder to look; `ModuleNotFoundError` as if pandas were not installed."""
        asked = getattr(getattr(sys.modules.get(_ASKS), "__spec__", None), "_initializing", False)
        if fullname == "pandas" and (self.always or asked):
            raise ModuleNotFoundError("pandas is left out of this process (learning.slim)", name=fullname)
        return None


_FINDER = WithoutPandas()


def install() -> None:
    """Leave pandas out of scikit-learn in this process, if that is not loaded yet."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def leave_out_pandas() -> None:
    """Leave pandas out of this process, a service of ours, altogether; what has loaded it keeps it."""
    install()
    _FINDER.always = True
