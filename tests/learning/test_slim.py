"""scikit-learn is loaded without pandas, which everybody else may still import."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_training_loads_no_pandas() -> None:
    run(
        "from runtime import numeric; numeric.pin(); import sys, learning.session;"
        "assert 'sklearn' in sys.modules and 'pandas' not in sys.modules"
    )


def test_pandas_can_be_imported_before_and_after() -> None:
    run("import learning.session, pandas; assert pandas.DataFrame({'a': [1]}).a[0] == 1")
    run("import pandas, learning.session")
