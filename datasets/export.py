"""Write the datasets of this folder anew from scikit-learn, byte for byte as they are.

``python datasets/export.py`` writes them beside this file, ``python datasets/export.py FOLDER`` elsewhere.
The numbers are the publishers', in their own units; a column of whole numbers is written without decimals,
all others as the shortest decimal that reads back as the same double; lines end in LF.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sklearn import datasets

#: What scikit-learn abbreviates in the diabetes data, as the publishers describe it.
DIABETES = {
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "low_density_lipoproteins",
    "s3": "high_density_lipoproteins",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "blood_sugar",
}
#: The short name of a CSV file, the loader's name and the target column's name.
SOURCES = {
    "iris": ("load_iris", "species"),
    "wine": ("load_wine", "cultivar"),
    "breast_cancer": ("load_breast_cancer", "diagnosis"),
    "digits": ("load_digits", "digit"),
    "diabetes": ("load_diabetes", "progression"),
}


def csv_of(name: str) -> bytes:
    """The CSV file of one dataset; ``name`` is a key of :data:`SOURCES`."""
    loader, target = SOURCES[name]
    options = {"scaled": False} if name == "diabetes" else {}
    bunch: Any = getattr(datasets, loader)(**options)
    header = [_column_name(feature) for feature in bunch.feature_names] + [target]
    columns = [_numbers(column) for column in bunch.data.T.tolist()]
    if name in {"digits", "diabetes"}:
        columns.append(_numbers(bunch.target.tolist()))
    else:
        columns.append([str(bunch.target_names[index]) for index in bunch.target])
    lines: Iterable[Sequence[str]] = [header, *zip(*columns, strict=True)]
    return "".join(",".join(line) + "\n" for line in lines).encode()


def _column_name(feature: str) -> str:
    """In snake_case: ``petal length (cm)`` becomes ``petal_length``."""
    plain = feature.removesuffix(" (cm)").lower()
    return DIABETES.get(plain, plain.replace(" ", "_").replace("/", "_"))


def _numbers(values: list[float]) -> list[str]:
    if all(float(value).is_integer() for value in values):
        return [str(int(value)) for value in values]
    return [repr(float(value)) for value in values]


def main(arguments: Sequence[str]) -> int:
    """Write all files into the folder named, or beside this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    for name in SOURCES:
        (folder / f"{name}.csv").write_bytes(csv_of(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
