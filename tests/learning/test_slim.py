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


def test_a_service_trains_without_pandas_whoever_asks_for_it() -> None:
    run(
        "from runtime import numeric; numeric.pin(); import sys; from learning import slim; slim.leave_out_pandas();"
        "import learning.session, pyarrow;"
        "assert pyarrow.array([1, None]).null_count == 1 and sys.modules.get('pandas') is None"
    )
